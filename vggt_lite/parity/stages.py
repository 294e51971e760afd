"""The stages of a forward pass by common names, read with hooks from our network or the official one.

A stage is the output of a module: `agg.frame.3` is what the fourth frame block returns. The names are
those of the golden files, so any two of {our network, the official one, a file} can be compared.
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vggt_lite.config import ModelConfig
from vggt_lite.model import VGGT, Predictions

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


class Stage(NamedTuple):
    """Where a stage is found: module in our network, module in the official one, and which of its calls.

    `call` None joins all calls: dense heads may take views in several portions.
    """

    ours: str
    official: str
    call: int | None


def part(stage: str) -> str:
    """The part a stage belongs to, a key of `PARTS`."""
    return next(prefix for prefix in PARTS if stage.startswith(prefix))


def in_order(names: Iterable[str]) -> list[str]:
    """Names of stages by part; within a part they stay as they are."""
    order = list(PARTS)
    return sorted(names, key=lambda name: order.index(part(name)))


def stages(config: ModelConfig) -> dict[str, Stage]:
    """Every stage of a network of this configuration, in the order of computation."""
    found = {}

    def add(name: str, ours: str, official: str = "", call: int | None = 0) -> None:
        found[name] = Stage(ours, official or ours, call)

    if config.patch_embed == "vit":
        for i in range(config.vit_depth):
            add(f"vit.block.{i}", f"aggregator.patch_embed.blocks.{i}")
        add("vit.norm", "aggregator.patch_embed.norm")
    for i in range(config.depth):
        add(f"agg.frame.{i}", f"aggregator.frame_blocks.{i}")
        add(f"agg.global.{i}", f"aggregator.global_blocks.{i}")
    if "camera" in config.heads:
        add("cam.token_norm", "camera_head.token_norm")
        for step in range(config.camera_iterations):
            add(f"cam.delta.{step}", "camera_head.pose_branch", call=step)
    for head in ("depth", "point"):
        if head in config.heads:
            ours, official = f"{head}_head.pyramid", f"{head}_head.scratch"
            for k in (4, 3, 2, 1):
                add(f"{head}.refinenet{k}", f"{ours}.fusions.{k - 1}", f"{official}.refinenet{k}", None)
            add(f"{head}.conv1", f"{ours}.output_conv", f"{official}.output_conv1", None)
            add(f"{head}.logits", f"{head}_head.output", f"{official}.output_conv2", None)
    if "track" in config.heads:
        official = "track_head.feature_extractor.scratch.output_conv1"
        add("track.fmap_conv1", "track_head.pyramid.output_conv", official, None)
        tracker = "track_head.tracker"
        for step in range(config.track_iterations):
            flow_head = f"{tracker}.updateformer.flow_head"
            add(f"track.corr_mlp.{step}", f"{tracker}.corr_mlp", call=step)
            add(f"track.delta.{step}", f"{tracker}.update.flow_head", flow_head, step)
            add(f"track.feat_update.{step}", f"{tracker}.feature_update", f"{tracker}.ffeat_updater", step)
    return found


class Watch:
    """Keeps what named modules return while it is open.

        with Watch(model, ["aggregator.frame_blocks.0"]) as seen:
            model(images)
        seen.value("aggregator.frame_blocks.0", call=0)

    Raises:
        ValueError: the model has no such module.
    """

    def __init__(self, model: nn.Module, names: Iterable[str]) -> None:
        self.calls: dict[str, list[Tensor]] = {}
        self.arithmetic: dict[str, torch.dtype] = {}  # the type in which a module's products were formed
        modules = dict(model.named_modules())
        self.modules = {name: modules[name] for name in dict.fromkeys(names) if name in modules}
        if missing := [name for name in names if name not in modules]:
            raise ValueError(f"{type(model).__name__} lacks {len(missing)} modules, first {missing[0]!r}.")

    def __enter__(self) -> "Watch":
        self.handles = [
            module.register_forward_hook(lambda _, __, out, name=name: self.keep(name, out))
            for name, module in self.modules.items()
        ]
        return self

    def keep(self, name: str, out) -> None:
        out = out[0] if isinstance(out, (tuple, list)) else out
        # a copy: whoever comes next may work in place
        self.calls.setdefault(name, []).append(out.detach().clone())
        kind = out.device.type
        autocast = torch.is_autocast_enabled(kind)
        self.arithmetic[name] = torch.get_autocast_dtype(kind) if autocast else out.dtype

    def __exit__(self, *_) -> None:
        for handle in self.handles:
            handle.remove()

    def value(self, name: str, call: int | None) -> Tensor | None:
        """What a module returned in one of its calls, or in all, joined; None if it was not called."""
        calls = self.calls.get(name, [])
        if call is None:
            return torch.cat(calls) if len(calls) > 1 else (calls or [None])[0]
        return calls[call] if call < len(calls) else None

    def types(self, found: Iterable[str], modules: dict[str, str]) -> dict[str, torch.dtype]:
        """The arithmetic of stages, given in order; an output's is that of the stage before it."""
        types, last = {}, torch.float32
        for name in found:
            last = types[name] = self.arithmetic[modules[name]] if name in modules else last
        return types


def observe(
    model: VGGT, images: Tensor, points: Tensor | None = None
) -> tuple[dict[str, Tensor], dict[str, torch.dtype]]:
    """Every stage and output of one forward pass without gradients, in the order of computation.

    Args:
        model: As it is: evaluation or training mode, any device; autocast around the call counts.
        images, points: As for `VGGT`.

    Returns:
        values by stage, on the model's device, and for every stage the type in which it was computed.
        Outputs (`out.*`) were computed like the last stage before them.
    """
    wanted = stages(model.config)
    with torch.no_grad(), Watch(model, [stage.ours for stage in wanted.values()]) as seen:
        ends = outputs(model(images, points))
    found = {}
    for name, stage in wanted.items():
        value = seen.value(stage.ours, stage.call)
        if value is not None:
            # the official tracker works on (B, N, S, C) where ours works on (B, S, N, C)
            by_view = name.startswith(("track.corr_mlp", "track.feat_update"))
            found[name] = value.transpose(1, 2) if by_view else value
    found |= ends
    found = {name: found[name] for name in in_order(found)}
    return found, seen.types(found, {name: stage.ours for name, stage in wanted.items()})


def run_with_stages(model: VGGT, images: Tensor, points: Tensor | None = None) -> dict[str, Tensor]:
    """The values of `observe` alone."""
    return observe(model, images, points)[0]


def outputs(pred: Predictions) -> dict[str, Tensor]:
    """Predictions by their names among the stages."""
    found = {
        "out.depth": pred.depth,
        "out.depth_conf": pred.depth_conf,
        "out.world_points": pred.point_map,
        "out.world_points_conf": pred.point_conf,
        "out.track": pred.tracks,
        "out.vis": pred.track_visibility,
        "out.conf": pred.track_conf,
    }
    found |= {f"out.pose_enc.{i}": encoding for i, encoding in enumerate(pred.pose_encodings)}
    return {name: value for name, value in found.items() if value is not None}


def summarise(value: Tensor, form: str) -> Tensor:
    """A stage in the form in which files store it.

    Args:
        form: "" all of it, "first" its first image, "take" 512 evenly spread elements, "stat" mean,
            standard deviation and largest magnitude.
    """
    value = value.detach()
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
