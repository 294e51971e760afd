"""The stages of a forward pass by common names, read with hooks from our network or the official one.

A stage is the output of a module: `agg.frame.3` is what the fourth frame block returns. The names are
those of the golden files, so any two of {our network, the official one, a file} can be compared.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from vggt_lite.config import ModelConfig
from vggt_lite.model import VGGT, Predictions
from vggt_lite.pretrained.names import official_name

# stage → (module, which of its calls). None joins all calls: dense heads may take views in several portions.
Places = dict[str, tuple[str, int | None]]

# Parts in the order of computation: beginning of a stage's name → what people read.
PARTS = {
    "vit.": "patch embedding (ViT)",
    "agg.": "alternating attention",
    "cam.": "camera head",
    "out.pose_enc": "→ pose encodings",
    "depth.": "depth head",
    "out.depth": "→ depth and confidence",
    "point.": "point head",
    "out.world_points": "→ points and confidence",
    "track.": "track head",
    "out.track": "→ tracks",
    "out.vis": "→ visibility",
    "out.conf": "→ track confidence",
}
# Outputs of the official network → of ours.
OUTPUTS = {
    "depth": "depth", "depth_conf": "depth_conf",
    "world_points": "point_map", "world_points_conf": "point_conf",
    "track": "tracks", "vis": "track_visibility", "conf": "track_conf",
}  # fmt: skip


def part(stage: str) -> str:
    """The part a stage belongs to, a key of `PARTS`."""
    return next(prefix for prefix in PARTS if stage.startswith(prefix))


def in_order(names: Iterable[str]) -> list[str]:
    """Names of stages by part; within a part they stay as they are."""
    return sorted(names, key=lambda name: list(PARTS).index(part(name)))


def stages(config: ModelConfig) -> Places:
    """Every stage of a network of this configuration, in the order of computation, by our modules."""
    found: Places = {}
    if config.patch_embed == "vit":
        for i in range(config.vit_depth):
            found[f"vit.block.{i}"] = f"aggregator.patch_embed.blocks.{i}", 0
        found["vit.norm"] = "aggregator.patch_embed.norm", 0
    for i in range(config.depth):
        found[f"agg.frame.{i}"] = f"aggregator.frame_blocks.{i}", 0
        found[f"agg.global.{i}"] = f"aggregator.global_blocks.{i}", 0
    if "camera" in config.heads:
        found["cam.token_norm"] = "camera_head.token_norm", 0
        for step in range(config.camera_iterations):
            found[f"cam.delta.{step}"] = "camera_head.pose_branch", step
    for head in ("depth", "point"):
        if head in config.heads:
            for k in (4, 3, 2, 1):
                found[f"{head}.refinenet{k}"] = f"{head}_head.pyramid.fusions.{k - 1}", None
            found[f"{head}.conv1"] = f"{head}_head.pyramid.output_conv", None
            found[f"{head}.logits"] = f"{head}_head.output", None
    if "track" in config.heads:
        found["track.fmap_conv1"] = "track_head.pyramid.output_conv", None
        for step in range(config.track_iterations):
            found[f"track.corr_mlp.{step}"] = "track_head.tracker.corr_mlp", step
            found[f"track.delta.{step}"] = "track_head.tracker.update.flow_head", step
            found[f"track.feat_update.{step}"] = "track_head.tracker.feature_update", step
    return found


def official_module(ours: str) -> str:
    """The official network's name of one of our modules."""
    return official_name(f"{ours}.out.").removesuffix(".out.").removesuffix(".out_conv.")


@torch.no_grad()
def record(
    network: nn.Module, places: Places, forward: Callable[[], dict[str, Tensor]]
) -> tuple[dict[str, Tensor], dict[str, torch.dtype]]:
    """Every stage and output of one forward pass without gradients, in the order of computation.

    Args:
        network: Whose modules are watched; as it is: evaluation or training mode, any device.
        places: Where each stage is found.
        forward: Runs the network and returns its outputs by name (`out.*`).

    Returns:
        values by stage, and for every stage the type in which its products were formed. Outputs were
        computed like the last stage before them. Stages whose module was not called are left out.

    Raises:
        ValueError: the network has no such module.
    """
    modules, calls, types = dict(network.named_modules()), defaultdict(list), {}
    watched = list(dict.fromkeys(module for module, _ in places.values()))
    if missing := [name for name in watched if name not in modules]:
        raise ValueError(f"{type(network).__name__} lacks {len(missing)} modules, first {missing[0]!r}.")

    def keep(name: str, out) -> None:
        out = out[0] if isinstance(out, (tuple, list)) else out
        calls[name].append(out.detach().clone())  # a copy: whoever comes next may work in place
        kind = out.device.type
        types[name] = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else out.dtype

    with ExitStack() as hooks:
        for name in watched:
            hook = modules[name].register_forward_hook(lambda _, __, out, name=name: keep(name, out))
            hooks.callback(hook.remove)
        outputs = forward()
    found = {}
    for stage, (module, call) in places.items():
        if values := calls[module] if call is None else calls[module][call : call + 1]:
            found[stage] = values[0] if len(values) == 1 else torch.cat(values)
    found |= outputs
    found, arithmetic, last = {stage: found[stage] for stage in in_order(found)}, {}, torch.float32
    for stage in found:
        last = arithmetic[stage] = types[places[stage][0]] if stage in places else last
    return found, arithmetic


def observe(
    model: VGGT, images: Tensor, points: Tensor | None = None
) -> tuple[dict[str, Tensor], dict[str, torch.dtype]]:
    """`record` of our network; images and points are as for `VGGT`."""
    found, types = record(model, stages(model.config), lambda: outputs(model(images, points)))
    for name in found:
        if name.startswith(("track.corr_mlp", "track.feat_update")):
            found[name] = found[name].transpose(
                1, 2
            )  # (B, S, N, C), and (B, N, S, C) in the official tracker
    return found, types


def run_with_stages(model: VGGT, images: Tensor, points: Tensor | None = None) -> dict[str, Tensor]:
    """The values of `observe` alone."""
    return observe(model, images, points)[0]


def outputs(pred: Predictions) -> dict[str, Tensor]:
    """Predictions by their names among the stages."""
    found = {f"out.{official}": getattr(pred, ours) for official, ours in OUTPUTS.items()}
    found |= {f"out.pose_enc.{i}": encoding for i, encoding in enumerate(pred.pose_encodings)}
    return {name: value for name, value in found.items() if value is not None}


def summarise(value: Tensor, form: str) -> Tensor:
    """A stage in the form in which files store it.

    Args:
        form: "" all of it, "first" its first image, "take" 512 evenly spread elements, "stat" mean,
            standard deviation and largest magnitude.
    """
    if form == "first":
        return value[:1]
    if form == "take":
        flat = value.flatten()
        steps = torch.linspace(0, flat.numel() - 1, min(512, flat.numel()), dtype=torch.float64)
        return flat[steps.round().long()]
    if form == "stat":
        exact = value.double()
        return torch.stack([exact.mean(), exact.std(unbiased=False), exact.abs().max()])
    return value
