"""By how much are focal lengths, translations or principal points wrong? Measured, not guessed.

A share of samples within a limit hides a lens that is 10 % too long: everything is off by a little. So the
error itself is estimated: for each family of errors the amount that makes the residuals smallest, by a robust
cost. It is named if it is clearly not zero and clearly makes the residuals smaller.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from vggt_lite.data.residuals import DepthResiduals, Geometry, PointResiduals
from vggt_lite.geometry import unproject_depth

Evidence = DepthResiduals | PointResiduals
Amount = tuple[float, ...]

CERTAIN = 4.0  # standard errors by which the mean gain must exceed 0
NEARLY_ALL = 0.8  # share of the pairs of views that must gain; what makes up for one wrong pose harms many
WORTH = 0.05  # mean gain: the residuals become about 5 % smaller
DECISIVE = 0.8  # to this share the residuals must fall; what does less may be poses that are a little off
FINEST = 0.001  # residual; below it there is nothing to gain
TOO_FAR = 1.6  # where a search gives up: a factor of 5
SHOWN = 0.1  # a relative error that a good scene should reveal


class Family(NamedTuple):
    """A kind of error with up to two amounts; all 0 leaves the scene as it is."""

    name: str
    change: Callable[[Geometry, Amount], Geometry]  # the scene without an error of this amount
    count: int  # of its amounts; 0 if there is nothing to vary
    least: float  # amount that is worth a word
    say: Callable[[Amount], str]
    advice: str

    def matters(self, amount: Amount, share: float = 1.0) -> bool:
        return share * self.least <= max(map(abs, amount), default=1.0) < TOO_FAR


class ScaleError(NamedTuple):
    """An error that was found."""

    family: Family
    amount: Amount
    gain: Tensor  # per sample: how much smaller the cost is without the error
    decisive: bool  # whether nothing else is likely to explain it
    rivals: tuple[str, ...] = ()  # other errors that would explain the scene as well

    @property
    def condition(self) -> str:
        return self.family.say(self.amount)

    @property
    def text(self) -> str:
        also = f" {' or '.join(self.rivals).capitalize()} would explain it as well." if self.rivals else ""
        return f"{self.condition}, which would explain it: {self.family.advice}{also}"

    def mend(self, geometry: Geometry) -> Geometry:
        return self.family.change(geometry, self.amount)


def _focal(given: Geometry, amount: Amount) -> Geometry:
    factor = math.exp(amount[0])
    change = torch.tensor([[factor, 1, 1], [1, factor, 1], [1, 1, 1]])
    return given._replace(intrinsics=given.intrinsics * change)


def _translations(given: Geometry, amount: Amount) -> Geometry:
    change = torch.tensor([1, 1, 1, math.exp(amount[0])])
    return given._replace(cam_from_world=given.cam_from_world * change)


def _principal_point(given: Geometry, amount: Amount) -> Geometry:
    k = given.intrinsics.clone()
    k[:, :2, 2] += torch.tensor(amount) * given.sizes[:, :1]
    return given._replace(intrinsics=k)


def _picture_size(given: Geometry, amount: Amount) -> Geometry:
    rows = torch.tensor([*amount, 0.0]).exp()  # of fx and cx, of fy and cy, of 1
    return given._replace(intrinsics=given.intrinsics * rows[:, None])


def _along_the_ray(given: Geometry, amount: Amount) -> Geometry:
    pairs = list(zip(given.depth, given.intrinsics, strict=True))
    ends = [unproject_depth(torch.ones_like(d), k, torch.eye(3, 4)) for d, k in pairs]  # z = 1
    return given._replace(depth=[d / end.norm(dim=-1) for d, end in zip(given.depth, ends, strict=True)])


FOCAL = Family(
    "focal lengths", _focal, 1, 0.03,
    lambda x: f"focal lengths are × {math.exp(x[0]):.2f}",
    "multiply fx and fy by that, or look up which lens and which picture size they are for.",
)  # fmt: skip
TRANSLATIONS = Family(
    "translations", _translations, 1, 0.03,
    lambda x: f"translations are × {math.exp(x[0]):.2f} (or surfaces × {math.exp(-x[0]):.2f})",
    "bring the poses and depth or points to one unit.",
)  # fmt: skip
PRINCIPAL_POINT = Family(
    "principal points", _principal_point, 2, 0.02,
    lambda x: f"principal points move by ({100 * x[0]:+.1f}, {100 * x[1]:+.1f}) % of the width",
    "add that to cx and cy; were the pictures cropped or padded?",
)  # fmt: skip
PICTURE_SIZE = Family(
    "picture size", _picture_size, 2, 0.03,
    lambda x: f"fx and cx are × {math.exp(x[0]):.2f}, fy and cy × {math.exp(x[1]):.2f}",
    "the intrinsics are for pictures of another size; scale them as the pictures were scaled.",
)  # fmt: skip
LENS = (FOCAL, PRINCIPAL_POINT, PICTURE_SIZE)
ALONG_THE_RAY = Family(
    "distance along the ray", _along_the_ray, 0, 0.0,
    lambda x: "depth is the distance along the ray",
    "divide by the length of each pixel's ray of z = 1.",
)  # fmt: skip


def find_scale_error(evidence: Evidence, families: tuple[Family, ...]) -> ScaleError | None:
    """The error that explains the residuals best, if there is one: a rough search, then a fine one."""
    given, blocks = evidence.geometry, evidence.blocks
    as_is = evidence.residuals(given)
    if not as_is.isfinite().any():
        return None
    scale = _typical(as_is)
    amounts = {f: _search(evidence, f, (0.0,) * f.count, 0.1, 0.01, scale) for f in families}
    amounts = {family: amount for family, amount in amounts.items() if family.matters(amount, share=0.5)}
    left = [_typical(evidence.residuals(family.change(given, x))) for family, x in amounts.items()]
    scale = min(left, default=scale)  # of the noise that is left, once the error is out
    found = []
    for family, amount in amounts.items():
        amount = _search(evidence, family, amount, 0.02, 0.002, scale)
        mended = evidence.residuals(family.change(given, amount))
        gain = _cost(as_is, scale) - _cost(mended, scale)
        if family.matters(amount) and explains(gain, blocks):
            decisive = evidence.decisive and _typical(mended) < DECISIVE * _typical(as_is)
            found.append(ScaleError(family, amount, gain, decisive))
    if not found:
        return None
    best = max(found, key=lambda error: error.gain.nanmean())
    others = [error for error in found if error is not best]
    rivals = [other.family.name for other in others if certainty(best.gain - other.gain, blocks) < CERTAIN]
    return best._replace(rivals=tuple(rivals))


def hidden_errors(evidence: Evidence, families: tuple[Family, ...]) -> list[str]:
    """Which factors could be off by `SHOWN` without making the residuals clearly larger."""
    given = evidence.geometry
    factors = [family for family in families if family.count == 1]
    as_is = evidence.residuals(given)
    scale = _typical(as_is)

    def shows(family: Family, amount: float) -> bool:
        wrong = evidence.residuals(family.change(given, (amount,)))
        return certainty(_cost(wrong, scale) - _cost(as_is, scale), evidence.blocks) > CERTAIN

    return [family.name for family in factors if not (shows(family, SHOWN) and shows(family, -SHOWN))]


def explains(gain: Tensor, blocks: Tensor) -> bool:
    """Whether a change makes the residuals clearly smaller, and for nearly all pairs of views (or views)."""
    per_pair = gain.nanmean(1)
    helped = (per_pair > 0).sum() / per_pair.isfinite().sum()
    return bool(helped >= NEARLY_ALL and gain.nanmean() > WORTH) and certainty(gain, blocks) > CERTAIN


def certainty(gain: Tensor, blocks: Tensor) -> float:
    """How many of its standard errors a mean lies above 0; samples of one block count as one."""
    known = gain.isfinite()
    which = blocks[known].unique(return_inverse=True)[1]
    count = torch.bincount(which).float()
    total = torch.zeros_like(count).index_add_(0, which, gain[known])
    if len(count) < 2:
        return 0.0
    mean = total.sum() / count.sum()
    error = (total - mean * count).norm() / count.sum()
    return (mean / error.clamp(min=1e-12)).item()


def _typical(residuals: Tensor) -> float:
    return max(FINEST, residuals.nanmedian().item())


def _cost(residuals: Tensor, scale: float) -> Tensor:
    """Cauchy's: quadratic up to `scale`, logarithmic beyond, so what is hidden or moves does little harm."""
    return torch.log1p((residuals / scale).square())


def _search(
    evidence: Evidence, family: Family, start: Amount, step: float, end: float, scale: float
) -> Amount:
    """The amount of least cost, to within `end`, by Nelder and Mead's method with a first step of `step`."""
    if not family.count:
        return start
    given = evidence.geometry
    as_is = _cost(evidence.residuals(given), scale)

    def loss(amount: np.ndarray) -> float:  # of samples that can be compared before and after
        changed = evidence.residuals(family.change(given, tuple(amount.tolist())))
        return (_cost(changed, scale) - as_is).nansum().item()

    corners = np.array(start) + step * np.eye(family.count + 1, family.count, k=-1)
    options = {"initial_simplex": corners, "xatol": end, "fatol": np.inf}
    return tuple(minimize(loss, start, method="Nelder-Mead", options=options).x.tolist())
