"""Laying one point set over another: the check of the exercise, with the mistakes people make."""

import torch

from vggt_lite.course.checks.check import Check, draw, draws


def fit(source, target):
    """Scale, rotation and translation that lay source (N, 3) over target (N, 3), by Umeyama."""
    x_mean, y_mean = source.double().mean(0), target.double().mean(0)
    x, y = source - x_mean, target - y_mean
    u, singular, vt = torch.linalg.svd(y.mT @ x)
    hand = torch.tensor([1.0, 1.0, torch.det(u @ vt).sign()]).double()
    rotation = u @ torch.diag(hand) @ vt
    scale = (singular * hand).sum() / x.square().sum()
    return scale, rotation, y_mean - scale * rotation @ x_mean


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
    reference=fit,
    atol=1e-3,
    rtol=1e-3,
    cases=lambda: {
        "a triangle, turned by 90° and doubled":
            torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 2, 0]], [[1, 1, 0], [1, 3, 0], [-3, 1, 0]]]),
        "a noisy cloud": (_cloud(50, 0), _moved(_cloud(50, 0), 1)),
        "a mirror image: the best rotation is asked for": (_cloud(30, 2), _moved(_cloud(30, 2), 3, True)),
        "the same points": (_cloud(9, 4), _cloud(9, 4)),
    },
    mutants={
        "your rotation can be a mirror image: flip the last axis where det(U Vᵀ) is −1":
            "torch.det(u @ vt).sign() → 1.0",
        "your rotation leads the other way: transpose it": "scale, rotation, → scale, rotation.mT,",
        "the scale is missing": "(singular * hand).sum() / x.square().sum() → torch.tensor(1.0)",
        "the scale leads the other way: it multiplies the source":
            "(singular * hand).sum() / x.square().sum() → x.square().sum() / (singular * hand).sum()",
        "you divided the spreads: noise makes both larger, and only the part that agrees may count":
            "(singular * hand).sum() / x.square().sum() → y.norm() / x.norm()",
        "you did not take the means off first":
            "source.double().mean(0), target.double().mean(0) → torch.zeros(2, 3).double()",
        "the translation must undo the turned and scaled mean of the source": "scale * rotation @ →",
        "the translation forgets the scale": "- scale * rotation → - rotation",
    },
    hint="Means off, covariance yᵀ x (3, 3), its SVD. Print `torch.det` of your rotation: it must be +1.",
)  # fmt: skip
