"""All metrics by name; each is explained where it is defined."""

from vggt_lite.evaluation.depths import align_depth, depth_metrics
from vggt_lite.evaluation.icp import icp
from vggt_lite.evaluation.intervals import bootstrap_interval, group_mean
from vggt_lite.evaluation.neighbors import thin_cloud
from vggt_lite.evaluation.points import map_normals, point_metrics, surface_metrics
from vggt_lite.evaluation.poses import (
    accuracy_curve,
    area_under_curve,
    pose_auc,
    pose_scores,
    relative_pose_errors,
)
from vggt_lite.evaluation.tracks import choose_queries, track_metrics
from vggt_lite.evaluation.trajectories import trajectory_metrics

__all__ = [
    "accuracy_curve",
    "align_depth",
    "area_under_curve",
    "bootstrap_interval",
    "choose_queries",
    "depth_metrics",
    "group_mean",
    "icp",
    "map_normals",
    "point_metrics",
    "pose_auc",
    "pose_scores",
    "relative_pose_errors",
    "surface_metrics",
    "thin_cloud",
    "track_metrics",
    "trajectory_metrics",
]
