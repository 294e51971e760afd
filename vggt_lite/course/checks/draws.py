"""Random numbers for the cases of checks."""

import torch
from torch import Tensor


def draws(*shapes: tuple[int, ...], seed: int = 0) -> tuple[Tensor, ...]:
    """Normal random tensors of these shapes, from a generator of their own."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(shape, generator=generator) for shape in shapes)


def draw(*shape: int, seed: int = 0) -> Tensor:
    """One of them."""
    return draws(shape, seed=seed)[0]
