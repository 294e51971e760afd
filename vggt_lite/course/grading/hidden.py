"""The checks as they mark: cases drawn from the teacher's seed."""

from collections.abc import Callable
from dataclasses import replace

import torch

from vggt_lite.config import NANO
from vggt_lite.course import checks
from vggt_lite.course.checks.check import Check
from vggt_lite.course.checks.seeds import generator


def whole(low: int, high: int, seed: int) -> int:
    """A whole number from `low` to `high`."""
    return int(torch.randint(low, high + 1, (), generator=generator(seed)))


def share(seed: int) -> float:
    """A number between 0 and 1."""
    return float(torch.rand((), generator=generator(seed)))


def shape_cases() -> dict[str, tuple]:
    config = NANO.with_(num_registers=whole(1, 9, 0))
    sides = (config.patch_size * whole(3, 20, 1), config.patch_size * whole(3, 20, 2))
    return {"other sizes": (config, whole(2, 9, 3), *sides)}


def place_cases() -> dict[str, tuple]:
    height, width, special = whole(3, 12, 0), whole(3, 12, 1), whole(1, 9, 2)
    place = whole(1, 9, 3), whole(0, height - 1, 4), whole(0, width - 1, 5)
    return {"another patch": (*place, (height, width), special)}


def mask_cases() -> dict[str, tuple]:
    views = whole(3, 6, 0)
    return {"other views": (views, whole(2, 9, 1), whole(1, views - 1, 2))}


def rate_cases() -> dict[str, tuple]:
    moments = torch.rand(8, generator=generator(0)).tolist()
    return {"other moments": (moments, 0.1 + share(1), 0.05 + 0.4 * share(2))}


# Checks whose public cases hold no random numbers need cases of another kind.
ADDED: dict[str, Callable[[], dict[str, tuple]]] = {
    "alternating.one_way": mask_cases,
    "alternating.place_in_sequence": place_cases,
    "dense.sincos_2d": lambda: {"other places": (whole(2, 60, 0), 0.3 + 0.6 * share(1), 4 * whole(2, 30, 2))},
    "experiments.network_shapes": shape_cases,
    "training.learning_rate": rate_cases,
}


def marking_check(key: str) -> Check:
    """The check "topic.name". Call it within `other_inputs(seed)`.

    Raises:
        KeyError: there is no such check.
    """
    topic, _, name = key.partition(".")
    check = getattr(getattr(checks, topic, None), name, None)
    if not isinstance(check, Check):
        raise KeyError(key)
    added = ADDED.get(key)
    return replace(check, cases=lambda: {**check.cases(), **added()}) if added else check
