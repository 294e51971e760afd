"""Metrics: checks of the exercises, with the mistakes people make."""

import torch

from vggt_lite.course.checks.check import Check, draw, draws
from vggt_lite.course.checks.seeds import generator
from vggt_lite.metrics.depths import weighted_median


def degrees(count: int, spread: float, seed: int = 0):
    """Two random sets of errors (count,), 0 and up."""
    return tuple(spread * x.abs() for x in draws((count,), (count,), seed=seed))


def area(rotation, translation, threshold: int):
    """Mean over k = 1 … threshold of the share of pairs whose larger error (N,) is below k degrees."""
    worst = torch.maximum(rotation, translation)
    shares = [(worst < k).float().mean() for k in range(1, threshold + 1)]
    return torch.stack(shares).mean()


def _trapezoid(rotation, translation, threshold):
    worst = torch.maximum(rotation, translation).sort().values
    inside = worst[worst < threshold]
    x = torch.cat([inside.new_zeros(1), inside, inside.new_tensor([threshold])])
    share = torch.arange(len(inside) + 1) / len(worst)
    return torch.trapezoid(torch.cat([share, share[-1:]]), x) / threshold


auc = Check(
    name="area under the accuracy curve",
    reference=area,
    cases=lambda: {
        "four pairs": (torch.tensor([1.5, 2.5, 8.5, 12]), torch.tensor([9.5, 14, 3.5, 2.5]), 10),
        "forty pairs": (*degrees(40, 12), 30),
        "five degrees only": (*degrees(60, 3, seed=1), 5),
        "one pair": (torch.tensor([0.5]), torch.tensor([2.5]), 5),
    },
    mutants={
        "you took the smaller of the two accuracies at each k, as the paper's text has it; the code asks "
        "that one pair be right in both":
            "(worst < k).float().mean() → min((x < k).float().mean() for x in (rotation, translation))",
        "you took the smaller of a pair's two angles: the pair is as bad as its larger one":
            "maximum → minimum",
        "you took the share below the threshold itself: average it over k = 1 … threshold":
            "range(1, threshold + 1) → [threshold]",
        "you averaged the two angles of a pair": "torch.maximum → 0.5 * torch.add",
        "you made two areas and took the smaller: join the angles of a pair first":
            lambda r, t, threshold: min(area(r, r, threshold), area(t, t, threshold)),
        "you integrated the exact curve, as image-matching benchmarks do: here whole degrees are averaged":
            _trapezoid,
        "you began at k = 0, where nothing is below": "range(1, → range(0,",
        "you stopped before k = threshold": "threshold + 1 → threshold",
        "you left the translations out": lambda r, t, threshold: area(r, r, threshold),
    },
    hint="One error for each pair: the larger angle. Then, for k = 1, 2, …, the share of pairs below k.",
)  # fmt: skip


def depths(count: int, seed: int = 0):
    """Positive predictions and truths (count,) that roughly agree up to a factor."""
    base, noise = draws((count,), (count,), seed=seed)
    return base.abs() + 0.5, 1.7 * (base.abs() + 0.5) * (1 + 0.3 * noise).clamp(0.3, 3)


scale = Check(
    name="the scale with the least absolute error",
    reference=lambda pred, true: weighted_median(true / pred, pred),
    cases=lambda: {
        "five pixels": (torch.tensor([1, 1.5, 2.5, 3.5, 5.5]), torch.tensor([1.0, 2, 4, 6, 10])),
        "a map": depths(401),
        "a far pixel outweighs two near ones": (torch.tensor([1.0, 1, 9]), torch.tensor([1.0, 2, 27])),
        "one pixel": (torch.tensor([2.0]), torch.tensor([3.0])),
    },
    mutants={
        "every ratio weighs alike: a pixel pulls with the length of its prediction":
            lambda pred, true: (true / pred).median(),
        "you divided the medians: that is the other, quicker rule": lambda p, g: g.median() / p.median(),
        "you took least squares: Σ p g / Σ p²": lambda p, g: (p * g).sum() / p.square().sum(),
        "you divided the means": lambda p, g: g.mean() / p.mean(),
        "you averaged the ratios": lambda p, g: (g / p).mean(),
        "the weights are the predictions, not the truths": lambda p, g: weighted_median(g / p, g),
        "it is upside down: the factor that multiplies the prediction":
            lambda p, g: weighted_median(p / g, g),
        "you minimised the mean of |s p − g| / g: leave out the division by g":
            lambda p, g: weighted_median(g / p, p / g),
    },
    hint="Sort the ratios g / p, add up p in that order, stop where half of the sum is reached.",
)  # fmt: skip


def jaccard_of(near, said, seen):
    """Hits over visible points and false alarms, of three masks: near the truth, called visible, visible."""
    hits, alarms = near & said & seen, said & ~(near & seen)
    return hits.sum() / (seen.sum() + alarms.sum())


def _masks(*rows: str):
    """One mask for each row: 1 is True."""
    return tuple(torch.tensor([digit == "1" for digit in row]) for row in rows)


jaccard = Check(
    name="Jaccard",
    reference=jaccard_of,
    cases=lambda: {
        "four places": _masks("1011", "1110", "1101"),
        "a scene": tuple(x > 0.1 for x in draws((3, 32), (3, 32), (3, 32))),
        "all right": _masks("11111", "11111", "11111"),
        "nothing said": _masks("11111", "00000", "11111"),
    },
    mutants={
        "a point that is visible but far counts twice below the line: as missed, and as a false alarm":
            "seen.sum() + alarms.sum() → (said | seen).sum()",
        "you left false alarms out: that rewards calling everything visible": "+ alarms.sum() →",
        "you left out below the line what is visible and was not called so":
            "seen.sum() + alarms.sum() → said.sum().clamp_min(1)",
        "you left the distance out": "near & said → said; seen.sum() + alarms.sum() → (said | seen).sum()",
        "you left the predicted visibility out: that is δ": "near & said → near; + alarms.sum() →",
        "a false alarm is also a point called visible that is hidden, however near the guess":
            "~(near & seen) → ~near",
        "you gave the share of right visibilities: that is OA":
            lambda near, said, seen: (said == seen).float().mean(),
    },
    hint="TP = near & said & seen. FP = said, but not (near & seen). Below the line: seen.sum() + FP.",
)  # fmt: skip


def interval_of(values, drawn):
    """The middle 95 % of the means of values (N,) drawn again and again, drawn (K, N) indices: (2,)."""
    means = values[drawn].mean(1)
    return torch.quantile(means, torch.tensor([0.025, 0.975]))


def _drawn(count: int, times: int, seed: int = 0):
    return torch.randint(count, (times, count), generator=generator(seed))


def _normal(values, drawn):
    error = values.std() / len(values) ** 0.5 if len(values) > 1 else torch.zeros(())
    return torch.stack([values.mean() - 1.96 * error, values.mean() + 1.96 * error])


interval = Check(
    name="bootstrap interval",
    reference=interval_of,
    cases=lambda: {
        "three scenes drawn five times": (torch.tensor([1.0, 2.0, 6.0]), _drawn(3, 5)),
        "forty scenes": (draw(40).abs(), _drawn(40, 200, 1)),
        "one scene": (torch.tensor([0.3]), _drawn(1, 10)),
    },
    mutants={
        "you took quantiles of the scenes: they say how scenes differ, not how sure their mean is":
            "quantile(means → quantile(values",
        "you averaged over the draws (axis 0): each row of `drawn` is one set of scenes": "mean(1) → mean(0)",
        "5 % and 95 % leave out a tenth: the middle 95 % lie between 2.5 % and 97.5 %":
            "0.025, 0.975 → 0.05, 0.95",
        "you returned the smallest and the largest mean": "0.025, 0.975 → 0.0, 1.0",
        "you used 1.96 standard errors: nearly the same here, but the draws were not looked at": _normal,
        "you took the median of each draw": "mean(1) → median(1).values",
    },
    hint="`values[drawn]` is (K, N). One mean for each row, then `torch.quantile` with 0.025 and 0.975.",
)  # fmt: skip
