"""All metrics by name; each is explained where it is defined."""

from vggt_lite.evaluation.depths import align_depth, depth_metrics
from vggt_lite.evaluation.points import point_metrics
from vggt_lite.evaluation.poses import area_under_curve, pose_auc, relative_pose_errors
from vggt_lite.evaluation.tracks import track_metrics
from vggt_lite.evaluation.trajectories import trajectory_metrics

__all__ = [
    "align_depth",
    "area_under_curve",
    "depth_metrics",
    "point_metrics",
    "pose_auc",
    "relative_pose_errors",
    "track_metrics",
    "trajectory_metrics",
]
