"""Losses of a map, and confidence: checks of the exercises, with the mistakes people make."""

import torch

from vggt_lite.course.checks.check import Check, draws
from vggt_lite.losses.masked import masked_mean, trim_largest
from vggt_lite.losses.surface import ALPHA, over_scales, weigh_by_confidence


def best_confidence(errors):
    """The one number ≥ 1 that lowers the mean of c · error − α log c most."""
    return (ALPHA / errors.mean()).clamp(min=1.0)


confidence = Check(
    name="best confidence",
    reference=best_confidence,
    cases=lambda: {
        "two pixels": (torch.tensor([0.01, 0.19]),),
        "a hundred pixels": (draws((100,))[0].abs() / 20,),
        "one pixel, far off": (torch.tensor([0.8]),),
        "one pixel": (torch.tensor([0.05]),),
    },
    mutants={
        "you averaged the best c of each pixel; they must share one, and its slope is mean error − α/c":
            "ALPHA / errors.mean() → (ALPHA / errors).mean()",
        "you averaged the best c of each pixel (they must share one), and forgot that none is below 1":
            lambda errors: (ALPHA / errors).mean(),
        "you summed the errors; the mean counts, however many pixels there are": "mean() → sum()",
        "you cut at 1 from above: 1 is the least, not the most": "min=1.0 → max=1.0",
        "you took the median error: a few large errors count fully here": "mean() → median()",
        "you forgot that the head cannot say less than 1": ".clamp(min=1.0) →",
        "you added the head's 1; the best c is α over the mean error, and not less than 1":
            lambda errors: 1 + ALPHA / errors.mean(),
        "you forgot α": "ALPHA → 1",
        "you turned the fraction round: small errors must give a large c":
            "ALPHA / errors.mean() → errors.mean() / ALPHA",
    },
    hint="Mean over pixels of c·e − α log c, its slope in c, set to zero. Then: never below 1.",
)  # fmt: skip


def map_differences(pred, true, valid):
    """The release's difference loss on one scale, of depth maps (M, H, W, 1): a scalar."""
    pred, true = (torch.where(valid[..., None], x, 0.0) for x in (pred, true))
    steps, pairs = [], []
    for axis in (1, 2):
        n = valid.shape[axis] - 1
        pairs.append(valid.narrow(axis, 0, n) & valid.narrow(axis, 1, n))
        steps.append((pred - true).diff(dim=axis).abs() * pairs[-1][..., None])
    return sum(step.sum() for step in steps) / valid.sum()


def _difference_case(maps, height, width, seed):
    pred, true, chance = draws(*2 * [(maps, height, width, 1)], (maps, height, width), seed=seed)
    valid = chance > -0.7
    return torch.where(valid[..., None], pred, torch.nan), true, valid


EDGE = torch.tensor([[1.0, 1, 2, 2], [1, 1, 2, 2]])[None, ..., None]  # (1, 2, 4, 1)
BLURRED = torch.tensor([[1.0, 1.3, 1.7, 2], [1, 1.3, 1.7, 2]])[None, ..., None]
differences = Check(
    name="difference loss",
    reference=map_differences,
    trained=True,
    cases=lambda: {
        "an edge in two rows, blurred": (BLURRED, EDGE, EDGE[..., 0] > 0),
        "three maps with holes": _difference_case(3, 6, 5, seed=0),
        "two columns": (*draws(*2 * [(1, 4, 2, 1)], seed=1), torch.ones(1, 4, 2, dtype=torch.bool)),
    },
    mutants={
        "you divided by the number of pairs; the release divides by the number of valid pixels":
            "valid.sum() → sum(pair.sum() for pair in pairs)",
        "you took a mean for each direction; sum everything, then divide by the number of valid pixels":
            "sum(step.sum() for step in steps) / valid.sum() "
            "→ sum(step.sum() / pair.sum() for step, pair in zip(steps, pairs))",
        "you divided map by map; the release sums over all maps, then divides by all their valid pixels":
            "sum(step.sum() for step in steps) / valid.sum() "
            "→ (sum(step.sum((1, 2, 3)) for step in steps) / valid.sum((1, 2))).mean()",
        "differences between maps count in yours: axis 0 is the maps, rows and columns are axes 1 and 2":
            "(1, 2) → (0, 1, 2)",
        "you divided by the number of all pixels; the release divides by the number of valid ones":
            "valid.sum() → valid.numel()",
        "a NaN from a pixel that is not valid got into your sum. Multiplying by a mask does not help "
        "(NaN · 0 is NaN): choose with `torch.where`, before the differences":
            "torch.where(valid[..., None], x, 0.0) → x",
        "you asked only whether one pixel of a pair is valid; both must be": "valid.narrow(axis, 0, n) & →",
        "you took |error| first, then differences: +0.3 beside −0.3 would cost nothing":
            "(pred - true) → (pred - true).abs()",
        "you compared how much each map changes, |∇pred| with |∇true|: an edge the wrong way would cost "
        "nothing. Subtract the changes first":
            "(pred - true).diff(dim=axis) → (pred.diff(dim=axis).abs() - true.diff(dim=axis).abs())",
        "you compared left and right only; up and down counts as well": "(1, 2) → (2,)",
        "you compared up and down only; left and right counts as well": "(1, 2) → (1,)",
        "you counted pairs of which one pixel is not valid": "* pairs[-1][..., None] →",
        "you forgot |…|: the differences of a row cancel": ".abs() →",
        "you squared the differences; this form takes |difference|": "abs() → square()",
        "you forgot the truth: a flat map would be the best": "(pred - true) → pred",
    },
    hint="e = pred − true. For both axes: |later − earlier| where both are valid. Sum, over valid pixels.",
)  # fmt: skip


def map_loss(said, confidence, true, valid, shape, scales):
    """The release's loss of maps (M, H, W, C): mean e, mean c · e − α log c, and a loss of their shape."""
    e = (said - true).norm(dim=-1)  # (M, H, W)
    terms = (e, weigh_by_confidence(e, confidence))
    means = [masked_mean(x, trim_largest(x, valid, 0.98, least=0)) for x in terms]
    return sum(means) + over_scales(shape, (said, true, valid), scales)


def unlike(said, true, valid):
    """A loss of shape, for the cases: the spread of the error, of channel 0 more than of others."""
    error = (said - true) * valid[..., None]
    return error[..., 0].std() + 0.1 * error.std()


def _map_case(maps, height, width, channels, seed):
    size = maps, height, width
    said, true, trust, chance = draws(*2 * [(*size, channels)], size, size, seed=seed)
    return said, 1 + trust.exp(), true, chance > -1, unlike


maps = Check(
    name="the loss of maps",
    reference=map_loss,
    trained=True,
    cases=lambda: {
        "two depth maps, four scales": (*_map_case(2, 16, 24, 1, seed=0), 4),
        "points, three scales": (*_map_case(3, 12, 8, 3, seed=1), 3),
        "one scale": (*_map_case(1, 20, 10, 3, seed=2), 1),
    },
    mutants={
        "the plain error is missing: the code counts it beside c · e": "for x in terms → for x in terms[1:]",
        "c · e − α log c is missing": "for x in terms → for x in terms[:1]",
        "you left c out of c · e − α log c": "weigh_by_confidence(e, confidence) "
            "→ e - ALPHA * torch.log(confidence)",
        "the reward α log c is missing": "weigh_by_confidence(e, confidence) → e * confidence",
        "you forgot α: 0.2": "weigh_by_confidence(e, confidence) → e * confidence - torch.log(confidence)",
        "you summed |error| over the channels; e is its length": "norm(dim=-1) → abs().sum(-1)",
        "you took the mean of |error| over the channels; e is its length": "norm(dim=-1) → abs().mean(-1)",
        "the largest 2 % count in yours: each mean is over its own inliers":
            "trim_largest(x, valid, 0.98, least=0) → valid",
        "both means run over the inliers of e: c · e − α log c has its own":
            "trim_largest(x, valid, 0.98, least=0) → trim_largest(e, valid, 0.98, least=0)",
        "pixels without a true depth count in yours":
            "trim_largest(x, valid, 0.98, least=0) → trim_largest(x, torch.ones_like(valid), 0.98, least=0)",
        "the loss of shape is missing": "+ over_scales(shape, (said, true, valid), scales) →",
        "shape counts once for every scale in yours: take their mean": "over_scales( → scales * over_scales(",
        "only full size counts in yours: a loss of shape is a mean over scales":
            "over_scales(shape, (said, true, valid), scales) → shape(said, true, valid)",
        "your scales keep every 1st, 2nd, 3rd … pixel; it is every 1st, 2nd, 4th, 8th":
            "over_scales(shape, (said, true, valid), scales) → sum(shape("
            "*(x[:, ::s, ::s] for x in (said, true, valid))) for s in range(1, scales + 1)) / scales",
        "your first scale is every 2nd pixel: full size comes first":
            "over_scales(shape, (said, true, valid), scales) "
            "→ over_scales(shape, [x[:, ::2, ::2] for x in (said, true, valid)], scales)",
    },
    hint="e (M, H, W) is a length. Two means, each over `my_inliers` of what it is a mean of; then scales.",
)  # fmt: skip


def most_trusted(error, confidence, keep: float):
    """Mean error of the share `keep` of all pixels with the highest confidence."""
    number = max(1, round(keep * error.numel()))
    kept = confidence.flatten().argsort(descending=True)[:number]
    return error.flatten()[kept].mean()


def _trusted_case(shape, keep, seed):
    error, noise = draws(shape, shape, seed=seed)
    return error.abs(), 2 / (error.abs() + 0.5 * noise.abs()), keep


trusted = Check(
    name="the most trusted",
    reference=most_trusted,
    cases=lambda: {
        "four pixels, half kept": (torch.tensor([1.0, 2, 3, 7]), torch.tensor([5.0, 1, 4, 3]), 0.5),
        "two maps, 30 % kept": _trusted_case((2, 6, 5), 0.3, seed=0),
        "all kept": _trusted_case((20,), 1.0, seed=1),
        "one in ten kept": _trusted_case((20,), 0.1, seed=2),
        "seven pixels, 40 % kept": _trusted_case((7,), 0.4, seed=3),
    },
    mutants={
        "you kept the least trusted: sort from the highest confidence down": "descending=True →",
        "you sorted by the error itself. That is the oracle; nobody has it when it matters":
            "confidence.flatten() → (-error).flatten()",
        "you dropped the share that should stay": "keep * → (1 - keep) *",
        "you divided by all pixels instead of those you kept": ".mean() → .sum() / error.numel()",
        "you kept pixels above a share of the largest confidence; keep is a share of the pixels":
            "confidence.flatten().argsort(descending=True)[:number] "
            "→ confidence.flatten() >= (1 - keep) * confidence.max()",
        "you cut the number of pixels short: `int` drops the rest, `round` was asked": "round( → int(",
        "you averaged the confidence of those you kept, not their error": "return error → return confidence",
    },
    hint="Flatten both. argsort the confidence, highest first; take the first keep · N of the errors.",
)  # fmt: skip
