"""Losses on the shape of a surface: neighbouring pixels should differ as they do in the truth.

A depth map may be right on average and still be bumpy. These terms look at differences between neighbours
(depth) and at normals (point maps), at several scales: every pixel, every second, every fourth…
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from vggt_lite.losses.masked import LIMIT, clamp_finite, masked_mean

ALPHA = 0.2  # weight of −log confidence
MIN_NORMALS = 10  # fewer comparable normals than this say nothing


def weigh_by_confidence(error: Tensor, confidence: Tensor, alpha: float = ALPHA) -> Tensor:
    """error · c − α log c: its minimum over c lies at c = α / error, so c says how sure one may be."""
    return error * confidence - alpha * torch.log(confidence)


def over_scales(loss, maps: tuple[Tensor | None, ...], num_scales: int) -> Tensor:
    """Mean of `loss(*maps)` over scales; scale s keeps every 2^s-th row and column (axes 1 and 2)."""
    total = 0.0
    for step in (2**scale for scale in range(num_scales)):
        total = total + loss(*(x if x is None else x[:, ::step, ::step] for x in maps))
    return total / num_scales


def difference_loss(pred: Tensor, target: Tensor, valid: Tensor, confidence: Tensor | None = None) -> Tensor:
    """How differently prediction and truth change from pixel to pixel, as the release counts it.

    Args:
        pred: (M, H, W, C).
        target: (M, H, W, C).
        valid: (M, H, W) bool.
        confidence: (M, H, W) or None. With it every difference becomes error · c − α log c, where c is that
            of the right or lower pixel; the −α log c also counts where a pixel is invalid (sic).

    Returns:
        (): both directions summed over everything, divided by the number of valid entries (not of pairs).
    """
    error = torch.where(valid[..., None], pred - target, 0.0)
    total = 0.0
    for axis in (1, 2):
        size = error.shape[axis]
        later, earlier = (error.narrow(axis, 1, size - 1), error.narrow(axis, 0, size - 1))
        both = valid.narrow(axis, 1, size - 1) & valid.narrow(axis, 0, size - 1)
        change = ((later - earlier).abs() * both[..., None]).clamp(max=LIMIT)
        if confidence is not None:
            change = weigh_by_confidence(change, confidence.narrow(axis, 1, size - 1)[..., None])
        total = total + change.sum()
    count = valid.sum() * pred.shape[-1]
    return torch.where(count > 0, total / count.clamp_min(1), 0.0 * total)


def normal_loss(pred: Tensor, target: Tensor, valid: Tensor, confidence: Tensor | None = None) -> Tensor:
    """1 − cosine between predicted and true surface normals, averaged over four normals per pixel.

    Args:
        pred: (M, H, W, 3) points.
        target: (M, H, W, 3) points.
        valid: (M, H, W) bool.
        confidence: (M, H, W) of the pixels, or None.

    Returns:
        (): 0 if fewer than 10 normals can be compared.
    """
    pred_normals, comparable = surface_normals(pred, valid)
    target_normals, _ = surface_normals(target, valid)
    loss = 1 - (pred_normals * target_normals).sum(0).clamp(-1, 1)  # (4, M, H, W)
    if confidence is not None:
        loss = weigh_by_confidence(loss, confidence)
    mean = masked_mean(loss, comparable)
    return torch.where(comparable.sum() >= MIN_NORMALS, mean, 0.0 * mean)


def surface_normals(points: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Four normals per pixel, one from each pair of adjacent neighbours.

    Args:
        points: (M, H, W, 3).
        valid: (M, H, W) bool.

    Returns:
        normals: (3, 4, M, H, W) of length 1: x, y and z of the normals up×left, left×down, down×right,
            right×up. Coordinates come first because arithmetic on whole planes is several times faster.
        comparable: (4, M, H, W) bool: the pixel and both its neighbours are valid.
    """
    padded = F.pad(points.movedim(-1, 0), (1, 1, 1, 1))  # (3, M, H + 2, W + 2)
    around = _four_neighbours(padded) - padded[:, None, :, 1:-1, 1:-1]  # (3, 4, M, H, W), against the clock
    has = _four_neighbours(F.pad(valid, (1, 1, 1, 1))[None])[0]  # False outside the image
    comparable = has & has.roll(-1, dims=0) & valid

    (ax, ay, az), (bx, by, bz) = around, around.roll(-1, dims=1)
    normals = torch.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx])  # a × b
    squared_length = (normals * normals).sum(0)
    return normals / squared_length.clamp_min(1e-16).sqrt(), comparable


def _four_neighbours(padded: Tensor) -> Tensor:
    """(C, 4, M, H, W): what stands above, left of, below and right of each pixel of (C, M, H + 2, W + 2)."""
    up, down = padded[..., :-2, 1:-1], padded[..., 2:, 1:-1]
    left, right = padded[..., 1:-1, :-2], padded[..., 1:-1, 2:]
    return torch.stack([up, left, down, right], dim=1)


def paper_difference(error: Tensor, valid: Tensor, confidence: Tensor) -> Tensor:
    """Mean of c · |∇ error| over valid pairs of neighbours, both directions summed: the paper's form.

    Args:
        error: (M, H, W, C) prediction − truth; since ∇ is linear, its gradient is that of the difference.
        valid: (M, H, W) bool.
        confidence: (M, H, W); a pair takes that of its left or upper pixel.
    """
    total = 0.0
    for axis in (1, 2):
        size = error.shape[axis]
        change = (error.narrow(axis, 1, size - 1) - error.narrow(axis, 0, size - 1)).norm(dim=-1)
        both = valid.narrow(axis, 1, size - 1) & valid.narrow(axis, 0, size - 1)
        total = total + masked_mean(clamp_finite(change) * confidence.narrow(axis, 0, size - 1), both)
    return total
