"""Losses of a map, and confidence: checks of the exercises, with the mistakes people make."""

import torch

from vggt_lite.course.checks.check import Check, draws
from vggt_lite.losses.surface import ALPHA


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
    """The release's difference loss on one scale, of maps (H, W): a scalar."""
    pred, true = (torch.where(valid, x, 0.0) for x in (pred, true))
    steps, pairs = [], []
    for axis in (0, 1):
        n = valid.shape[axis] - 1
        pairs.append(valid.narrow(axis, 0, n) & valid.narrow(axis, 1, n))
        steps.append((pred - true).diff(dim=axis).abs() * pairs[-1])
    return sum(step.sum() for step in steps) / valid.sum()


def _difference_case(height, width, seed):
    pred, true, chance = draws((height, width), (height, width), (height, width), seed=seed)
    valid = chance > -0.7
    return torch.where(valid, pred, torch.nan), true, valid


EDGE = torch.tensor([[1.0, 1, 2, 2], [1, 1, 2, 2]])
BLURRED = torch.tensor([[1.0, 1.3, 1.7, 2], [1, 1.3, 1.7, 2]])
differences = Check(
    name="difference loss",
    reference=map_differences,
    trained=True,
    cases=lambda: {
        "an edge in two rows, blurred": (BLURRED, EDGE, EDGE > 0),
        "with holes": _difference_case(6, 5, seed=0),
        "two columns": (*draws((4, 2), (4, 2), seed=1), torch.ones(4, 2, dtype=torch.bool)),
    },
    mutants={
        "you divided by the number of pairs; the release divides by the number of valid pixels":
            "valid.sum() → sum(pair.sum() for pair in pairs)",
        "you took a mean for each direction; sum everything, then divide by the number of valid pixels":
            "sum(step.sum() for step in steps) / valid.sum() "
            "→ sum(step.sum() / pair.sum() for step, pair in zip(steps, pairs))",
        "you divided by the number of all pixels; the release divides by the number of valid ones":
            "valid.sum() → valid.numel()",
        "a NaN from a pixel that is not valid got into your sum. Multiplying by a mask does not help "
        "(NaN · 0 is NaN): choose with `torch.where`, before the differences":
            "torch.where(valid, x, 0.0) → x",
        "you asked only whether one pixel of a pair is valid; both must be": "valid.narrow(axis, 0, n) & →",
        "you took |error| first, then differences: +0.3 beside −0.3 would cost nothing":
            "(pred - true) → (pred - true).abs()",
        "you compared how much each map changes, |∇pred| with |∇true|: an edge the wrong way would cost "
        "nothing. Subtract the changes first":
            "(pred - true).diff(dim=axis) → (pred.diff(dim=axis).abs() - true.diff(dim=axis).abs())",
        "you compared left and right only; up and down counts as well": "(0, 1) → (1,)",
        "you compared up and down only; left and right counts as well": "(0, 1) → (0,)",
        "you counted pairs of which one pixel is not valid": "* pairs[-1] →",
        "you forgot |…|: the differences of a row cancel": ".abs() →",
        "you squared the differences; this form takes |difference|": "abs() → square()",
        "you forgot the truth: a flat map would be the best": "(pred - true) → pred",
    },
    hint="e = pred − true. For both axes: |later − earlier| where both are valid. Sum, over valid pixels.",
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
