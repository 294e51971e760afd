"""The official package, where it is installed: found, built, given our weights, watched.

    pip install git+https://github.com/facebookresearch/vggt.git

Nothing is known here of the official code but what its users see: `vggt.models.vggt.VGGT`, called with
images and query points, returns a dict, and its modules have the names that its weight file has.
"""

import importlib.util

import torch
from torch import Tensor, nn

from vggt_lite.config import HEADS, VGGT_1B, ModelConfig
from vggt_lite.model import VGGT
from vggt_lite.parity.deterministic_weights import deterministic_state_dict
from vggt_lite.parity.stages import Watch, in_order, stages
from vggt_lite.pretrained.loading import from_official, to_official
from vggt_lite.pretrained.names import official_name

HOW = "pip install git+https://github.com/facebookresearch/vggt.git"
OUTPUTS = ("depth", "depth_conf", "world_points", "world_points_conf", "track", "vis", "conf")


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


@torch.no_grad()
def observe_official(
    official: nn.Module, config: ModelConfig, images: Tensor, points: Tensor | None
) -> dict[str, Tensor]:
    """Every stage and output of the official network, by the names that `observe` gives ours.

    Args:
        images: (1, S, 3, H, W). points: (1, N, 2) or None.
    """
    wanted = stages(config)
    with Watch(official, [stage.official for stage in wanted.values()]) as seen:
        pred = official(images) if points is None else official(images, query_points=points)
    found = {name: seen.value(stage.official, stage.call) for name, stage in wanted.items()}
    found |= {f"out.{key}": pred[key] for key in OUTPUTS if key in pred}
    found |= {f"out.pose_enc.{i}": value for i, value in enumerate(pred.get("pose_enc_list", []))}
    return {name: found[name] for name in in_order(found) if found[name] is not None}
