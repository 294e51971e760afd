"""Do the views of a scene agree on where surfaces are? And if not: which mistake would explain it?

A surface seen in one view must land where the next view sees it; without depth, the rays of a track must
meet. Wrong conventions fail that test in typical ways, so common mistakes are tried out, and the one that
explains the data is named. Wrong scales are measured (`scale_errors.py`).
"""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from vggt_lite.data import scale_errors
from vggt_lite.data.residuals import DepthResiduals, Geometry, PointResiduals, SeenPoints
from vggt_lite.data.scale_errors import ALONG_THE_RAY, LENS, TRANSLATIONS, Evidence, Family, ScaleError
from vggt_lite.geometry import invert_rigid

CLOSE = 0.02  # what counts as agreement: share of the depth, or of the image's width
MOSTLY = 0.7  # share of points or tracks that agree once a mistake is undone
EXPLAINED = 0.45  # share, of what could agree, that does once a wrong scale is undone

Change = Callable[[Geometry], Geometry]


class Mistake(NamedTuple):
    """A common mistake, and how to undo it."""

    text: str
    share: float  # of the samples that agree without it
    mend: Change


class CheckResult(NamedTuple):
    """What is wrong, what could not be told, and what was measured."""

    problems: list[str]
    notes: list[str]  # what could not be told
    measured: list[str]  # how far the views agree, if nothing is wrong
    mistake: Mistake | None = None  # that explains the first problem


def _posed(change: Callable[[Tensor], Tensor]) -> Change:
    return lambda given: given._replace(cam_from_world=change(given.cam_from_world))


def _inverse(cameras: Tensor) -> Tensor:
    return invert_rigid(cameras)[:, :3]


def _swapped_lens(given: Geometry) -> Geometry:
    k = given.intrinsics.clone()
    k[:, [0, 1], [0, 1]] = given.intrinsics[:, [1, 0], [1, 0]]
    return given._replace(intrinsics=k)


def _inverse_depth(given: Geometry) -> Geometry:
    return given._replace(depth=[torch.where(d > 0, 1 / d, 0.0) for d in given.depth])


# Common mistakes: what is said of each, and how it is undone
FLIP = torch.tensor([1.0, -1.0, -1.0])[:, None]  # OpenGL's camera looks along −z with y up
POSES: dict[str, Change] = {
    "the matrices are world_from_cam: invert them (geometry.invert_rigid).": _posed(_inverse),
    "the camera axes are OpenGL's: negate the second and third row.": _posed(lambda cameras: FLIP * cameras),
    'the matrices are OpenGL\'s world_from_cam: use convert_cameras(…, "opengl_world_from_cam", '
    '"opencv_cam_from_world").': _posed(lambda cameras: FLIP * _inverse(cameras)),
}
LENSES: dict[str, Change] = {"the two focal lengths are swapped: fx stands first.": _swapped_lens}
UNITS: dict[str, Change] = {
    "depth is in thousandths of the translations' unit (mm and m?): divide it by 1000.": partial(
        TRANSLATIONS.change, amount=(math.log(1000),)
    ),
    "translations are in thousandths of the depth's unit (mm and m?): divide them by 1000.": partial(
        TRANSLATIONS.change, amount=(math.log(0.001),)
    ),
}
DEPTHS: dict[str, Change] = {
    f"{ALONG_THE_RAY.say(())}: {ALONG_THE_RAY.advice}": partial(ALONG_THE_RAY.change, amount=()),
    "depth is 1 / z (inverse depth, disparity): write 1 / depth, and 0 where there is none.": _inverse_depth,
}


class Check(NamedTuple):
    """What is compared, how to speak of it, and how sure it must be."""

    result: str
    other: str  # the result if something were otherwise
    advice: str  # what to look at when no mistake explains it
    clearly: float  # a mistake is named if without it so much more agrees
    least: float  # share, of what could agree, below which something is wrong even if no mistake explains it
    families: tuple[Family, ...]  # errors that are measured
    mistakes: dict[str, Change]  # that are tried


DEPTH = Check(
    "the views agree on {:.0f} % of their surface points", "on {:.0f} %",
    "Check that depths and translations have one unit, the intrinsics, and the order of the views.", 0.1, 0.3,
    (*LENS, TRANSLATIONS, ALONG_THE_RAY), POSES | LENSES | UNITS | DEPTHS,
)  # fmt: skip
POINTS = Check(
    "{:.0f} % of the points lie where the views saw them", "{:.0f} %",
    "Check that cameras and points are of one model, and the order of the views.", 0.1, 0.5,
    (*LENS, TRANSLATIONS), POSES | LENSES | UNITS,
)  # fmt: skip
TRACKS = Check(  # rays meet by chance more easily than surfaces; tracks alone have no unit
    "{:.0f} % of the tracks' positions can be images of one point each", "{:.0f} %",
    "Check that the tracks are in pixels of these pictures, and the order of the views.", 0.15, 0.3,
    LENS, POSES | LENSES,
)  # fmt: skip


def judge(path: Path, given: Geometry, seen: SeenPoints | None = None) -> CheckResult:
    """Whether surfaces seen in one view lie where others see them, and if not, what would explain it.

    If nothing is wrong, the agreement that was measured is told, and what could be 10 % off without showing.
    Where cameras taken for `world_from_cam`, or for OpenGL's, would do as well, a note says so: the views
    stand too close together, or hardly see the same.

    Args:
        path: the file that holds the cameras, for the message.
        given: what the scene says; without `seen`, two views at least have depth.
        seen: judge by these points instead of by depth.
    """
    evidence = DepthResiduals(given) if seen is None else PointResiduals(given, seen)
    check = DEPTH if seen is None else TRACKS if seen.world is None else POINTS
    share, possible = agreement(evidence, evidence.geometry)
    text = check.result.format(100 * share)
    error = scale_errors.find_scale_error(evidence, check.families)
    if mistake := likely_mistake(evidence, check, error):
        other = check.other.format(100 * mistake.share)
        return CheckResult([f"{path}: {text} as it is, {other} if {mistake.text}"], [], [], mistake)
    if possible > 0.05 and share < check.least * possible:
        return CheckResult([f"{path}: {text}. {check.advice}"], [], [])
    rival = _best(POSES, evidence)
    notes = []
    if rival.share > share - check.clearly:
        other, what = check.other.format(100 * rival.share), rival.text.split(":")[0]
        notes = [f"{path}: {text}, and {other} if {what}: conventions could not be told."]
    if seen is None:
        text += f" ({100 * possible:.0f} % lie within the other view)"
    if error:
        other = check.other.format(100 * agreement(evidence, error.mend(evidence.geometry))[0])
        text += f"; {other} if {error.condition}, which may be chance or a pose that is a little off"
    elif hidden := scale_errors.hidden_errors(evidence, check.families):
        text += f"; {' or '.join(hidden)} 10 % off would not show"
    return CheckResult([], notes, [text + "."])


def likely_mistake(evidence: Evidence, check: Check, error: ScaleError | None) -> Mistake | None:
    """The common mistake, or the wrong scale that was found, if one clearly explains the scene."""
    share, _ = agreement(evidence, evidence.geometry)
    best, found = _best(check.mistakes, evidence), []
    _, possible = agreement(evidence, best.mend(evidence.geometry))
    explained = check.least * possible if check is DEPTH else MOSTLY  # depth may hardly overlap
    if best.share > max(explained, share + check.clearly):
        found.append(best)
    if error and error.decisive:
        agrees, possible = agreement(evidence, error.mend(evidence.geometry))
        if agrees > EXPLAINED * possible:
            found.append(Mistake(error.text, agrees, error.mend))
    return max(found, key=lambda mistake: mistake.share, default=None)


def agreement(evidence: Evidence, geometry: Geometry) -> tuple[float, float]:
    """Share of the samples that agree; share that could, for there is something to compare."""
    residuals = evidence.residuals(geometry)
    tried = max(evidence.tried, 1)
    return (residuals < CLOSE).sum().item() / tried, residuals.isfinite().sum().item() / tried


def _best(changes: dict[str, Change], evidence: Evidence) -> Mistake:
    shares = {text: agreement(evidence, change(evidence.geometry))[0] for text, change in changes.items()}
    text = max(shares, key=shares.get)
    return Mistake(text, shares[text], changes[text])
