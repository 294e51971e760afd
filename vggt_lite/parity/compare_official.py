"""Both networks side by side: the same weights, the same images, every stage."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from vggt_lite.config import VGGT_1B, ModelConfig
from vggt_lite.model import VGGT
from vggt_lite.parity.checks import plain_float32, require_float32
from vggt_lite.parity.official import observe_official, sharing_weights
from vggt_lite.parity.stages import observe
from vggt_lite.parity.table import Table, allowed, compare, distance, type_name
from vggt_lite.utils.runtime import progress

SEEDS = (1, 2)  # of the nudges that measure rounding noise
RULES = (
    "10 × max(noise, 2e-6 · max|x|), noise = change when every weight moves by one unit in its last place",
    "10 × max(noise, 2e-6 · max|x|), noise = the official network under autocast against its float32",
)


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
