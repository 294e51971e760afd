"""`Scores`: what one predictor makes of generated scenes, scene by scene, and summed up."""

import math

import torch
from torch import Tensor

from vggt_lite.evaluation.components import COMPONENTS, correlations, motion_components
from vggt_lite.evaluation.intervals import group_mean
from vggt_lite.evaluation.metrics import (
    depth_metrics,
    point_metrics,
    pose_auc,
    relative_pose_errors,
    track_metrics,
)
from vggt_lite.evaluation.report import pair_histograms
from vggt_lite.geometry import unproject_depth
from vggt_lite.model.predictions import Predictions
from vggt_lite.scenes.batch import SceneBatch
from vggt_lite.scenes.normalize import normalize_scene
from vggt_lite.training.losses.matching import matching_loss


class Scores:
    """Collects what single scenes score, and sums it up."""

    def __init__(self) -> None:
        self.scenes: list[dict[str, float]] = []  # figures of each scene, which are averaged
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
        self.scenes.append({})
        if pred.patch_tokens is not None:
            self.mean("matching_accuracy", 100 * matching_loss(pred.patch_tokens, truth, patch_size)[1])
        if pred.cam_from_world is not None:
            cameras = (pred.cam_from_world[0], truth.cam_from_world[0])
            for key, value in pose_auc(*cameras, thresholds=(5, 10, 15, 30)).items():
                if key.startswith("auc@"):
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
            self.scenes[-1][key] = float(value)

    def pool(self, key: str, values: Tensor) -> None:
        self.pools.setdefault(key, []).append(values.detach().cpu())

    def result(self) -> dict[str, float]:
        """All figures by the names of `report.ROWS`."""
        keys = dict.fromkeys(key for scene in self.scenes for key in scene)
        found = {key: group_mean([scene.get(key) for scene in self.scenes]) for key in keys}
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

    def histograms(self) -> dict[str, list[int]]:
        """Errors of all pairs of views, as a `Report` keeps them; {} if no cameras were predicted."""
        if "rotation" not in self.pools:
            return {}
        return pair_histograms(torch.cat(self.pools["rotation"]), torch.cat(self.pools["translation"]))


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
