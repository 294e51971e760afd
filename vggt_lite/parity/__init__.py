"""Does this network compute what the official one computes? Stage by stage, with figures."""

from vggt_lite.parity.checks import verify_golden, verify_precision
from vggt_lite.parity.deterministic_weights import (
    deterministic_images,
    deterministic_model,
    deterministic_points,
    deterministic_state_dict,
    deterministic_tensor,
)
from vggt_lite.parity.official import verify_official
from vggt_lite.parity.stages import run_with_stages, stages
from vggt_lite.parity.table import Row, Table

__all__ = [
    "Row", "Table", "run_with_stages", "stages", "verify_golden", "verify_official", "verify_precision",
    "deterministic_images", "deterministic_model", "deterministic_points", "deterministic_tensor",
    "deterministic_state_dict",
]  # fmt: skip
