"""Means over the entries that count, written so that a GPU never has to wait for the CPU.

Selecting entries (`x[mask].mean()`) makes the CPU ask the GPU how many there are. Here nothing is
selected: what does not count is multiplied away, and an empty mask gives 0 with a zero gradient.

`batch_sum` is a sum over the batch, also where several processes hold its scenes.
"""

import torch
from torch import Tensor

from vggt_lite.research import distributed
from vggt_lite.research.distributed import batch_sum

LIMIT = 100.0  # the release bounds errors and targets by this, in scene units


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean () of the values where mask is True (same shape, or broadcast to it); 0 if it is nowhere."""
    mask = mask.expand_as(values)
    return batch_sum(torch.where(mask, values, 0.0)) / batch_sum(mask).clamp_min(1)


def clamp_finite(x: Tensor, limit: float = LIMIT) -> Tensor:
    """x clamped to ±limit, with 0 in place of NaN and ±Inf: one bad pixel must not end a training."""
    return torch.where(torch.isfinite(x), x, 0.0).clamp(-limit, limit)


def trim_largest(values: Tensor, mask: Tensor, fraction: float, least: int = 1000) -> Tensor:
    """Mask of the smallest `fraction` of the masked values: drops the outliers of a batch.

    Args:
        values: any shape.
        mask: bool, same shape: the n entries among which to choose.
        fraction: 0 < fraction < 1, for example 0.98.
        least: with no more than this many entries left, all are kept.

    Returns:
        Bool mask: entries strictly smaller than the one of rank round(fraction · (n − 1)), and than 100.
    """
    rank = torch.round(fraction * (batch_sum(mask) - 1).to(_precise(values))).long()
    threshold = kth_value(values.detach(), mask, rank).clamp(max=LIMIT)
    kept = mask & (values.detach() < threshold)
    return torch.where(batch_sum(kept) > least, kept, mask)


def kth_value(values: Tensor, mask: Tensor, rank: Tensor) -> Tensor:
    """The value () that has exactly `rank` smaller ones before it, of the masked float32 values in order.

    One process on a CPU lets torch find it. But nobody can sort what lies with many processes, and a GPU
    would have to tell the CPU the rank. There the answer is put together from its highest bit to its lowest,
    each time asking: how many values are smaller than that? Slower by 2 to 4 times, and the same value.
    """
    if distributed.world_size() == 1 and values.device.type == "cpu":
        in_question = torch.where(mask, values.float(), torch.nan)  # NaN comes last
        return in_question.flatten().kthvalue(int(rank.clamp_min(0)) + 1).values
    whole_numbers = _in_order(values.float().view(torch.int32))
    whole_numbers = torch.where(mask, whole_numbers, torch.iinfo(torch.int32).max)
    found = torch.full((), -(2**31), device=values.device)
    for bit in reversed(range(32)):
        larger = found + 2**bit
        smaller_ones = batch_sum(whole_numbers < larger.to(torch.int32))
        found = torch.where(smaller_ones <= rank, larger, found)
    return _in_order(found.to(torch.int32)).view(torch.float32)


def _in_order(bits: Tensor) -> Tensor:
    """The bits of float32 values ⇄ int32 numbers in the same order: a negative value's are turned over."""
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


def _precise(x: Tensor) -> torch.dtype:
    """float64 where the device has it (Apple's does not)."""
    return torch.float32 if x.device.type == "mps" else torch.float64
