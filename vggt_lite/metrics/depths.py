"""Depth metrics, after the alignment one chooses: always print which one beside the number.

Which published tables use which alignment:

    none              metric depth (DepthAnything-metric, MASt3R metric, MapAnything's metric rows)
    median            one factor for all that is passed: median scaling per scene (this repository's reports)
    median_per_image  one factor per image: single-view depth of MonST3R, CUT3R, π³
    scale             one factor per sequence, least absolute error: video depth of CUT3R and π³ ("scale")
    scale_shift_l1    factor and offset per sequence, least absolute error: video depth ("scale & shift")
    scale_shift       factor and offset, least squares: the MiDaS family, Depth Anything
"""

import torch
from torch import Tensor

from vggt_lite.config import check_choice
from vggt_lite.geometry.precision import precise

ALIGNMENTS = ("none", "median", "median_per_image", "scale", "scale_shift_l1", "scale_shift")
HALVINGS = 36  # of the scale's interval, which begins about as wide as the scale: 11 digits
SMALLEST = 1e-5  # unit of the truth; what an aligned depth is raised to before its logarithm is taken


def depth_metrics(
    pred: Tensor, true: Tensor, valid: Tensor, alignment: str = "median", max_depth: float | None = None
) -> dict[str, float]:
    """How far depths are from the truth.

    All that is passed in one call gets one alignment, except with "median_per_image": pass (S, H, W) for one
    scale per scene, (H, W) for one per image. All pixels count alike, whichever image they are from.

    Args:
        pred: z, any shape, any unit.
        true: z, the same shape.
        valid: bool, the same shape; of these, pixels with true > 0 count.
        alignment: what may be changed about `pred` first:
            "none": nothing; for metric depth.
            "median": one factor, median(true) / median(pred).
            "median_per_image": the same for each image of (…, H, W) by itself.
            "scale": the factor with the least absolute error (a weighted median, exact).
            "scale_shift_l1": factor and offset with the least absolute error (exact; published code goes
                there in steps).
            "scale_shift": factor and offset with the least squared error.
        max_depth: leave out what is truly farther, unit of the truth; 70 for Sintel and Bonn, None for KITTI.

    Returns:
        abs_rel: mean |p − g| / g. sq_rel: mean (p − g)² / g. rmse: in the unit of `true`.
        log_rmse: √ mean (ln p − ln g)², p no smaller than 1e-5.
        delta_1.25, delta_1.25^2, delta_1.25^3, inlier_1.03: share of pixels where max(p/g, g/p) is
            below that number. All over the valid pixels, p after alignment.
    """
    check_choice("alignment", alignment, ALIGNMENTS)
    if not pred.shape == true.shape == valid.shape:
        raise ValueError(
            f"pred {tuple(pred.shape)}, true {tuple(true.shape)} and valid {tuple(valid.shape)} must have "
            "one shape; resize the prediction to the truth, not the truth to the prediction."
        )
    valid = valid & (true > 0)
    if max_depth is not None:
        valid = valid & (true < max_depth)
    if not valid.any():
        raise ValueError("no pixel is valid with true > 0 (and below max_depth): leave this image out.")
    if not (finite := torch.isfinite(pred[valid])).all():
        raise ValueError(f"pred is NaN or infinite at {(~finite).sum()} valid pixels.")
    if alignment == "median_per_image":
        images = (x.flatten(0, -3) if x.ndim > 2 else x[None] for x in (pred, true, valid))  # (M, H, W)
        pairs = [(precise(p[v]), precise(g[v])) for p, g, v in zip(*images, strict=True) if v.any()]
        p = torch.cat([align_depth(p, g, "median") for p, g in pairs])
        g = torch.cat([g for _, g in pairs])
    else:
        p, g = precise(pred[valid]), precise(true[valid])
        p = align_depth(p, g, alignment)
    ratio = torch.where(p > 0, torch.maximum(p / g, g / p), torch.inf)
    return {
        "abs_rel": ((p - g).abs() / g).mean().item(),
        "sq_rel": ((p - g) ** 2 / g).mean().item(),
        "rmse": ((p - g) ** 2).mean().sqrt().item(),
        "log_rmse": (p.clamp_min(SMALLEST).log() - g.log()).square().mean().sqrt().item(),
        "delta_1.25": precise(ratio < 1.25).mean().item(),
        "delta_1.25^2": precise(ratio < 1.25**2).mean().item(),
        "delta_1.25^3": precise(ratio < 1.25**3).mean().item(),
        "inlier_1.03": precise(ratio < 1.03).mean().item(),
    }


def align_depth(pred: Tensor, true: Tensor, alignment: str) -> Tensor:
    """Predicted depths (N,), aligned to the true ones (N,) as `depth_metrics` describes."""
    if alignment == "none":
        return pred
    if alignment in ("median", "median_per_image"):  # (N,) are the pixels of one image then
        return pred * (true.median() / pred.median())
    if alignment == "scale":
        # Σ |s p − g| = Σ |p| · |s − g / p| is least at the median of g / p weighted with |p|
        return pred * weighted_median(true / pred, pred.abs())
    if alignment == "scale_shift_l1":
        scale, shift = least_absolute_line(pred, true)
        return scale * pred + shift
    columns = torch.stack([pred, torch.ones_like(pred)], dim=-1)  # (N, 2)
    return columns @ torch.linalg.lstsq(columns, true[:, None]).solution[:, 0]


def weighted_median(values: Tensor, weights: Tensor) -> Tensor:
    """The value () of (N,) at which the sorted weights reach half of their sum."""
    order = values.argsort()
    reached = weights[order].cumsum(0)
    return values[order][torch.searchsorted(reached, reached[-1] / 2)]


def least_absolute_line(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """(scale, shift), each (), with the least Σ |scale · x + shift − y| over pairs (N,).

    For a given scale the best shift is the median of y − scale · x. What is left is a convex function of the
    scale; its slope is known, so halving finds the place where the slope changes sign.
    """

    def too_small(scale: Tensor) -> bool:
        rest = y - scale * x
        middle = rest.median()
        # The point on the line may pull either way; counted from its x, it does not pull at all.
        at = x[(rest - middle).abs().argmin()]
        return ((x - at) * (rest - middle).sign()).sum() > 0

    if (x == x[0]).all():
        return torch.zeros_like(x[0]), y.median()
    start = ((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()
    step = start.abs() + y.abs().mean() / x.abs().mean()
    low, high = start - step, start + step
    while not too_small(low):
        step, low = 2 * step, low - 2 * step
    while too_small(high):
        step, high = 2 * step, high + 2 * step
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if too_small(middle) else (low, middle)
    scale = (low + high) / 2
    return scale, (y - scale * x).median()
