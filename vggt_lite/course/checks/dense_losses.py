"""Losses of a map, and confidence: checks of the exercises, with the mistakes people make."""

import torch

from vggt_lite.course.checks.check import Check
from vggt_lite.course.checks.draws import draws
from vggt_lite.losses.surface import ALPHA, difference_loss


def best_confidence(errors):
    """The one number ≥ 1 that lowers the mean of c · error − α log c most."""
    return (ALPHA / errors.mean()).clamp(min=1.0)


confidence = Check(
    name="best confidence",
    reference=best_confidence,
    cases=lambda: [
        ("two pixels", (torch.tensor([0.01, 0.19]),)),
        ("a hundred pixels", (draws((100,))[0].abs() / 20,)),
        ("one pixel, far off", (torch.tensor([0.8]),)),
        ("one pixel", (torch.tensor([0.05]),)),
    ],
    mutants={
        "you averaged the best c of each pixel; they must share one, and its slope is mean error − α/c": (
            lambda errors: (ALPHA / errors).mean().clamp(min=1.0)
        ),
        "you averaged the best c of each pixel (they must share one), and forgot that none is below 1": (
            lambda errors: (ALPHA / errors).mean()
        ),
        "you summed the errors; the mean counts, however many pixels there are": lambda errors: (
            ALPHA / errors.sum()
        ).clamp(min=1.0),
        "you cut at 1 from above: 1 is the least, not the most": lambda errors: (ALPHA / errors.mean()).clamp(
            max=1.0
        ),
        "you took the median error: a few large errors count fully here": lambda errors: (
            ALPHA / errors.median()
        ).clamp(min=1.0),
        "you forgot that the head cannot say less than 1": lambda errors: ALPHA / errors.mean(),
        "you added the head's 1; the best c is α over the mean error, and not less than 1": lambda errors: (
            1 + ALPHA / errors.mean()
        ),
        "you forgot α": lambda errors: (1 / errors.mean()).clamp(min=1.0),
        "you turned the fraction round: small errors must give a large c": lambda errors: (
            errors.mean() / ALPHA
        ).clamp(min=1.0),
    },
    hint="Mean over pixels of c·e − α log c, its slope in c, set to zero. Then: never below 1.",
)


def map_differences(pred, true, valid):
    """The release's difference loss on one scale: (H, W) maps."""
    return difference_loss(pred[None, ..., None], true[None, ..., None], valid[None])


def _pairs(x, axis):
    size = x.shape[axis]
    return x.narrow(axis, 1, size - 1), x.narrow(axis, 0, size - 1)


def _sum_over_pairs(pred, true, valid, change, axes=(0, 1)):
    """Sum of change(∇pred, ∇true) over pairs that are valid; the two count of them."""
    total, count = 0.0, 0
    clean_pred, clean_true = (torch.where(valid, x, 0.0) for x in (pred, true))
    for axis in axes:
        (p1, p0), (t1, t0), (v1, v0) = (_pairs(x, axis) for x in (clean_pred, clean_true, valid))
        total = total + (change(p1 - p0, t1 - t0) * (v1 & v0)).sum()
        count = count + (v1 & v0).sum()
    return total, count


def _apart(p, t):
    return (p - t).abs()


def _over_pairs(pred, true, valid):
    total, count = _sum_over_pairs(pred, true, valid, _apart)
    return total / count


def _any_pair(pred, true, valid):
    error = torch.where(valid, pred - true, 0.0)
    total = sum((later - earlier).abs().sum() for later, earlier in (_pairs(error, 0), _pairs(error, 1)))
    return total / valid.sum()


def _mean_per_direction(pred, true, valid):
    parts = [_sum_over_pairs(pred, true, valid, _apart, axes=(axis,)) for axis in (0, 1)]
    return sum(total / count for total, count in parts)


def _later_is_valid(pred, true, valid):
    error, total = torch.where(valid, pred - true, 0.0), 0.0
    for axis in (0, 1):
        (later, earlier), (counts, _) = _pairs(error, axis), _pairs(valid, axis)
        total = total + ((later - earlier).abs() * counts).sum()
    return total / valid.sum()


def _of_sizes(pred, true, valid):
    return map_differences((pred - true).abs(), torch.zeros_like(true), valid)


def _unmasked(pred, true, valid):
    total = sum((later - earlier).abs().sum() for later, earlier in (_pairs(pred - true, k) for k in (0, 1)))
    return total / valid.sum()


def _of_change(change, axes=(0, 1)):
    return lambda pred, true, valid: _sum_over_pairs(pred, true, valid, change, axes)[0] / valid.sum()


def _difference_case(height, width, seed):
    pred, true, chance = draws((height, width), (height, width), (height, width), seed=seed)
    valid = chance > -0.7
    return torch.where(valid, pred, torch.nan), true, valid


EDGE = torch.tensor([[1.0, 1, 2, 2], [1, 1, 2, 2]])
BLURRED = torch.tensor([[1.0, 1.3, 1.7, 2], [1, 1.3, 1.7, 2]])
differences = Check(
    name="difference loss",
    reference=map_differences,
    cases=lambda: [
        ("an edge in two rows, blurred", (BLURRED, EDGE, EDGE > 0)),
        ("with holes", _difference_case(6, 5, seed=0)),
        ("two columns", (*draws((4, 2), (4, 2), seed=1), torch.ones(4, 2, dtype=torch.bool))),
    ],
    mutants={
        "you divided by the number of pairs; the release divides by the number of valid pixels": _over_pairs,
        "you took a mean for each direction; sum everything, then divide by the number of valid pixels": (
            _mean_per_direction
        ),
        "you divided by the number of all pixels; the release divides by the number of valid ones": (
            lambda pred, true, valid: map_differences(pred, true, valid) * valid.sum() / valid.numel()
        ),
        "a NaN from a pixel that is not valid got into your sum. Multiplying by a mask does not help "
        "(NaN · 0 is NaN): choose with `torch.where`, before the differences": _unmasked,
        "you asked only whether one pixel of a pair is valid; both must be": _later_is_valid,
        "you took |error| first, then differences: +0.3 beside −0.3 would cost nothing": _of_sizes,
        "you compared how much each map changes, |∇pred| with |∇true|: an edge the wrong way would cost "
        "nothing. Subtract the changes first": _of_change(lambda p, t: (p.abs() - t.abs()).abs()),
        "you compared left and right only; up and down counts as well": _of_change(_apart, axes=(1,)),
        "you compared up and down only; left and right counts as well": _of_change(_apart, axes=(0,)),
        "you counted pairs of which one pixel is not valid": _any_pair,
        "you forgot |…|: the differences of a row cancel": _of_change(lambda p, t: p - t),
        "you squared the differences; this form takes |difference|": _of_change(lambda p, t: (p - t) ** 2),
        "you forgot the truth: a flat map would be the best": _of_change(lambda p, t: p.abs()),
    },
    hint="e = pred − true. For both axes: |later − earlier| where both are valid. Sum, over valid pixels.",
)


def most_trusted(error, confidence, keep: float):
    """Mean error of the share `keep` of all pixels with the highest confidence."""
    number = max(1, round(keep * error.numel()))
    return error.flatten()[confidence.flatten().argsort(descending=True)[:number]].mean()


def _trusted_case(shape, keep, seed):
    error, noise = draws(shape, shape, seed=seed)
    return error.abs(), 2 / (error.abs() + 0.5 * noise.abs()), keep


trusted = Check(
    name="the most trusted",
    reference=most_trusted,
    cases=lambda: [
        ("four pixels, half kept", (torch.tensor([1.0, 2, 3, 7]), torch.tensor([5.0, 1, 4, 3]), 0.5)),
        ("two maps, 30 % kept", _trusted_case((2, 6, 5), 0.3, seed=0)),
        ("all kept", _trusted_case((20,), 1.0, seed=1)),
        ("one in ten kept", _trusted_case((20,), 0.1, seed=2)),
        ("seven pixels, 40 % kept", _trusted_case((7,), 0.4, seed=3)),
    ],
    mutants={
        "you kept the least trusted: sort from the highest confidence down": lambda e, c, keep: most_trusted(
            e, -c, keep
        ),
        "you sorted by the error itself. That is the oracle; nobody has it when it matters": (
            lambda e, c, keep: most_trusted(e, -e, keep)
        ),
        "you dropped the share that should stay": lambda e, c, keep: most_trusted(e, c, 1 - keep),
        "you divided by all pixels instead of those you kept": lambda e, c, keep: (
            most_trusted(e, c, keep) * max(1, round(keep * e.numel())) / e.numel()
        ),
        "you kept pixels above a share of the largest confidence; keep is a share of the pixels": (
            lambda e, c, keep: e[c >= (1 - keep) * c.max()].mean()
        ),
        "you cut the number of pixels short: `int` drops the rest, `round` was asked": lambda e, c, keep: (
            most_trusted(e, c, int(keep * e.numel()) / e.numel())
        ),
        "you averaged the confidence of those you kept, not their error": lambda e, c, keep: most_trusted(
            c, c, keep
        ),
    },
    hint="Flatten both. argsort the confidence, highest first; take the first keep · N of the errors.",
)
