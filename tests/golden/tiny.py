"""The tiny configuration of the golden files, and how its stages are called here."""

import torch
from torch import Tensor, nn

from tests.golden.loader import metadata, probe, rule_images, rule_points, rule_tensor
from vggt_lite import VGGT, ModelConfig
from vggt_lite.model import Predictions
from vggt_lite.names import official_name
from vggt_lite.weights import from_official, load_into

GOLDEN_TINY = ModelConfig(
    image_size=70,
    patch_size=14,
    dim=64,
    num_heads=4,
    vit_depth=2,
    depth=4,
    camera_depth=2,
    camera_num_heads=4,
    dense_layers=(0, 1, 2, 3),
    dense_dims=(24, 32, 40, 48),
    dense_dim=32,
    track_dim=16,
    track_fused=16,
    track_levels=3,
    track_radius=3,
    track_hidden=48,
    track_num_heads=8,
    track_depth=2,
    track_virtual=64,
    track_flow_scale=518.0,
    track_position_embedding=False,
    pixel_center=0.0,
)


def load_rule(model: VGGT, variant: str = "") -> VGGT:
    """Fill a model with the rule's weights, by way of the official names."""
    official = {
        official_name(key): rule_tensor(official_name(key), value.shape, variant)
        for key, value in model.state_dict().items()
    }
    load_into(model, from_official(official), "the weight rule")
    return model


def case_inputs(case: dict) -> tuple[Tensor, Tensor | None]:
    """Images (B, S, 3, H, W) and query points (B, N, 2) of a golden case."""
    batch, frames, size = case["batch"], case["frames"], (case["height"], case["width"])
    images = rule_images(case["images"], batch * frames, *size).unflatten(0, (batch, frames))
    if "points" not in case:
        return images, None
    points = [rule_points(f"{case['points']}{b}", case["num_points"], *size) for b in range(batch)]
    return images, torch.stack(points)


def stages(config: ModelConfig) -> dict[str, tuple[str, int]]:
    """Name in the golden file → (our module, which call of it)."""
    found = {f"vit.block.{i}": (f"aggregator.patch_embed.blocks.{i}", 0) for i in range(config.vit_depth)}
    found["vit.norm"] = ("aggregator.patch_embed.norm", 0)
    for i in range(config.depth):
        found[f"agg.frame.{i}"] = (f"aggregator.frame_blocks.{i}", 0)
        found[f"agg.global.{i}"] = (f"aggregator.global_blocks.{i}", 0)
    found["cam.token_norm"] = ("camera_head.token_norm", 0)
    for step in range(4):
        found[f"cam.delta.{step}"] = ("camera_head.pose_branch", step)
        found[f"track.corr_mlp.{step}"] = ("track_head.tracker.corr_mlp", step)
        found[f"track.delta.{step}"] = ("track_head.tracker.update.flow_head", step)
        found[f"track.feat_update.{step}"] = ("track_head.tracker.feature_update", step)
    for head in ("depth", "point"):
        for k in range(4):
            found[f"{head}.refinenet{k + 1}"] = (f"{head}_head.pyramid.fusions.{k}", 0)
        found[f"{head}.conv1"] = (f"{head}_head.pyramid.output_conv", 0)
        found[f"{head}.logits"] = (f"{head}_head.output", 0)
    found["track.fmap_conv1"] = ("track_head.pyramid.output_conv", 0)
    return found


def run_with_stages(model: VGGT, images: Tensor, points: Tensor | None) -> dict[str, Tensor]:
    """Every stage and output of one forward pass, by its name in the golden file."""
    modules, wanted, calls, handles = dict(model.named_modules()), stages(model.config), {}, []
    for name in {module for module, _ in wanted.values()}:

        def keep(_module: nn.Module, _inputs: tuple, out: Tensor, name: str = name) -> None:
            calls.setdefault(name, []).append(out.detach())

        handles.append(modules[name].register_forward_hook(keep))
    try:
        with torch.no_grad():
            found = outputs(model(images, points))
    finally:
        for handle in handles:
            handle.remove()
    for stage, (name, call) in wanted.items():
        if len(calls.get(name, [])) > call:
            value = calls[name][call]
            # the files hold (B, N, S, C) where our tracker works on (B, S, N, C)
            by_view = stage.startswith(("track.corr_mlp", "track.feat_update"))
            found[stage] = value.transpose(1, 2) if by_view else value
    return found


def outputs(pred: Predictions) -> dict[str, Tensor]:
    """Predictions by their names in the golden file."""
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
    """The form in which a stage was stored: all of it, its first image, 512 elements, or statistics."""
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


def gradient_loss(pred: Predictions, all_iterations: bool) -> Tensor:
    """The scalar whose gradients were stored: a fixed random mean of every output.

    The probe weights of depth were drawn for the shape (B, S, H, W, 1), which holds the same numbers.
    """
    found = outputs(pred)
    if all_iterations:
        found.pop("out.track")
        found |= {f"out.track.{i}": tracks for i, tracks in enumerate(pred.tracks_list)}
    return sum((value * probe(name, value)).mean() for name, value in found.items())


CASES = metadata("tiny")["cases"]
