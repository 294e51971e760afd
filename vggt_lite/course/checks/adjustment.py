"""A robust loss and free lenses: checks of the exercises, with the mistakes people make."""

import torch

from vggt_lite.course.checks.check import Check, draw, draws
from vggt_lite.course.checks.tokens import pinhole


def cauchy_weight(residuals, scale: float):
    """Weight (…) of residuals (…, 2), pixels, under Cauchy's loss: 1 / (1 + e² / scale²)."""
    squares = residuals.square().sum(-1)
    return 1 / (1 + squares / scale**2)


weight = Check(
    name="Cauchy's weight",
    reference=cauchy_weight,
    cases=lambda: {
        "three observations": (torch.tensor([[0.0, 0.0], [3.0, 4.0], [30.0, 40.0]]), 5.0),
        "four views of nine points": (8 * draw(4, 9, 2), 3.0),
        "a scale below one pixel": (draw(20, 2, seed=1), 0.5),
        "all fit exactly": (torch.zeros(6, 2), 2.0),
    },
    mutants={
        "x and y have a weight each: an observation is wrong as a whole, so it has one weight":
            lambda r, s: 1 / (1 + r.square() / s**2),
        "you forgot to square the scale": "scale**2 → scale",
        "you forgot the scale": "/ scale**2 →",
        "you divided by the error, not by its square": "squares / scale**2 → squares.sqrt() / scale",
        "that is the loss; the weight is its derivative by e², which is 1 / (1 + e² / s²)":
            lambda r, s: s**2 * torch.log1p(r.square().sum(-1) / s**2),
        "that is the weight of the loss of Geman and McClure: leave out the square":
            lambda r, s: cauchy_weight(r, s).square(),
        "that is the weight of the pseudo-Huber loss: leave out the root":
            lambda r, s: cauchy_weight(r, s).sqrt(),
        "that is Welsch's weight, exp(−e² / s²)": lambda r, s: torch.exp(-r.square().sum(-1) / s**2),
        "the squared length is x² + y², not their mean": "sum(-1) → mean(-1)",
        "square x and y first, then add: signs must not cancel": "square().sum(-1) → sum(-1).square()",
        "|x| + |y| is not the length: √(x² + y²)": "square().sum(-1) → abs().sum(-1).square()",
        "the larger of |x| and |y| is not the length: √(x² + y²)":
            "square().sum(-1) → abs().amax(-1).square()",
        "that is the derivative by e; the weight is the one by e²":
            lambda r, s: 2 * r.norm(dim=-1) * cauchy_weight(r, s),
        "the factor s² of the loss cancels: with e = 0 the weight is 1": "return 1 → return scale**2",
        "you forgot the factor s² of the loss: with e = 0 the weight is 1":
            "1 / (1 + squares / scale**2) → 1 / (scale**2 + squares)",
        "each observation has its own weight: they need not sum to 1":
            lambda r, s: cauchy_weight(r, s) / cauchy_weight(r, s).sum(),
        "that is Huber's weight, s / e beyond s":
            lambda r, s: (s / r.norm(dim=-1)).clamp(max=1),
        "that is the loss divided by e²; the weight is its derivative by e²":
            lambda r, s: s**2 * torch.log1p(r.square().sum(-1) / s**2) / r.square().sum(-1),
        "you used the lesson's s = 3: `scale` is given": "scale**2 → 3.0**2",
        "large errors have large weights: it is upside down": "1 / (1 + squares / scale**2) → "
            "1 + squares / scale**2",
    },
    hint="Derive s² log(1 + e² / s²) by e². With e = 0 the weight is 1, with e = s it is ½.",
)  # fmt: skip


def pixels_by_log_focal(points, intrinsics):
    """How the pixel of each point (…, 3), in the camera's frame, moves with the logarithm of f: (…, 2)."""
    x, y, z = points.unbind(-1)
    fx, fy = intrinsics[0, 0], intrinsics[1, 1]
    return torch.stack([fx * x / z, fy * y / z], -1)


def _before_camera(*shape: int, seed: int):
    """Points with z from 1 to 3."""
    sides, depth = draws((*shape, 2), (*shape, 1), seed=seed)
    return torch.cat([sides, 2 + depth.tanh()], dim=-1)


by_focal_length = Check(
    name="derivative by log f",
    reference=pixels_by_log_focal,
    cases=lambda: {
        "two points": (torch.tensor([[1.0, 2, 4], [-0.5, 0.25, 1]]), pinhole(100, 100, 80, 60)),
        "a point in the middle": (torch.tensor([[0.0, 0.0, 2.0]]), pinhole(100, 100, 80, 60)),
        "thirty points, pixels that are not square": (
            _before_camera(30, seed=2), pinhole(412, 389, 224, 224),
        ),
        "views by points": (_before_camera(3, 5, seed=3), pinhole(55, 55, 32, 32)),
    },
    mutants={
        "that is the derivative by f; by log f it is f times as large":
            "fx * x / z, fy * y / z → x / z, y / z",
        "that is the pixel itself: the principal point does not move with the lens":
            lambda p, k: p[..., :2] / p[..., 2:] * k[[0, 1], [0, 1]] + k[:2, 2],
        "you divided by f; the factor grows with f": "fx * x / z, fy * y / z → x / z / fx, y / z / fy",
        "the division by z is missing": "fx * x / z, fy * y / z → fx * x, fy * y",
        "you used f_x for both axes": "fy * → fx *",
        "f_x and f_y are exchanged": "fx, fy = → fy, fx =",
        "the order is x, y": "fx * x / z, fy * y / z → fy * y / z, fx * x / z",
        "you divided by the distance: a pixel has x / z": "fx * x / z, fy * y / z → "
            "fx * x / points.norm(dim=-1), fy * y / points.norm(dim=-1)",
        "derive exp(a) · x / z: it stays exp(a) · x / z, with f itself, not log f":
            "fx * x / z, fy * y / z → fx.log() * x / z, fy.log() * y / z",
        "x and y are the last axis of the result: `torch.stack(…, dim=-1)`": ", -1) → )",
        "nothing moves: exp(a) multiplies f_x and f_y, not the whole matrix with its 1":
            "fx * x / z, fy * y / z → 0 * x, 0 * y",
        "you used the mean of f_x and f_y for both": "fx * x / z, fy * y / z → "
            "(fx + fy) / 2 * x / z, (fx + fy) / 2 * y / z",
        "x moves as well as y: you left one of them at 0": lambda p, k: pixels_by_log_focal(p, k)
            * torch.tensor([1.0, 0.0]),
        "a longer lens pushes pixels outwards: the sign is wrong": "fx * x / z, fy * y / z → "
            "-fx * x / z, -fy * y / z",
        "you divided by z twice: that is the derivative by x": "/ z, fy * y / z → / z**2, fy * y / z**2",
    },
    hint="Write f = exp(a): the pixel is exp(a) · x / z + c_x. Derive it by a.",
)  # fmt: skip
