"""The most precise numbers that a device has."""

import torch
from torch import Tensor


def precise_dtype(device: torch.device) -> torch.dtype:
    """float64; float32 on Apple's GPUs ("mps"), which have nothing longer."""
    return torch.float32 if device.type == "mps" else torch.float64


def precise(x: Tensor) -> Tensor:
    """x in the most precise format of its device: long sums and small angles need the digits."""
    return x.to(precise_dtype(x.device))
