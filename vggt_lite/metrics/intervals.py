"""How sure a mean is: over scenes, drawn again and again (bootstrap), or over a few runs (Student's t)."""

import math

import numpy as np

DRAWS = 2000  # of all scenes
# Half-width of a mean's 95 % interval in standard errors, for 1, 2, 3 … degrees of freedom (runs less one)
STUDENT_T = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)


def group_mean(values: list[float], groups: list[str] | None = None) -> float:
    """Mean over groups of the mean over their scenes; without groups, the mean. NaN scenes are left out."""
    means = [sum(part) / len(part) for part in _parts(values, groups)]
    return sum(means) / len(means) if means else math.nan


def bootstrap_interval(values: list[float], groups: list[str] | None = None) -> tuple[float, float]:
    """Where the mean over scenes would lie in 95 % of cases, had other scenes of the same kind been measured.

    Two models on the *same* scenes: compare their differences, scene by scene, not their intervals. What is
    the same for all scenes (the seed of training, the protocol) is not in the interval.

    Args:
        values: one figure per scene; NaN scenes are left out.
        groups: the group (category) of each scene: scenes are drawn within their group, and groups count
            alike, as in `group_mean`. If a group has a single scene, which says nothing of its spread, whole
            groups are drawn instead. None: one group.

    Returns:
        (low, high); both are the mean where there is only one scene, NaN where there is none.

    Source: Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7(1), 1979.
    """
    generator = np.random.default_rng(0)  # the same scenes give the same interval
    parts = _parts(values, groups)
    if not parts:
        return math.nan, math.nan
    if min(map(len, parts)) == 1:
        parts = [[sum(part) / len(part) for part in parts]]
    means = np.zeros(DRAWS)
    for part in parts:
        drawn = generator.integers(len(part), size=(DRAWS, len(part)))
        means += np.asarray(part)[drawn].mean(1) / len(parts)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def _parts(values: list[float], groups: list[str] | None) -> list[list[float]]:
    """The finite values of each group, in the order of first appearance."""
    groups = [""] * len(values) if groups is None else groups
    parts: dict[str, list[float]] = {}
    for value, group in zip(values, groups, strict=True):
        if value is not None and not math.isnan(value):
            parts.setdefault(group, []).append(value)
    return list(parts.values())
