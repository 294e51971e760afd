"""Golden numbers of the official VGGT and the rule that makes its weights, as tests use them.

Both live in `vggt_lite.parity`, because `vggt-lite verify` needs them too; see README.md beside this file.
"""

import math

import torch
from torch import Tensor

from vggt_lite.parity.deterministic_weights import (
    deterministic_images,
    deterministic_points,
    deterministic_tensor,
    normal,
)
from vggt_lite.parity.golden import FOLDER, load, metadata
from vggt_lite.parity.table import allowed

__all__ = [
    "FOLDER",
    "load",
    "metadata",
    "probe",
    "deterministic_images",
    "deterministic_points",
    "deterministic_tensor",
    "worst_ratio",
]


def probe(name: str, like: Tensor) -> Tensor:
    """Fixed random weights, used to fold a tensor into one number."""
    return torch.from_numpy(normal("probe." + name, tuple(like.shape))).to(like)


def worst_ratio(got: Tensor, want: Tensor, noise: float = 0.0) -> float:
    """Largest error ÷ tolerance; passes when ≤ 1. Tolerance: 10 × max(measured noise, 2e-6 · max|x|)."""
    error = (got.detach().double().flatten() - want.double().flatten()).abs().max().item()
    return math.inf if math.isnan(error) else error / allowed(want, noise)
