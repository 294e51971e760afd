"""Two views of one point: the line on which its second image must lie."""

import torch
from torch import Tensor

from vggt_lite.geometry.camera import camera_center, compose, invert_rigid


def essential_matrix(first_from_world: Tensor, second_from_world: Tensor) -> Tensor:
    """E (…, 3, 3) with x₂ᵀ E x₁ = 0 for normalised coordinates x = (x/z, y/z, 1) of one point in two views.

    Args:
        first_from_world: (…, 3, 4) of view 1.
        second_from_world: (…, 3, 4) of view 2.

    Returns:
        E = R [c]ₓ, with R the turn from camera 1 to camera 2 and c the centre of camera 2 seen from camera 1.
        Its length grows with the baseline; when both cameras stand at one place E is 0 and says nothing.
    """
    second_from_first = compose(second_from_world, invert_rigid(first_from_world))
    return second_from_first[..., :3] @ cross_matrix(camera_center(second_from_first))


def fundamental_matrix(essential: Tensor, first_intrinsics: Tensor, second_intrinsics: Tensor) -> Tensor:
    """F (…, 3, 3) = K₂⁻ᵀ E K₁⁻¹: the same constraint for pixels, x₂ᵀ F x₁ = 0."""
    return torch.linalg.inv(second_intrinsics).mT @ essential @ torch.linalg.inv(first_intrinsics)


def sampson_distance_squared(first_pixels: Tensor, second_pixels: Tensor, fundamental: Tensor) -> Tensor:
    """How far, in squared pixels, a pair of pixels is from satisfying x₂ᵀ F x₁ = 0 (to first order).

    Args:
        first_pixels: (…, N, 2) in view 1.
        second_pixels: (…, N, 2) in view 2.
        fundamental: (…, 3, 3).

    Returns:
        (…, N). Source: Hartley & Zisserman, "Multiple View Geometry", 2nd ed., eq. 11.9.
    """
    x1 = torch.nn.functional.pad(first_pixels, (0, 1), value=1.0)  # (…, N, 3)
    x2 = torch.nn.functional.pad(second_pixels, (0, 1), value=1.0)
    line_in_second, line_in_first = x1 @ fundamental.mT, x2 @ fundamental  # (…, N, 3)
    residual = (x2 * line_in_second).sum(-1)
    slope = (line_in_second[..., :2] ** 2).sum(-1) + (line_in_first[..., :2] ** 2).sum(-1)
    return residual**2 / slope


def cross_matrix(v: Tensor) -> Tensor:
    """[v]ₓ (…, 3, 3) of v (…, 3): [v]ₓ u = v × u."""
    x, y, z = v.unbind(-1)
    zero = torch.zeros_like(x)
    rows = [[zero, -z, y], [z, zero, -x], [-y, x, zero]]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)
