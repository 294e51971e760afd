"""Depth metrics, after the alignment one chooses: always print which one beside the number."""

import torch
from torch import Tensor

ALIGNMENTS = ("none", "median", "scale", "scale_shift")


def depth_metrics(pred: Tensor, true: Tensor, valid: Tensor, alignment: str = "median") -> dict[str, float]:
    """How far depths are from the truth.

    All that is passed in one call gets one alignment: pass (S, H, W) for one scale per scene, (H, W) for
    one per image.

    Args:
        pred: z, any shape, any unit.
        true: z, the same shape.
        valid: bool, the same shape; of these, pixels with true > 0 count.
        alignment: what may be changed about `pred` first:
            "none": nothing; for metric depth.
            "median": one factor, median(true) / median(pred).
            "scale": the factor with the least absolute error (a weighted median, exact).
            "scale_shift": factor and offset with the least squared error.

    Returns:
        abs_rel: mean |p − g| / g. sq_rel: mean (p − g)² / g. rmse: in the unit of `true`.
        delta_1.25, delta_1.25^2, delta_1.25^3, inlier_1.03: share of pixels where max(p/g, g/p) is
            below that number. All over the valid pixels, p after alignment.
    """
    if alignment not in ALIGNMENTS:
        raise ValueError(f"alignment={alignment!r} is unknown; choose one of {', '.join(ALIGNMENTS)}.")
    if not pred.shape == true.shape == valid.shape:
        raise ValueError(
            f"pred {tuple(pred.shape)}, true {tuple(true.shape)} and valid {tuple(valid.shape)} must have "
            "one shape; resize the prediction to the truth, not the truth to the prediction."
        )
    valid = valid & (true > 0)
    if not valid.any():
        raise ValueError("no pixel is valid with true > 0; leave this image out of the evaluation.")
    p, g = pred[valid].double(), true[valid].double()
    if not torch.isfinite(p).all():
        raise ValueError(f"pred is NaN or infinite at {(~torch.isfinite(p)).sum()} valid pixels.")
    p = align_depth(p, g, alignment)
    ratio = torch.where(p > 0, torch.maximum(p / g, g / p), torch.inf)
    return {
        "abs_rel": ((p - g).abs() / g).mean().item(),
        "sq_rel": ((p - g) ** 2 / g).mean().item(),
        "rmse": ((p - g) ** 2).mean().sqrt().item(),
        "delta_1.25": (ratio < 1.25).double().mean().item(),
        "delta_1.25^2": (ratio < 1.25**2).double().mean().item(),
        "delta_1.25^3": (ratio < 1.25**3).double().mean().item(),
        "inlier_1.03": (ratio < 1.03).double().mean().item(),
    }


def align_depth(pred: Tensor, true: Tensor, alignment: str) -> Tensor:
    """Predicted depths (N,), aligned to the true ones (N,) as `depth_metrics` describes."""
    if alignment == "none":
        return pred
    if alignment == "median":
        return pred * (true.median() / pred.median())
    if alignment == "scale":
        # Σ |s p − g| = Σ |p| · |s − g / p| is least at the median of g / p weighted with |p|
        return pred * weighted_median(true / pred, pred.abs())
    columns = torch.stack([pred, torch.ones_like(pred)], dim=-1)  # (N, 2)
    return columns @ torch.linalg.lstsq(columns, true[:, None]).solution[:, 0]


def weighted_median(values: Tensor, weights: Tensor) -> Tensor:
    """The value () of (N,) at which the sorted weights reach half of their sum."""
    order = values.argsort()
    reached = weights[order].cumsum(0)
    return values[order][torch.searchsorted(reached, reached[-1] / 2)]
