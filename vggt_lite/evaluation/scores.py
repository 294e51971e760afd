"""`Scores`: what one predictor makes of generated scenes, scene by scene, and summed up."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from vggt_lite.data.normalize import normalize_scene
from vggt_lite.evaluation.metric_groups import depth_figures, path_figures, surface_figures
from vggt_lite.evaluation.motion_correlation import COMPONENTS, correlations, motion_components
from vggt_lite.evaluation.report import pair_histograms
from vggt_lite.geometry import unproject_depth
from vggt_lite.losses.matching import matching_loss
from vggt_lite.losses.scene_batch import SceneBatch
from vggt_lite.metrics import point_metrics, pose_scores, relative_pose_errors, track_metrics
from vggt_lite.metrics.depths import ALIGNMENTS
from vggt_lite.metrics.intervals import group_mean
from vggt_lite.model.predictions import Predictions
from vggt_lite.training.workers import Alone

ExtraScores = Callable[[Predictions, SceneBatch], dict[str, float]]
THRESHOLDS = (3, 5, 10, 15, 30)  # degrees
SURFACE_POINTS = 1000  # of a cloud, evenly spread, that look for the nearest of all points of the other
SURFACE_KEYS = ("accuracy", "completeness", "overall", "f_score")  # without medians: a page has its limits


def share_of(scenes: Sequence, workers: Alone) -> Sequence:
    """The neighbouring scenes that a process scores; shares differ by one at most."""
    first, last = (len(scenes) * rank // workers.world_size for rank in (workers.rank, workers.rank + 1))
    return scenes[first:last]


class Scores:
    """Collects what single scenes score, and sums it up.

    Args:
        thorough: also the figures that take as long as all others together: clouds compared as surfaces,
            and depth under every alignment. What is watched during a training does without.
        icp_distance: as for `point_metrics`, unit of the scene; of the surfaces only.
        extra: predictions and truth of one scene → further figures of your own, by name.
        upright: whether the worlds' z axes point up: then motion along the axes is correlated.
    """

    def __init__(
        self, thorough: bool = False, icp_distance: float | None = None, extra: ExtraScores | None = None,
        upright: bool = True,
    ) -> None:  # fmt: skip
        self.thorough, self.icp_distance, self.extra, self.upright = thorough, icp_distance, extra, upright
        self.scenes: list[dict[str, float]] = []  # figures of each scene, which are averaged
        self.pools: dict[str, list[Tensor]] = {}  # values of which all scenes together give one figure

    def add(self, pred: Predictions, scenes: SceneBatch, patch_size: int) -> None:
        """Score each scene of a batch."""
        truth = normalize_scene(scenes)
        if pred.cam_from_world is not None and self.upright:
            up = scenes.cam_from_world[:, 0, :, 2]  # (B, 3) the world's z axis in the first camera's frame
            self.pool("moved", motion_components(pred.cam_from_world, up).flatten(0, 1))
            self.pool("truly moved", motion_components(truth.cam_from_world, up).flatten(0, 1))
        if pred.cam_from_world is not None:
            fov, ratio = (
                horizontal_fov(pred) - horizontal_fov(truth),
                focal_length(pred) / focal_length(truth),
            )
            there = ratio.isfinite()  # the cameras that were found
            self.pool("fov", fov[there].abs().rad2deg())
            self.pool("focal", 100 * (ratio[there] - 1).abs())
        for b in range(len(scenes)):
            one = pred.apply(lambda x, b=b: x[b : b + 1])
            self.add_scene(one, truth.scene(b), patch_size)

    def begin_scene(self) -> None:
        """The figures that follow are those of one more scene."""
        self.scenes.append({})

    def add_scene(self, pred: Predictions, truth: SceneBatch, patch_size: int) -> None:
        """Score one scene (B = 1)."""
        self.begin_scene()
        if pred.patch_tokens is not None:
            _, accuracy = matching_loss(pred.patch_tokens, truth, patch_size)
            self.means({"matching_accuracy": 100 * accuracy})
        if pred.cam_from_world is not None:
            cameras = (pred.cam_from_world[0], truth.cam_from_world[0])
            self.add_pairs(*relative_pose_errors(*cameras))
            self.means(path_figures(*cameras))
        if pred.depth is not None:
            alignments = ALIGNMENTS if self.thorough else ("median",)
            self.means(depth_figures(pred.depth[0], truth.depth[0], truth.valid[0], alignments))
            if pred.cam_from_world is not None:
                points = unproject_depth(pred.depth, pred.intrinsics, pred.cam_from_world)
                self.add_points(points, truth, "depth_point_error", "depth")
        if pred.point_map is not None:
            self.add_points(pred.point_map, truth, "point_error", "point")
        if pred.tracks is not None:
            self.add_tracks(pred, truth)
        if self.extra is not None:
            self.means(self.extra(pred, truth))

    def add_pairs(self, rotation: Tensor, translation: Tensor) -> None:
        """Errors of all pairs of views of one scene (pairs,), degrees, as from `relative_pose_errors`."""
        found = pose_scores(rotation, translation, THRESHOLDS)
        self.means({f"auc_{degrees}": 100 * found[f"auc@{degrees}"] for degrees in THRESHOLDS})
        self.pool("rotation", rotation)
        self.pool("translation", translation)

    def add_points(self, point_map: Tensor, truth: SceneBatch, key: str, kind: str) -> None:
        """Points (1, S, H, W, 3), aligned: mean distance as `key`, and as surfaces, in units of the scene."""
        number = SURFACE_POINTS if self.thorough else 0
        points = (point_map[0], truth.point_map[0], truth.valid[0])
        found = point_metrics(*points, num_samples=number, icp_distance=self.icp_distance)
        self.means({key: found["mean_distance"]})
        if self.thorough:
            figures = surface_figures(found, kind)
            self.means({f"{kind}_{name}": figures[f"{kind}_{name}"] for name in SURFACE_KEYS})

    def add_tracks(self, pred: Predictions, truth: SceneBatch) -> None:
        args = (pred.tracks[0], pred.track_visibility[0] > 0.5, truth.tracks[0], truth.track_visibility[0])
        scaled = track_metrics(*args, image_size=tuple(truth.images.shape[-2:]))
        plain = track_metrics(*args, image_size=(256, 256))  # as if nothing had to be scaled
        found = {
            "track_delta": scaled["delta_avg"], "track_aj": scaled["average_jaccard"],
            "track_oa": scaled["occlusion_accuracy"], "track_delta_px": plain["delta_avg"],
            "track_aj_px": plain["average_jaccard"],
        }  # fmt: skip
        self.means({key: 100 * share for key, share in found.items()})

    def means(self, figures: Mapping[str, float | Tensor]) -> None:
        """Add values of one scene; NaN says that the scene has nothing to measure, and is left out."""
        known = {key: float(value) for key, value in figures.items()}
        self.scenes[-1] |= {key: value for key, value in known.items() if not math.isnan(value)}

    def pool(self, key: str, values: Tensor) -> None:
        """Add values of which all scenes together give one figure."""
        self.pools.setdefault(key, []).append(values.detach().cpu())

    def gather(self, workers: Alone) -> None:
        """Add what other processes collected: the scenes before and after those scored here (`share_of`)."""
        parts = workers.gather((self.scenes, self.pools))
        self.scenes = [scene for scenes, _ in parts for scene in scenes]
        keys = dict.fromkeys(key for _, pools in parts for key in pools)
        self.pools = {key: [x for _, pools in parts for x in pools.get(key, ())] for key in keys}

    def result(self) -> dict[str, float]:
        """All figures by the names of `report.ROWS`."""
        keys = dict.fromkeys(key for scene in self.scenes for key in scene)
        found = {key: group_mean([scene.get(key) for scene in self.scenes]) for key in keys}
        pools = {key: torch.cat(values) for key, values in self.pools.items()}
        if "rotation" in pools:
            found["rra_15"] = 100 * (pools["rotation"] < 15).float().mean().item()
            found["rta_15"] = 100 * (pools["translation"] < 15).float().mean().item()
            for name in ("rotation", "translation"):
                found[f"{name}_median_deg"] = float(np.median(pools[name]))
        if len(pools.get("fov", ())):
            found["fov_median_deg"] = float(np.median(pools["fov"]))
            found["focal_median_percent"] = float(np.median(pools["focal"]))
        if "moved" in pools:
            together = correlations(pools["moved"], pools["truly moved"])
            found |= {f"correlation_{name}": together[name] for name in COMPONENTS}
        return found

    def histograms(self) -> dict[str, list[int]]:
        """Errors of all pairs of views, as a `Report` keeps them; {} if no cameras were predicted."""
        if "rotation" not in self.pools:
            return {}
        return pair_histograms(torch.cat(self.pools["rotation"]), torch.cat(self.pools["translation"]))


def horizontal_fov(cameras: Predictions | SceneBatch) -> Tensor:
    """(B, S) radians."""
    width = cameras.images.shape[-1]
    return 2 * torch.atan(width / 2 / focal_length(cameras))


def focal_length(cameras: Predictions | SceneBatch) -> Tensor:
    """(B, S) pixels, of the width."""
    return cameras.intrinsics[..., 0, 0]
