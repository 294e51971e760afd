"""Depth and point-map losses: a value and a confidence for every pixel.

With e = |prediction − truth| at a valid pixel, c its predicted confidence, α = 0.2:

|              | "code" (the release)                             | "paper" (arXiv:2503.11651, sec. 3.4)    |
|--------------|--------------------------------------------------|-----------------------------------------|
| "regression" | mean e, without confidence                       | mean c · e                              |
| "confidence" | mean c · e − α log c                             | mean −α log c                           |
| "gradient"   | depth: neighbour differences at 4 scales, plain  | mean c · |∇(prediction − truth)|        |
|              | points: surface normals at 3 scales              |                                         |
| outliers     | the largest 2 % of each term are left out        | none                                    |

The loss is the sum of the three. In "code" the error therefore acts twice, once regardless of confidence:
a low confidence everywhere does not make it small.
"""

import torch
from torch import Tensor

from vggt_lite.config import FORMS, check_choice
from vggt_lite.losses import surface
from vggt_lite.losses.masked import clamp_finite, masked_mean, trim_largest

MIN_PIXELS = 100  # a batch with fewer valid pixels than this teaches nothing
# name of the gradient term -> (loss on one scale, number of scales, whether confidence takes part)
GRADIENTS = {
    "grad": (surface.difference_loss, 4, False),
    "grad_conf": (surface.difference_loss, 4, True),
    "normal": (surface.normal_loss, 3, False),
    "normal_conf": (surface.normal_loss, 3, True),
}


def depth_loss(
    depth: Tensor,
    confidence: Tensor,
    target: Tensor,
    valid: Tensor,
    form: str = "code",
    gradient: str = "grad",
    valid_range: float = 0.98,
) -> dict[str, Tensor]:
    """The loss of a depth map.

    Args:
        depth: (B, S, H, W) predicted z.
        confidence: (B, S, H, W) predicted, > 0.
        target: (B, S, H, W) true z, normalised (`normalize_scene`).
        valid: (B, S, H, W) bool: pixels with a true depth; what stands elsewhere is ignored.
        form: "code" or "paper", see the table above.
        gradient: "grad", or "grad_conf" to weigh differences by confidence (form "code").
        valid_range: fraction of pixels kept, smallest errors first; ≤ 0 keeps all (form "code").

    Returns:
        Scalars {"confidence", "regression", "gradient"}; the loss is their sum. 0 if the batch has fewer
        than 100 valid pixels. "confidence" may be negative.
    """
    return point_loss(depth[..., None], confidence, target[..., None], valid, form, gradient, valid_range)


def point_loss(
    point_map: Tensor,
    confidence: Tensor,
    target: Tensor,
    valid: Tensor,
    form: str = "code",
    gradient: str = "normal",
    valid_range: float = 0.98,
) -> dict[str, Tensor]:
    """The loss of a point map; arguments as in `depth_loss`, with C = 3 coordinates.

    Args:
        point_map: (B, S, H, W, C) predicted.
        confidence: (B, S, H, W).
        target: (B, S, H, W, C) truth; bounded by ±100 as in the release.
        valid: (B, S, H, W) bool.
        form: "code" or "paper".
        gradient: "normal", "normal_conf", "grad" or "grad_conf" (form "code").
        valid_range: as in `depth_loss`.
    """
    check_choice("form", form, FORMS)
    if gradient not in GRADIENTS:
        raise ValueError(f"gradient={gradient!r} is unknown; choose one of {', '.join(GRADIENTS)}.")
    # From here on views are just images: (M, H, W, C) with M = B · S
    pred, target = point_map.float().flatten(0, 1), clamp_finite(target.float()).flatten(0, 1)
    confidence, valid = confidence.float().flatten(0, 1), valid.flatten(0, 1)
    terms = (
        _paper_terms(pred, confidence, target, valid)
        if form == "paper"
        else _code_terms(pred, confidence, target, valid, gradient, valid_range)
    )
    enough = valid.sum() >= MIN_PIXELS
    return {name: torch.where(enough, term, 0.0 * term) for name, term in terms.items()}


def _code_terms(
    pred: Tensor, confidence: Tensor, target: Tensor, valid: Tensor, gradient: str, valid_range: float
) -> dict[str, Tensor]:
    error = clamp_finite((target - pred).norm(dim=-1))  # (M, H, W)
    weighed = clamp_finite(surface.weigh_by_confidence(error, confidence))
    kept_error = kept_weighed = valid
    if valid_range > 0:
        kept_error = trim_largest(error, valid, valid_range)
        kept_weighed = trim_largest(weighed, valid, valid_range)
    loss, num_scales, with_confidence = GRADIENTS[gradient]
    maps = (pred, target, valid, confidence if with_confidence else None)
    return {
        "confidence": masked_mean(weighed, kept_weighed),
        "regression": masked_mean(error, kept_error),
        "gradient": surface.over_scales(loss, maps, num_scales),
    }


def _paper_terms(pred: Tensor, confidence: Tensor, target: Tensor, valid: Tensor) -> dict[str, Tensor]:
    error = torch.where(valid[..., None], pred - target, 0.0)
    return {
        "confidence": masked_mean(-surface.ALPHA * torch.log(confidence), valid),
        "regression": masked_mean(confidence * clamp_finite(error.norm(dim=-1)), valid),
        "gradient": surface.paper_difference(error, valid, confidence),
    }
