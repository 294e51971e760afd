"""The official package, where it is installed: both networks side by side on the same weights and images.

    pip install git+https://github.com/facebookresearch/vggt.git

Nothing is known here of the official code but what its users see: `vggt.models.vggt.VGGT`, called with
images and query points, returns a dict, and its modules have the names that its weight file has.
"""

import importlib.util
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from vggt_lite.config import HEADS, VGGT_1B, ModelConfig
from vggt_lite.model import VGGT
from vggt_lite.parity.checks import plain_float32, require_float32
from vggt_lite.parity.deterministic_weights import deterministic_state_dict
from vggt_lite.parity.stages import OUTPUTS, observe, official_module, record, stages
from vggt_lite.parity.table import Table, allowed, compare, distance, type_name
from vggt_lite.pretrained.loading import from_official, to_official
from vggt_lite.pretrained.names import official_name
from vggt_lite.utils.runtime import progress

HOW = "pip install git+https://github.com/facebookresearch/vggt.git"
SEEDS = (1, 2)  # of the nudges that measure rounding noise
RULES = (
    "10 × max(noise, 2e-6 · max|x|), noise = change when every weight moves by one unit in its last place",
    "10 × max(noise, 2e-6 · max|x|), noise = the official network under autocast against its float32",
)


def official_class() -> type[nn.Module] | None:
    """The official network's class, or None where no package `vggt` is installed.

    Raises:
        ImportError: there is one, but it cannot be imported, or it is another `vggt`.
    """
    if importlib.util.find_spec("vggt") is None:
        return None
    try:
        from vggt.models.vggt import VGGT as Official
    except Exception as error:  # whatever can go wrong while foreign code is imported
        raise ImportError(
            f"a package vggt is installed, but vggt.models.vggt.VGGT cannot be imported from it ({error}); "
            f"install it anew: {HOW}"
        ) from error
    return Official


def official_model(config: ModelConfig = VGGT_1B) -> nn.Module:
    """The official network with the first values that it gives itself.

    Raises:
        ImportError: the package is not installed.
        ValueError: its parameters are not those of `VGGT(config)`.
    """
    cls = official_class()
    if cls is None:
        raise ImportError(f"the official package is not installed: {HOW}")
    without = {f"enable_{head}": False for head in HEADS if head not in config.heads}
    model = cls(img_size=config.image_size, patch_size=config.patch_size, embed_dim=config.dim, **without)
    with torch.device("meta"):
        ours = VGGT(config).state_dict()
    wanted = {official_name(key): tuple(value.shape) for key, value in ours.items()}
    found = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    if odd := sorted(key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key)):
        raise ValueError(
            f"the official package builds another network than this ModelConfig: {len(odd)} parameters "
            f"differ, first {odd[0]}: there {found.get(odd[0])}, here {wanted.get(odd[0])}. It can be "
            "compared at the released size, VGGT_1B."
        )
    return model.eval()


def sharing_weights(
    model: VGGT | None, config: ModelConfig, device: torch.device | str
) -> tuple[VGGT, nn.Module]:
    """Our network and the official one on the same numbers, which lie in memory once.

    Args:
        model: Ours, already on `device`, whose weights both shall have; None fills both by the rule.
        config: Of ours when `model` is None.
    """
    official = official_model(config)
    if model is not None:
        official.load_state_dict(to_official(model.state_dict()), assign=True)
        return model.eval(), official.to(device)
    deterministic_state_dict(official, official=True).to(device)
    with torch.device("meta"):
        model = VGGT(config)
    model.load_state_dict(from_official(official.state_dict()), assign=True)
    model.aggregator.register_constants()
    return model.to(device).eval(), official


def observe_official(
    official: nn.Module, config: ModelConfig, images: Tensor, points: Tensor | None
) -> dict[str, Tensor]:
    """Every stage and output of the official network, by the names that `observe` gives ours.

    Args:
        images: (1, S, 3, H, W). points: (1, N, 2) or None.
    """

    def forward() -> dict[str, Tensor]:
        pred = official(images) if points is None else official(images, query_points=points)
        found = {f"out.{key}": pred[key] for key in OUTPUTS if key in pred}
        return found | {f"out.pose_enc.{i}": value for i, value in enumerate(pred.get("pose_enc_list", []))}

    places = {name: (official_module(module), call) for name, (module, call) in stages(config).items()}
    return record(official, places, forward)[0]


@torch.no_grad()
def _step(model: nn.Module, seed: int, back: bool) -> None:
    """Every parameter to its neighbour among float32 numbers, up or down by lot; `back` undoes it exactly."""
    generator = torch.Generator().manual_seed(seed)
    for value in model.parameters():
        up = torch.empty(value.shape, dtype=torch.uint8).random_(0, 2, generator=generator).to(value.device)
        end = torch.where(up.bool() ^ back, torch.inf, -torch.inf)
        value.copy_(torch.nextafter(value, end.to(value)))


@contextmanager
def nudged(model: nn.Module, seed: int) -> Iterator[None]:
    """Inside, every weight is off by one unit in its last place; afterwards each is what it was."""
    _step(model, seed, back=False)
    try:
        yield
    finally:
        _step(model, seed, back=True)


def verify_official(
    model: VGGT | None = None,
    images: Tensor | None = None,
    points: Tensor | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    config: ModelConfig = VGGT_1B,
) -> list[Table]:
    """Our network and the official one on the same weights and images: every stage, every output.

    In float32 a stage passes within 10 × max(noise, 2e-6 · max|x|), as for the golden numbers. The noise
    is measured on the spot: how far the stage moves in our network when every weight moves by one unit in
    its last place. A product rounded to float32 is the exact product of numbers so moved, hence rounding
    alone may carry a faithful implementation that far. Where both were measured, on the golden cases, this
    agrees with float32 against float64 within a factor of two (tracker: ten, it is chaotic).

    Under autocast the tolerance is 10 × the official network's own distance from its float32 numbers. On a
    CPU the official heads stay in autocast and ours leave it: there they differ by about that distance.

    Args:
        model: Ours, with any weights; it is moved to `device`. None: both take the rule's weights.
        images: (S, 3, H, W). points: (N, 2) in pixels of the first, or None.
        device: Where to compute.
        dtype: torch.bfloat16 or float16 for a second table, under autocast; None leaves it out.
        config: Of the networks when `model` is None.

    Returns:
        The table in float32, then the one under autocast.

    Raises:
        ImportError: the official package is missing or broken.
        ValueError: it is another network, or the model is not in float32 or counts pixels from 0.5.
    """
    if model is not None:
        config = require_float32(model).to(device).config
    if config.pixel_center:
        raise ValueError(f"pixel_center={config.pixel_center}: the official network counts pixels from 0.0.")
    started, kind = time.monotonic(), torch.device(device).type
    images, points = (x if x is None else x[None].to(device) for x in (images, points))
    about = {
        "weights": "by rule" if model is None else "given",
        "images": list(images.shape),
        "query_points": 0 if points is None else points.shape[1],
    }
    model, official = sharing_weights(model, config, device)
    runs = 4 if dtype is None else 6
    with plain_float32(device), progress(total=runs, desc="side by side", unit="run") as bar:

        def seen(network: nn.Module) -> dict[str, Tensor]:
            bar.update()
            if network is model:
                return observe(model, images, points)[0]
            return observe_official(official, config, images, points)

        reference, found, noise = seen(official), seen(model), {}
        for seed in SEEDS:
            with nudged(model, seed):
                moved = seen(model)
            noise = {s: max(noise.get(s, 0.0), distance(moved[s], found[s])) for s in found}
        tables = [judged("float32", found, reference, noise, device, about | {"tolerance": RULES[0]})]
        if dtype is not None:
            with torch.autocast(kind, dtype, cache_enabled=False):  # no rounded copies of all weights
                found, half = seen(model), seen(official)
            noise = {stage: distance(half[stage], reference[stage]) for stage in half}
            name = f"{type_name(dtype)} autocast"
            tables.append(judged(name, found, half, noise, device, about | {"tolerance": RULES[1]}))
    for table in tables:
        table.seconds = time.monotonic() - started
    return tables


def judged(
    name: str, found: dict[str, Tensor], want: dict[str, Tensor], noise: dict[str, float], device, about: dict
) -> Table:
    """Compare what both networks have; what only one of them shows is listed in `about["not_observed"]`."""
    both, about_all = [s for s in found if s in want], {"dtype": name, "device": torch.device(device).type}
    rows = [compare(s, found[s], want[s], allowed(want[s], noise[s]), **about_all) for s in both]
    title = f"side by side with the official package, {name}, on {device}"
    return Table(title, rows, about=about | {"not_observed": sorted(found.keys() ^ want.keys())})
