"""Protocols, data sets and reports: a model scored with `vggt_lite.metrics`."""

from vggt_lite.evaluation.protocols import evaluate
from vggt_lite.evaluation.report import Report, bundled_report

__all__ = ["Report", "bundled_report", "evaluate"]
