"""Two views: epipolar lines and triangulation."""

import torch
import torch.nn.functional as F
from torch import Tensor

from vggt_lite.course.checks.cameras import K, cameras, points, project
from vggt_lite.course.checks.check import Check, draw
from vggt_lite.geometry import invert_rigid, normalized_coordinates


def epipolar_lines_of(pixels: Tensor, second_from_first: Tensor, k1: Tensor, k2: Tensor) -> Tensor:
    """Lines (N, 3) in view 2 of pixels (N, 2) of view 1, up to a factor: F = K₂⁻ᵀ [t]ₓ R K₁⁻¹."""
    rotation, shift = second_from_first[:, :3], second_from_first[:, 3]
    cross = torch.linalg.cross(shift.expand(3, 3), torch.eye(3), dim=-1).mT  # [t]ₓ
    fundamental = torch.linalg.inv(k2).mT @ cross @ rotation @ torch.linalg.inv(k1)
    return F.pad(pixels, (0, 1), value=1.0) @ fundamental.mT


def scaled(lines: Tensor) -> Tensor:
    """The same lines with a² + b² = 1 and c ≤ 0."""
    lines = lines / lines[:, :2].norm(dim=-1, keepdim=True)
    return torch.where(lines[:, 2:] > 0, -lines, lines)


STEP_RIGHT = torch.tensor([[1.0, 0.0, 0.0, -0.5], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]])
K2 = K * torch.tensor([[1.4], [1.2], [1.0]])

epipolar_lines = Check(
    name="epipolar lines",
    reference=epipolar_lines_of,
    run=lambda function, *case: scaled(function(*case)),  # a line may be multiplied by anything
    cases=lambda: {
        "a step to the right": (torch.tensor([[10.0, 20.0], [40.0, 30.0]]), STEP_RIGHT, K, K),
        "a turned camera with another lens":
            (project(points(12, 6), torch.eye(3, 4), K), cameras(1, 7)[0], K, K2),
        "one pixel": (torch.tensor([[31.0, 5.0]]), cameras(1, 8)[0], K2, K),
    },
    mutants={
        "F leads the wrong way: x₂ᵀ F x₁ = 0, and the line in view 2 is F x₁, not Fᵀ x₁":
            "fundamental.mT → fundamental",
        "the intrinsics are missing: E speaks of x / z and y / z, F of pixels":
            "torch.linalg.inv(k2).mT @ →; @ torch.linalg.inv(k1) →",
        "both pixels got the first camera's intrinsics": "inv(k2) → inv(k1)",
        "[t]ₓ and R are in the wrong order: E = [t]ₓ R": "cross @ rotation → rotation @ cross",
    },
    hint="E = [t]ₓ R of second_from_first; F = K₂⁻ᵀ E K₁⁻¹; the lines are F applied to (u, v, 1).",
)  # fmt: skip


def triangulate(pixels: Tensor, cam_from_world: Tensor, intrinsics: Tensor) -> Tensor:
    """The point (3,) whose images in S views (S, 3, 4), (S, 3, 3) are closest to pixels (S, 2), linearly.

    Each view gives two equations in the homogeneous point: x · (row 3) − (row 1) and y · (row 3) − (row 2).
    Source: Hartley & Zisserman, "Multiple View Geometry", 2nd ed., section 12.2.
    """
    x = normalized_coordinates(pixels[:, None], intrinsics)[:, 0]  # (S, 2)
    equations = x[..., None] * cam_from_world[:, 2:] - cam_from_world[:, :2]  # (S, 2, 4)
    solution = torch.linalg.svd(equations.flatten(0, 1)).Vh[-1]
    return solution[:3] / solution[3]


def _views(count: int, seed: int, noise_px: float) -> tuple[Tensor, Tensor, Tensor]:
    views = cameras(count, seed)
    pixels = torch.cat([project(points(1, seed), view, K) for view in views])
    return pixels + noise_px * draw(count, 2, seed=seed), views, K.expand(count, 3, 3)


triangulation = Check(
    name="triangulation",
    reference=triangulate,
    cases=lambda: {
        "two views, exact": _views(2, 10, 0.0),
        "six views, half a pixel of noise": _views(6, 11, 0.5),
        "three views": _views(3, 12, 0.2),
    },
    atol=1e-3,
    rtol=1e-3,
    mutants={
        "the fourth number is not divided out: the solution is homogeneous": "/ solution[3] →",
        "you took the first row of Vh (largest singular value); the solution is the last": "[-1] → [0]",
        "the pixels went in as they are; use x/z and y/z (`normalized_coordinates`)":
            "normalized_coordinates(pixels[:, None], intrinsics)[:, 0] → pixels",
        "only the first two views are used": lambda p, c, k: triangulate(p[:2], c[:2], k[:2]),
        "the matrices are `world_from_cam`": lambda p, c, k: triangulate(p, invert_rigid(c)[:, :3], k),
    },
    hint="Stack the 2 S rows, take `torch.linalg.svd(rows).Vh[-1]`, divide by its fourth number.",
)  # fmt: skip
