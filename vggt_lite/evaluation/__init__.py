"""Metrics, and the protocols by which a model is scored with them."""

from vggt_lite.evaluation.consistency import road_disagreement
from vggt_lite.evaluation.metrics import (
    accuracy_curve,
    bootstrap_interval,
    depth_metrics,
    point_metrics,
    pose_auc,
    pose_scores,
    relative_pose_errors,
    surface_metrics,
    track_metrics,
    trajectory_metrics,
)
from vggt_lite.evaluation.protocols import evaluate
from vggt_lite.evaluation.report import Report, bundled_report

__all__ = [
    "Report",
    "accuracy_curve",
    "bootstrap_interval",
    "bundled_report",
    "depth_metrics",
    "evaluate",
    "point_metrics",
    "pose_auc",
    "pose_scores",
    "relative_pose_errors",
    "road_disagreement",
    "surface_metrics",
    "track_metrics",
    "trajectory_metrics",
]
