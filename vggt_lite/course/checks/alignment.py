"""Laying one point set over another: the check of the exercise, with the mistakes people make."""

import torch

from vggt_lite.course.checks.check import Check
from vggt_lite.course.checks.draws import draw, draws
from vggt_lite.geometry import umeyama as package_umeyama


def _parts(source, target):
    fit = package_umeyama(source, target)
    return fit.scale, fit.rotation, fit.translation


def solve(source, target, *, guard=True, center=True, spread=False):
    """Umeyama's solution with parts that can be left out."""
    x, y = source.double(), target.double()
    x_mean, y_mean = (z.mean(0) if center else torch.zeros(3).double() for z in (x, y))
    x, y = x - x_mean, y - y_mean
    u, singular, vt = torch.linalg.svd(y.mT @ x)
    hand = torch.ones(3).double()
    hand[2] = torch.det(u @ vt).sign() if guard else 1.0
    rotation = u @ torch.diag(hand) @ vt
    size = (y.norm() / x.norm()) if spread else (singular * hand).sum() / x.square().sum()
    translation = y_mean - size * rotation @ x_mean
    return tuple(part.to(source) for part in (size, rotation, translation))


def _changed(change):
    return lambda source, target: change(*_parts(source, target), source, target)


def _moved(source, seed: int, mirror: bool = False):
    """The source turned, scaled by 2, shifted, with noise; as a mirror image if wanted."""
    turn, noise, shift = draws((3, 3), tuple(source.shape), (3,), seed=seed)
    q, _ = torch.linalg.qr(turn)
    q = q * torch.det(q).sign() * (-1 if mirror else 1)
    return 2 * source @ q.mT + 3 * shift + 0.1 * noise


def _cloud(count: int, seed: int):
    return torch.tensor([3.0, 2.0, 1.0]) * draw(count, 3, seed=seed) + torch.tensor([1.0, -2.0, 4.0])


umeyama = Check(
    name="Umeyama",
    reference=_parts,
    atol=1e-3,
    rtol=1e-3,
    cases=lambda: [
        (
            "a triangle, turned by 90° and doubled",
            (
                torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 2, 0]]),
                torch.tensor([[1.0, 1, 0], [1, 3, 0], [-3, 1, 0]]),
            ),
        ),
        ("a noisy cloud", (_cloud(50, 0), _moved(_cloud(50, 0), 1))),
        ("a mirror image: the best rotation is asked for", (_cloud(30, 2), _moved(_cloud(30, 2), 3, True))),
        ("the same points", (_cloud(9, 4), _cloud(9, 4))),
    ],
    mutants={
        "your rotation can be a mirror image: flip the last axis where det(U Vᵀ) is −1": lambda a, b: solve(
            a, b, guard=False
        ),
        "your rotation leads the other way: transpose it": _changed(lambda s, r, t, a, b: (s, r.mT, t)),
        "the scale is missing": _changed(
            lambda s, r, t, a, b: (torch.ones(()), r, b.mean(0) - r @ a.mean(0))
        ),
        "the scale leads the other way: it multiplies the source": _changed(
            lambda s, r, t, a, b: (1 / s, r, b.mean(0) - r @ a.mean(0) / s)
        ),
        "you divided the spreads: noise makes both larger, and only the part that agrees may count": (
            lambda a, b: solve(a, b, spread=True)
        ),
        "you did not take the means off first": lambda a, b: solve(a, b, center=False),
        "the translation must undo the turned and scaled mean of the source": _changed(
            lambda s, r, t, a, b: (s, r, b.mean(0) - a.mean(0))
        ),
        "the translation forgets the scale": _changed(
            lambda s, r, t, a, b: (s, r, b.mean(0) - r @ a.mean(0))
        ),
    },
    hint="Means off, covariance yᵀ x (3, 3), its SVD. Print `torch.det` of your rotation: it must be +1.",
)
