"""The learning rate as a function of progress: up in a line, down along a cosine."""

from math import cos, pi


def learning_rate(progress: float, peak: float, warmup: float) -> float:
    """The learning rate at one moment of the run.

    A function of progress alone, so that it has no state of its own to save and a run resumed in the
    middle is on the curve at once.

    Args:
        progress: Steps done ÷ steps in all, in [0, 1).
        peak: The highest rate, reached when the warm-up ends.
        warmup: Fraction of the run over which the rate climbs from almost 0.

    Returns:
        The rate. It is `peak` at `warmup` and falls towards 0 at the end of the run.
    """
    if progress < warmup:
        return peak * max(progress / warmup, 1e-3)  # the very first step should not be lost
    return peak * 0.5 * (1 + cos(pi * (progress - warmup) / max(1 - warmup, 1e-9)))
