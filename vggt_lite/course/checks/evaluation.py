"""Metrics: checks of the exercises, with the mistakes people make."""

import torch

from vggt_lite.course.checks.check import Check
from vggt_lite.course.checks.draws import draw, draws
from vggt_lite.metrics.depths import weighted_median
from vggt_lite.metrics.poses import accuracy_curve, area_under_curve


def degrees(count: int, spread: float, seed: int = 0):
    """Two random sets of errors (count,), 0 and up."""
    return tuple(spread * x.abs() for x in draws((count,), (count,), seed=seed))


def _trapezoid(rotation, translation, threshold):
    worst = torch.maximum(rotation, translation).sort().values
    inside = worst[worst < threshold]
    x = torch.cat([inside.new_zeros(1), inside, inside.new_tensor([threshold])])
    share = torch.arange(len(inside) + 1) / len(worst)
    return (torch.trapezoid(torch.cat([share, share[-1:]]), x) / threshold).item()


def _of_both(rotation, translation, threshold):
    both = area_under_curve(rotation, threshold), area_under_curve(translation, threshold)
    return min(both)


auc = Check(
    name="area under the accuracy curve",
    reference=lambda r, t, threshold: area_under_curve(torch.maximum(r, t), threshold),
    cases=lambda: [
        ("four pairs", (torch.tensor([1.5, 2.5, 8.5, 12]), torch.tensor([9.5, 14, 3.5, 2.5]), 10)),
        ("forty pairs", (*degrees(40, 12), 30)),
        ("five degrees only", (*degrees(60, 3, seed=1), 5)),
        ("one pair", (torch.tensor([0.5]), torch.tensor([2.5]), 5)),
    ],
    mutants={
        "you took the smaller of the two accuracies at each k, as the paper's text has it; the code asks "
        "that one pair be right in both": lambda r, t, threshold: (
            torch.minimum(accuracy_curve(r, threshold), accuracy_curve(t, threshold)).mean().item()
        ),
        "you took the smaller of a pair's two angles: the pair is as bad as its larger one": (
            lambda r, t, threshold: area_under_curve(torch.minimum(r, t), threshold)
        ),
        "you took the share below the threshold itself: average it over k = 1 … threshold": (
            lambda r, t, threshold: (torch.maximum(r, t) < threshold).float().mean().item()
        ),
        "you averaged the two angles of a pair": (
            lambda r, t, threshold: area_under_curve((r + t) / 2, threshold)
        ),
        "you made two areas and took the smaller: join the angles of a pair first": _of_both,
        "you integrated the exact curve, as image-matching benchmarks do: here whole degrees are averaged": (
            _trapezoid
        ),
        "you began at k = 0, where nothing is below": lambda r, t, threshold: (
            area_under_curve(torch.maximum(r, t), threshold) * threshold / (threshold + 1)
        ),
        "you stopped before k = threshold": lambda r, t, threshold: (
            accuracy_curve(torch.maximum(r, t), threshold)[:-1].mean().item()
        ),
        "you left the translations out": lambda r, t, threshold: area_under_curve(r, threshold),
    },
    hint="One error for each pair: the larger angle. Then, for k = 1, 2, …, the share of pairs below k.",
)


def depths(count: int, seed: int = 0):
    """Positive predictions and truths (count,) that roughly agree up to a factor."""
    base, noise = draws((count,), (count,), seed=seed)
    return base.abs() + 0.5, 1.7 * (base.abs() + 0.5) * (1 + 0.3 * noise).clamp(0.3, 3)


scale = Check(
    name="the scale with the least absolute error",
    reference=lambda pred, true: weighted_median(true / pred, pred),
    cases=lambda: [
        ("five pixels", (torch.tensor([1, 1.5, 2.5, 3.5, 5.5]), torch.tensor([1.0, 2, 4, 6, 10]))),
        ("a map", depths(401)),
        ("a far pixel outweighs two near ones", (torch.tensor([1.0, 1, 9]), torch.tensor([1.0, 2, 27]))),
        ("one pixel", (torch.tensor([2.0]), torch.tensor([3.0]))),
    ],
    mutants={
        "every ratio weighs alike: a pixel pulls with the length of its prediction": (
            lambda pred, true: (true / pred).median()
        ),
        "you divided the medians: that is the other, quicker rule": (
            lambda pred, true: true.median() / pred.median()
        ),
        "you took least squares: Σ p g / Σ p²": lambda pred, true: (pred * true).sum() / pred.square().sum(),
        "you divided the means": lambda pred, true: true.mean() / pred.mean(),
        "you averaged the ratios": lambda pred, true: (true / pred).mean(),
        "the weights are the predictions, not the truths": lambda pred, true: weighted_median(
            true / pred, true
        ),
        "it is upside down: the factor that multiplies the prediction": lambda pred, true: weighted_median(
            pred / true, true
        ),
        "you minimised the mean of |s p − g| / g: leave out the division by g": (
            lambda pred, true: weighted_median(true / pred, pred / true)
        ),
    },
    hint="Sort the ratios g / p, add up p in that order, stop where half of the sum is reached.",
)


def share(good, among):
    return good.sum() / among.sum()


jaccard = Check(
    name="Jaccard",
    reference=lambda near, said, seen: (
        (near & said & seen).sum() / (seen.sum() + (said & ~(near & seen)).sum())
    ),
    cases=lambda: [
        (
            "four places",
            (
                torch.tensor([True, False, True, True]),
                torch.tensor([True, True, True, False]),
                torch.tensor([True, True, False, True]),
            ),
        ),
        ("a scene", tuple(x > 0.1 for x in draws((3, 32), (3, 32), (3, 32)))),
        ("all right", (torch.ones(5, dtype=torch.bool),) * 3),
        ("nothing said", (torch.ones(5).bool(), torch.zeros(5).bool(), torch.ones(5).bool())),
    ],
    mutants={
        "a point that is visible but far counts twice below the line: as missed, and as a false alarm": (
            lambda near, said, seen: share(near & said & seen, said | seen)
        ),
        "you left false alarms out: that rewards calling everything visible": (
            lambda near, said, seen: share(near & said & seen, seen)
        ),
        "you left out below the line what is visible and was not called so": (
            lambda near, said, seen: (near & said & seen).sum() / said.sum().clamp_min(1)
        ),
        "you left the distance out": lambda near, said, seen: share(said & seen, said | seen),
        "you left the predicted visibility out: that is δ": lambda near, said, seen: share(near & seen, seen),
        "a false alarm is also a point called visible that is hidden, however near the guess": (
            lambda near, said, seen: (near & said & seen).sum() / (seen.sum() + (said & ~near).sum())
        ),
        "you gave the share of right visibilities: that is OA": lambda near, said, seen: (
            (said == seen).float().mean()
        ),
    },
    hint="TP = near & said & seen. FP = said, but not (near & seen). Below the line: seen.sum() + FP.",
)


def interval_of(values, drawn, level: float = 0.95):
    """The middle `level` of the means of values (N,) drawn again and again, drawn (K, N) indices."""
    means = values[drawn].mean(1)
    return torch.quantile(means, torch.tensor([(1 - level) / 2, (1 + level) / 2]).to(means))


def _drawn(count: int, times: int, seed: int = 0):
    return torch.randint(count, (times, count), generator=torch.Generator().manual_seed(seed))


def _normal(values, drawn):
    error = values.std() / len(values) ** 0.5 if len(values) > 1 else torch.zeros(())
    return torch.stack([values.mean() - 1.96 * error, values.mean() + 1.96 * error])


interval = Check(
    name="bootstrap interval",
    reference=interval_of,
    cases=lambda: [
        ("three scenes drawn five times", (torch.tensor([1.0, 2.0, 6.0]), _drawn(3, 5))),
        ("forty scenes", (draw(40).abs(), _drawn(40, 200, 1))),
        ("one scene", (torch.tensor([0.3]), _drawn(1, 10))),
    ],
    mutants={
        "you took quantiles of the scenes: they say how scenes differ, not how sure their mean is": (
            lambda values, drawn: torch.quantile(values, torch.tensor([0.025, 0.975]))
        ),
        "you averaged over the draws (axis 0): each row of `drawn` is one set of scenes": (
            lambda values, drawn: torch.quantile(values[drawn].mean(0), torch.tensor([0.025, 0.975]))
        ),
        "5 % and 95 % leave out a tenth: the middle 95 % lie between 2.5 % and 97.5 %": (
            lambda values, drawn: interval_of(values, drawn, 0.9)
        ),
        "you returned the smallest and the largest mean": lambda values, drawn: torch.stack(
            [values[drawn].mean(1).min(), values[drawn].mean(1).max()]
        ),
        "you used 1.96 standard errors: nearly the same here, but the draws were not looked at": _normal,
        "you took the median of each draw": lambda values, drawn: torch.quantile(
            values[drawn].median(1).values, torch.tensor([0.025, 0.975])
        ),
    },
    hint="`values[drawn]` is (K, N). One mean for each row, then `torch.quantile` with 0.025 and 0.975.",
)
