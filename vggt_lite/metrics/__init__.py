"""All metrics by name; each is explained where it is defined."""

from vggt_lite.metrics.consistency import depth_pointmap_consistency
from vggt_lite.metrics.depths import align_depth, depth_metrics
from vggt_lite.metrics.intervals import bootstrap_interval, group_mean
from vggt_lite.metrics.points import map_normals, point_metrics, surface_metrics
from vggt_lite.metrics.poses import (
    accuracy_curve,
    area_under_curve,
    pose_auc,
    pose_scores,
    relative_pose_errors,
)
from vggt_lite.metrics.tracks import choose_queries, track_metrics
from vggt_lite.metrics.trajectories import trajectory_metrics

__all__ = [
    "accuracy_curve", "align_depth", "area_under_curve", "bootstrap_interval", "choose_queries",
    "depth_metrics", "group_mean", "map_normals", "point_metrics", "pose_auc", "pose_scores",
    "relative_pose_errors", "depth_pointmap_consistency", "surface_metrics", "track_metrics",
    "trajectory_metrics",
]  # fmt: skip
