"""Does this network compute what the official one computes? Stage by stage, with figures."""

from vggt_lite.parity.checks import verify_golden, verify_precision
from vggt_lite.parity.rule import rule_images, rule_model, rule_points, rule_tensor, rule_weights
from vggt_lite.parity.sides import verify_official
from vggt_lite.parity.stages import run_with_stages, stages
from vggt_lite.parity.table import Row, Table

__all__ = [
    "Row",
    "Table",
    "rule_images",
    "rule_model",
    "rule_points",
    "rule_tensor",
    "rule_weights",
    "run_with_stages",
    "stages",
    "verify_golden",
    "verify_official",
    "verify_precision",
]
