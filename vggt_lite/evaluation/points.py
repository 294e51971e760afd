"""Point-cloud metrics: per pixel, where correspondence is known, and to the nearest surface."""

import torch
from torch import Tensor

from vggt_lite.geometry import umeyama


def point_metrics(
    pred: Tensor,
    true: Tensor,
    valid: Tensor,
    alignment: str = "similarity",
    threshold: float = 0.05,
    num_samples: int = 1000,
) -> dict[str, float]:
    """How far a point map, or a cloud with known correspondence, is from the truth.

    Distances to the nearest point are dominated by large walls, where some point is always near: report
    the per-pixel figures as well.

    Args:
        pred: (…, 3) points in any frame.
        true: (…, 3) points, same shape; their unit is that of all distances returned.
        valid: (…) bool: which points to compare.
        alignment: "similarity" (scale, rotation, translation by Umeyama over corresponding points),
            "rigid" (without scale) or "none".
        threshold: distance within which a point counts for the F-score.
        num_samples: how many points of each cloud look for their nearest neighbour in the other (all of
            it), evenly spread; 0 leaves out the nearest-neighbour figures and saves their time.

    Returns:
        Per pixel: mean_distance; relative_error, mean |p − g| / |g| (|g|: distance from the truth's origin).
        Nearest neighbour: accuracy (mean distance prediction → truth), completeness (truth → prediction),
        chamfer (their mean; "overall" in VGGT's tables), f_score (0 … 1, at `threshold`).
    """
    if alignment not in ("similarity", "rigid", "none"):
        raise ValueError(f'alignment={alignment!r}: choose "similarity", "rigid" or "none".')
    if pred.shape != true.shape or true.shape != (*valid.shape, 3):
        raise ValueError(
            f"pred {tuple(pred.shape)} and true {tuple(true.shape)} must both be (…, 3), and valid (…) "
            f"without the 3, not {tuple(valid.shape)}."
        )
    p, g = pred[valid].double(), true[valid].double()  # (N, 3)
    if alignment != "none":
        p = umeyama(p, g, with_scale=alignment == "similarity").apply(p)
    distance = (p - g).norm(dim=-1)
    result = {
        "mean_distance": distance.mean().item(),
        "relative_error": (distance / g.norm(dim=-1).clamp_min(1e-12)).mean().item(),
    }
    if num_samples:
        result |= surface_metrics(p, g, threshold, num_samples)
    return result


def surface_metrics(pred: Tensor, true: Tensor, threshold: float, num_samples: int) -> dict[str, float]:
    """Nearest-neighbour figures between two clouds (N, 3) and (M, 3), which need not correspond."""
    to_true = nearest_distance(evenly_spread(pred, num_samples), true)
    to_pred = nearest_distance(evenly_spread(true, num_samples), pred)
    precision = (to_true < threshold).double().mean().item()
    recall = (to_pred < threshold).double().mean().item()
    return {
        "accuracy": to_true.mean().item(),
        "completeness": to_pred.mean().item(),
        "chamfer": (to_true.mean().item() + to_pred.mean().item()) / 2,
        "f_score": 2 * precision * recall / max(precision + recall, 1e-12),
    }


def nearest_distance(points: Tensor, cloud: Tensor) -> Tensor:
    """Distance (N,) from each point (N, 3) to the nearest of a cloud (M, 3)."""
    # The exact mode: expanding |a − b|² into a² − 2ab + b² loses the small distances that matter here
    chunks = points.split(256)
    exact = "donot_use_mm_for_euclid_dist"
    return torch.cat([torch.cdist(chunk, cloud, compute_mode=exact).amin(dim=1) for chunk in chunks])


def evenly_spread(points: Tensor, count: int) -> Tensor:
    """At most `count` of the points (N, 3), at equal steps through their order."""
    if len(points) <= count:
        return points
    return points[torch.linspace(0, len(points) - 1, count, device=points.device).long()]
