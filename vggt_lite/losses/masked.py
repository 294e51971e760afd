"""Means over the entries that count, and which entries those are."""

import torch
from torch import Tensor

LIMIT = 100.0  # the release clamps errors and targets to this, in scene units


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean () of the values where mask is True (same shape, or broadcast to it).

    With an empty mask it is 0, and so is its gradient.
    """
    mask = mask.expand_as(values)
    return torch.where(mask, values, 0.0).sum() / mask.sum().clamp_min(1)


def clamp_finite(x: Tensor, limit: float = LIMIT) -> Tensor:
    """x clamped to ±limit, with 0 in place of NaN and ±Inf: one bad pixel must not end a training."""
    return torch.where(torch.isfinite(x), x, 0.0).clamp(-limit, limit)


def trim_largest(values: Tensor, mask: Tensor, fraction: float, least: int = 1000) -> Tensor:
    """Mask of the smallest `fraction` of the masked values: drops the outliers of a batch.

    Args:
        values: any shape.
        mask: bool, same shape: the n entries among which to choose.
        fraction: 0 < fraction < 1, for example 0.98.
        least: if no more than this many entries would be left, all are kept.

    Returns:
        Bool mask: entries strictly smaller than the quantile, which is the value with
        round(fraction · (n − 1)) smaller ones before it, and than 100.
    """
    candidates = values.detach()[mask]  # (n,)
    if not len(candidates):
        return mask
    rank = round(fraction * (len(candidates) - 1))
    # The quantile is the least of the n − rank largest. `kthvalue` says the same, but on a GPU torch refuses
    # it where operations have to be deterministic.
    quantile = candidates.topk(len(candidates) - rank, sorted=False).values.min()
    kept = mask & (values.detach() < quantile.clamp(max=LIMIT))
    return kept if kept.sum() > least else mask
