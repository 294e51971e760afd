"""Metrics, and the protocol by which a model is scored with them."""

from vggt_lite.evaluation.consistency import road_disagreement
from vggt_lite.evaluation.metrics import (
    depth_metrics,
    point_metrics,
    pose_auc,
    relative_pose_errors,
    track_metrics,
    trajectory_metrics,
)
from vggt_lite.evaluation.protocols import evaluate
from vggt_lite.evaluation.report import Report, bundled_report

__all__ = [
    "Report",
    "bundled_report",
    "depth_metrics",
    "evaluate",
    "point_metrics",
    "pose_auc",
    "relative_pose_errors",
    "road_disagreement",
    "track_metrics",
    "trajectory_metrics",
]
