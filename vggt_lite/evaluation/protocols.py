"""`evaluate`: one model, one kind of scenes, all figures, beside what a constant answer scores."""

import math
import time
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from vggt_lite.config import SceneConfig
from vggt_lite.evaluation.components import COMPONENTS, correlations, motion_components
from vggt_lite.evaluation.constant import ConstantPredictor
from vggt_lite.evaluation.metrics import (
    depth_metrics,
    point_metrics,
    pose_auc,
    relative_pose_errors,
    track_metrics,
)
from vggt_lite.evaluation.report import Report, hardware, versions
from vggt_lite.geometry import unproject_depth
from vggt_lite.model.predictions import Predictions
from vggt_lite.runtime import progress
from vggt_lite.scenes.batch import SceneBatch
from vggt_lite.scenes.generate import FIRST_EVALUATION_SEED, generate_scenes
from vggt_lite.scenes.normalize import normalize_scene
from vggt_lite.training.losses.matching import matching_loss

TEXT = (
    "{num_scenes} generated scenes that nobody trained on (seeds {first_seed:,} to {last_seed:,}), "
    "{num_views} views each along the camera's path, {size} × {size} pixels, the first view as reference. "
    "Poses: all pairs of views, the larger of rotation and translation-direction error (folded to 90°) "
    "must stay below the threshold; AUC over whole degrees. Depth: one median scale per scene, all valid "
    "pixels. Points: similarity (Umeyama) over corresponding pixels, mean distance ÷ mean distance of the "
    "true points from the first camera. Tracks: {num_tracks} random points of view 0, TAP-Vid. "
    "Correlations: over all views but the first of all scenes."
)


def evaluate(
    model: nn.Module,
    num_scenes: int = 200,
    first_seed: int = FIRST_EVALUATION_SEED,
    num_views: int = 4,
    size: int = 64,
    scene_config: SceneConfig | None = None,
    num_tracks: int = 32,
    batch_size: int = 20,
    device: torch.device | str | None = None,
) -> Report:
    """Score a model on held-out generated scenes.

    Args:
        model: A `VGGT`; heads that it lacks are left out of the report.
        num_scenes: Scene i has the seed first_seed + i.
        scene_config: What to draw; None is NANO's domain.
        num_tracks: Points to follow per scene.
        batch_size: Scenes in one forward pass; does not change the figures.
        device: Where to compute; None is where the model is.

    Returns:
        A `Report`: print it for a table, `save` it as JSON.
    """
    started = time.monotonic()
    scene_config = scene_config or SceneConfig()
    device = torch.device(device or next(model.parameters()).device)
    constant = ConstantPredictor(scene_config, num_views, size, device=device)
    predictors = {"model": model.to(device).eval(), "constant": constant}
    scenes = held_out_scenes(
        num_scenes, first_seed, num_views, size, scene_config, num_tracks, batch_size, device
    )
    scores = score(predictors, scenes, model.config.patch_size)
    numbers = {"num_scenes": num_scenes, "first_seed": first_seed, "num_views": num_views, "size": size}
    text = TEXT.format(**numbers, last_seed=first_seed + num_scenes - 1, num_tracks=num_tracks)
    protocol = {
        "text": text, **numbers, "num_tracks": num_tracks, "scene_config": scene_config.to_dict(),
        "seconds": round(time.monotonic() - started, 1), "hardware": hardware(device),
        "versions": versions(),
    }  # fmt: skip
    return Report(scores["model"], scores["constant"], protocol)


def held_out_scenes(
    num_scenes: int,
    first_seed: int,
    num_views: int,
    size: int,
    scene_config: SceneConfig,
    num_tracks: int,
    batch_size: int,
    device: torch.device | str,
) -> Iterator[SceneBatch]:
    """The scenes of a protocol, `batch_size` at a time; arguments as for `evaluate`."""
    for first in progress(range(0, num_scenes, batch_size), desc="evaluate", unit="batch"):
        count = min(batch_size, num_scenes - first)
        yield generate_scenes(
            first_seed + first, count, num_views, size, size, device, num_tracks, scene_config
        )


def score(predictors: dict, scenes: Iterable[SceneBatch], patch_size: int) -> dict[str, dict[str, float]]:
    """All figures of several predictors on the same scenes.

    Args:
        predictors: By name; each is called like a `VGGT`.
        scenes: Batches with tracks.
        patch_size: Pixels, for the matching accuracy.
    """
    scores = {name: Scores() for name in predictors}
    for batch in scenes:
        for name, predictor in predictors.items():
            scores[name].add(predict(predictor, batch), batch, patch_size)
    return {name: found.result() for name, found in scores.items()}


@torch.inference_mode()
def predict(predictor, scenes: SceneBatch) -> Predictions:
    """Predictions for a batch of scenes, following the points that the truth follows."""
    tracks = getattr(predictor, "track_head", True) is not None and scenes.tracks is not None
    return predictor(scenes.images, scenes.tracks[:, 0] if tracks else None)


class Scores:
    """Collects what single scenes score, and sums it up."""

    def __init__(self) -> None:
        self.means: dict[str, list[float]] = {}  # figures that are averaged over scenes
        self.pools: dict[str, list[Tensor]] = {}  # values of which all scenes together give one figure

    def add(self, pred: Predictions, scenes: SceneBatch, patch_size: int) -> None:
        """Score each scene of a batch."""
        truth = normalize_scene(scenes)
        up = scenes.cam_from_world[:, 0, :, 2]  # (B, 3) the world's z axis in the first camera's frame
        if pred.cam_from_world is not None:
            self.pool("moved", motion_components(pred.cam_from_world, up).flatten(0, 1))
            self.pool("truly moved", motion_components(truth.cam_from_world, up).flatten(0, 1))
            self.pool("fov", (horizontal_fov(pred) - horizontal_fov(truth)).abs().rad2deg().flatten())
        for b in range(len(scenes)):
            one = Predictions(**{name: row(value, b) for name, value in vars(pred).items()})
            self.add_scene(one, truth.scene(b), patch_size)

    def add_scene(self, pred: Predictions, truth: SceneBatch, patch_size: int) -> None:
        """Score one scene (B = 1)."""
        if pred.patch_tokens is not None:
            self.mean("matching_accuracy", 100 * matching_loss(pred.patch_tokens, truth, patch_size)[1])
        if pred.cam_from_world is not None:
            cameras = (pred.cam_from_world[0], truth.cam_from_world[0])
            for key, value in pose_auc(*cameras, thresholds=(5, 10, 15, 30)).items():
                if key.startswith("auc"):
                    self.mean(key.replace("@", "_"), 100 * value)
            rotation, translation = relative_pose_errors(*cameras)
            self.pool("rotation", rotation.flatten())
            self.pool("translation", translation.flatten())
        if pred.depth is not None:
            depth = depth_metrics(pred.depth[0], truth.depth[0], truth.valid[0], alignment="median")
            self.mean("depth_abs_rel", depth["abs_rel"])
            self.mean("depth_delta_125", 100 * depth["delta_1.25"])
            if pred.cam_from_world is not None:
                points = unproject_depth(pred.depth, pred.intrinsics, pred.cam_from_world)
                self.mean("depth_point_error", point_error(points, truth))
        if pred.point_map is not None:
            self.mean("point_error", point_error(pred.point_map, truth))
        if pred.tracks is not None:
            self.add_tracks(pred, truth)

    def add_tracks(self, pred: Predictions, truth: SceneBatch) -> None:
        args = (pred.tracks[0], pred.track_visibility[0] > 0.5, truth.tracks[0], truth.track_visibility[0])
        scaled = track_metrics(*args, image_size=tuple(truth.images.shape[-2:]))
        plain = track_metrics(*args, image_size=(256, 256))  # as if nothing had to be scaled
        self.mean("track_delta", 100 * scaled["delta_avg"])
        self.mean("track_aj", 100 * scaled["average_jaccard"])
        self.mean("track_oa", 100 * scaled["occlusion_accuracy"])
        self.mean("track_delta_px", 100 * plain["delta_avg"])
        self.mean("track_aj_px", 100 * plain["average_jaccard"])

    def mean(self, key: str, value: float | Tensor) -> None:
        """Add one scene's value; NaN says that the scene has nothing to measure, and is left out."""
        if not math.isnan(value):
            self.means.setdefault(key, []).append(float(value))

    def pool(self, key: str, values: Tensor) -> None:
        self.pools.setdefault(key, []).append(values.detach().cpu())

    def result(self) -> dict[str, float]:
        """All figures by the names of `report.ROWS`."""
        found = {key: sum(values) / len(values) for key, values in self.means.items()}
        pools = {key: torch.cat(values) for key, values in self.pools.items()}
        if "rotation" in pools:
            found["rra_15"] = 100 * (pools["rotation"] < 15).float().mean().item()
            found["rta_15"] = 100 * (pools["translation"] < 15).float().mean().item()
            found["rotation_median_deg"] = pools["rotation"].median().item()
            found["translation_median_deg"] = pools["translation"].median().item()
            found["fov_median_deg"] = pools["fov"].median().item()
            together = correlations(pools["moved"], pools["truly moved"])
            found |= {f"correlation_{name}": together[name] for name in COMPONENTS}
        return found


def row(value, b: int):
    """Scene b of a tensor or a list of tensors, still with its batch axis."""
    if isinstance(value, list):
        return [x[b : b + 1] for x in value]
    return value if value is None else value[b : b + 1]


def horizontal_fov(cameras: Predictions | SceneBatch) -> Tensor:
    """(B, S) radians."""
    width = cameras.images.shape[-1]
    return 2 * torch.atan(width / 2 / cameras.intrinsics[..., 0, 0])


def point_error(point_map: Tensor, truth: SceneBatch) -> float:
    """Mean distance of aligned points (1, S, H, W, 3) in units of the scene, whose scale is 1."""
    return point_metrics(point_map[0], truth.point_map[0], truth.valid[0], num_samples=0)["mean_distance"]
