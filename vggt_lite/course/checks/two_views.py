"""Two views: epipolar lines and triangulation."""

import torch
import torch.nn.functional as F
from torch import Tensor

from vggt_lite.course.checks.cameras import K, cameras, points, project
from vggt_lite.course.checks.check import Check
from vggt_lite.geometry import essential_matrix, fundamental_matrix, invert_rigid, normalized_coordinates


def epipolar_lines_of(pixels: Tensor, second_from_first: Tensor, k1: Tensor, k2: Tensor) -> Tensor:
    """Lines (N, 3) in view 2 of pixels (N, 2) of view 1, scaled so that a² + b² = 1 and c ≤ 0."""
    essential = essential_matrix(torch.eye(3, 4), second_from_first)
    return _scaled(F.pad(pixels, (0, 1), value=1.0) @ fundamental_matrix(essential, k1, k2).mT)


def _scaled(lines: Tensor) -> Tensor:
    lines = lines / lines[:, :2].norm(dim=-1, keepdim=True)
    return torch.where(lines[:, 2:] > 0, -lines, lines)


def _lines_with(matrix):
    """A wrong answer: `matrix(R, t, K1, K2)` in the place of F."""

    def mutant(pixels: Tensor, camera: Tensor, k1: Tensor, k2: Tensor) -> Tensor:
        wrong = matrix(camera[:, :3], _cross(camera[:, 3]), torch.linalg.inv(k1), torch.linalg.inv(k2))
        return _scaled(F.pad(pixels, (0, 1), value=1.0) @ wrong.mT)

    return mutant


def _cross(v: Tensor) -> Tensor:
    return torch.linalg.cross(v.expand(3, 3), torch.eye(3), dim=-1).mT


STEP_RIGHT = torch.tensor([[1.0, 0.0, 0.0, -0.5], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]])
K2 = K * torch.tensor([[1.4], [1.2], [1.0]])

epipolar_lines = Check(
    name="epipolar lines",
    reference=epipolar_lines_of,
    run=lambda function, *case: _scaled(function(*case)),  # a line may be multiplied by anything
    cases=lambda: [
        ("a step to the right", (torch.tensor([[10.0, 20.0], [40.0, 30.0]]), STEP_RIGHT, K, K)),
        (
            "a turned camera with another lens",
            (project(points(12, 6), torch.eye(3, 4), K), cameras(1, 7)[0], K, K2),
        ),
        ("one pixel", (torch.tensor([[31.0, 5.0]]), cameras(1, 8)[0], K2, K)),
    ],
    mutants={
        "F leads the wrong way: x₂ᵀ F x₁ = 0, and the line in view 2 is F x₁, not Fᵀ x₁": _lines_with(
            lambda r, t, k1, k2: (k2.mT @ t @ r @ k1).mT
        ),
        "the intrinsics are missing: E speaks of x / z and y / z, F of pixels": _lines_with(
            lambda r, t, k1, k2: t @ r
        ),
        "both pixels got the first camera's intrinsics": _lines_with(lambda r, t, k1, k2: k1.mT @ t @ r @ k1),
        "[t]ₓ and R are in the wrong order: E = [t]ₓ R": _lines_with(lambda r, t, k1, k2: k2.mT @ r @ t @ k1),
    },
    hint="E = [t]ₓ R of second_from_first; F = K₂⁻ᵀ E K₁⁻¹; the lines are F applied to (u, v, 1).",
)


def triangulate(pixels: Tensor, cam_from_world: Tensor, intrinsics: Tensor) -> Tensor:
    """The point (3,) whose images in S views (S, 3, 4), (S, 3, 3) are closest to pixels (S, 2), linearly.

    Each view gives two equations in the homogeneous point: x · (row 3) − (row 1) and y · (row 3) − (row 2).
    Source: Hartley & Zisserman, "Multiple View Geometry", 2nd ed., section 12.2.
    """
    return _dehomogenised(_equations(pixels, cam_from_world, intrinsics))


def _equations(pixels: Tensor, cam_from_world: Tensor, intrinsics: Tensor) -> Tensor:
    x = normalized_coordinates(pixels[:, None], intrinsics)[:, 0]  # (S, 2)
    return (x[..., None] * cam_from_world[:, 2:] - cam_from_world[:, :2]).flatten(0, 1)  # (2 S, 4)


def _dehomogenised(equations: Tensor, row: int = -1) -> Tensor:
    solution = torch.linalg.svd(equations).Vh[row]
    return solution[:3] / solution[3]


def _views(count: int, seed: int, noise_px: float) -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    views, intrinsics = cameras(count, seed), K.expand(count, 3, 3)
    pixels = project(points(1, seed).expand(count, 1, 3), views, intrinsics)[:, 0]
    return pixels + noise_px * torch.randn(count, 2, generator=g), views, intrinsics


triangulation = Check(
    name="triangulation",
    reference=triangulate,
    cases=lambda: [
        ("two views, exact", _views(2, 10, 0.0)),
        ("six views, half a pixel of noise", _views(6, 11, 0.5)),
        ("three views", _views(3, 12, 0.2)),
    ],
    atol=1e-3,
    rtol=1e-3,
    mutants={
        "the fourth number is not divided out: the solution is homogeneous": lambda p, c, k: torch.linalg.svd(
            _equations(p, c, k)
        ).Vh[-1][:3],
        "you took the first row of Vh (largest singular value); the solution is the last": lambda p, c, k: (
            _dehomogenised(_equations(p, c, k), row=0)
        ),
        "the pixels went in as they are; use x/z and y/z (`normalized_coordinates`)": lambda p, c, k: (
            triangulate(p, c, torch.eye(3).expand_as(k))
        ),
        "only the first two views are used": lambda p, c, k: triangulate(p[:2], c[:2], k[:2]),
        "the matrices are `world_from_cam`": lambda p, c, k: triangulate(p, invert_rigid(c)[:, :3], k),
    },
    hint="Stack the 2 S rows, take `torch.linalg.svd(rows).Vh[-1]`, divide by its fourth number.",
)
