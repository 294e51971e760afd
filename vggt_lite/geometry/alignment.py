"""The similarity (scale, rotation, translation) that lays one point set over another."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vggt_lite.geometry.precision import precise


@dataclass
class Similarity:
    """p ↦ scale · R p + t: a Sim(3). VGGT's scenes match the truth only up to one of these."""

    scale: Tensor  # ()
    rotation: Tensor  # (3, 3)
    translation: Tensor  # (3,) in units of the target

    def apply(self, points: Tensor) -> Tensor:
        """Move points (…, 3) into the target's frame."""
        return self.scale * points @ self.rotation.mT + self.translation

    def inverse(self) -> "Similarity":
        """The similarity that undoes this one."""
        back = self.rotation.mT
        return Similarity(1 / self.scale, back, -(back @ self.translation) / self.scale)

    def compose(self, inner: "Similarity") -> "Similarity":
        """The similarity that does what `inner` does, then what this one does."""
        return Similarity(
            self.scale * inner.scale, self.rotation @ inner.rotation, self.apply(inner.translation)
        )


def umeyama(
    source: Tensor, target: Tensor, weights: Tensor | None = None, with_scale: bool = True
) -> Similarity:
    """The similarity that brings corresponding points closest in the least-squares sense.

    Args:
        source: (N, 3) points.
        target: (N, 3) points; row i belongs to row i of `source`. At least three pairs, not on one line.
        weights: (N,) non-negative importance of each pair; None weighs all alike.
        with_scale: False keeps scale 1 (a rigid motion).

    Returns:
        The `Similarity` minimising Σ weight · |target − (scale · R source + t)|². Computed in float64
        (float32 on Apple's GPUs), returned in the dtype of `source`. R is a proper rotation, never a mirror
        image.

    Raises:
        ValueError: shapes differ, or fewer than three pairs have weight, or a value is not finite.

    Source: Umeyama, "Least-squares estimation of transformation parameters between two point patterns",
    IEEE PAMI 13(4), 1991, eqs. 40–43.
    """
    weights = torch.ones_like(source[..., 0]) if weights is None else weights
    _check_pairs(source, target, weights)
    x, y, w = precise(source), precise(target), precise(weights)
    w = w / w.sum()
    x_mean, y_mean = w @ x, w @ y
    x, y = x - x_mean, y - y_mean
    covariance = (w[:, None] * y).mT @ x  # (3, 3)
    u, singular, vt = torch.linalg.svd(covariance)
    keep_hand = torch.ones_like(singular)  # flip the weakest axis if the best fit would be a mirror image
    keep_hand[-1] = torch.det(u @ vt).sign()
    rotation = u @ torch.diag(keep_hand) @ vt
    variance = (w * (x * x).sum(-1)).sum()
    scale = (singular * keep_hand).sum() / variance if with_scale else torch.ones_like(variance)
    translation = y_mean - scale * rotation @ x_mean
    return Similarity(scale.to(source), rotation.to(source), translation.to(source))


def _check_pairs(source: Tensor, target: Tensor, weights: Tensor) -> None:
    if source.shape != target.shape or source.ndim != 2 or source.shape[-1] != 3:
        raise ValueError(
            f"source {tuple(source.shape)} and target {tuple(target.shape)} must both be (N, 3); "
            "select corresponding pixels first, for example points[valid]."
        )
    if weights.shape != source.shape[:1] or (weights > 0).sum() < 3:
        raise ValueError(
            f"weights {tuple(weights.shape)} must be ({len(source)},) with at least three positive entries: "
            "fewer than three pairs leave the rotation open."
        )
    if not (torch.isfinite(source).all() and torch.isfinite(target).all()):
        raise ValueError("source and target must be finite; drop NaN and Inf with a mask before aligning.")
