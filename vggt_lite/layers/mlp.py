"""The two-layer perceptron of every transformer block, and LayerScale."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Mlp(nn.Module):
    """Linear, GELU, Linear, applied to each token alone.

    GELU is the exact form x · Φ(x); the tanh approximation differs by more than float noise.

    Args:
        dim: Channels of the input.
        hidden: Channels in between (4 · dim in every block of VGGT).
        out: Channels of the output; `dim` when omitted.
    """

    def __init__(self, dim: int, hidden: int, out: int | None = None) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, out or dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class LayerScale(nn.Module):
    """Multiply each channel by a learned factor (Touvron et al. 2021, arXiv:2103.17239).

    Starting near zero, every block begins as almost the identity and earns its influence.
    """

    def __init__(self, dim: int, initial: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim,), initial))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma
