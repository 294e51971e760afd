"""Means over the entries that count, written so that a GPU never has to wait for the CPU.

Selecting entries (`x[mask].mean()`) makes the CPU ask the GPU how many there are. Here nothing is
selected: what does not count is multiplied away, and an empty mask gives 0 with a zero gradient.
"""

import torch
from torch import Tensor

LIMIT = 100.0  # the release bounds errors and targets by this, in scene units


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean () of the values where mask is True (same shape, or broadcast to it); 0 if it is nowhere."""
    mask = mask.expand_as(values)
    return torch.where(mask, values, 0.0).sum() / mask.sum().clamp_min(1)


def bounded(x: Tensor, limit: float = LIMIT) -> Tensor:
    """x clamped to ±limit, with 0 in place of NaN and ±Inf: one bad pixel must not end a training."""
    return torch.where(torch.isfinite(x), x, 0.0).clamp(-limit, limit)


def smallest_fraction(values: Tensor, mask: Tensor, fraction: float, least: int = 1000) -> Tensor:
    """Mask of the smallest `fraction` of the masked values: drops the outliers of a batch.

    Args:
        values: any shape.
        mask: bool, same shape: the n entries among which to choose.
        fraction: 0 < fraction < 1, for example 0.98.
        least: with no more than this many entries left, all are kept.

    Returns:
        Bool mask: entries strictly smaller than the one of rank round(fraction · (n − 1)), and than 100.
    """
    flat = torch.where(mask, values.detach(), -torch.inf).flatten()
    count = mask.sum()
    # The threshold is among the largest few, so a full sort is not needed
    largest = flat.topk(min(len(flat), int((1 - fraction) * len(flat)) + 2)).values
    rank = torch.round(fraction * (count - 1).to(_precise(values))).long()
    place = (count - 1 - rank).clamp(0, len(largest) - 1)
    threshold = largest.gather(0, place[None]).clamp(max=LIMIT)  # `largest[place]` would wait for the GPU
    kept = mask & (values.detach() < threshold)
    return torch.where(kept.sum() > least, kept, mask)


def _precise(x: Tensor) -> torch.dtype:
    """float64 where the device has it (Apple's does not)."""
    return torch.float32 if x.device.type == "mps" else torch.float64
