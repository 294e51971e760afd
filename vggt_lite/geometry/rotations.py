"""Rotation matrices and unit quaternions.

A quaternion (x, y, z, w), scalar last, stands for the turn by 2·acos(w) about the axis (x, y, z). It and
its negative are the same turn; what we make has w ≥ 0. Four numbers instead of nine are easy to predict:
almost any of them is a rotation after division by its length.
"""

import torch
from torch import Tensor


def matrix_from_quat_xyzw(quat_xyzw: Tensor) -> Tensor:
    """The rotation matrix of a quaternion, which need not have unit length.

    Args:
        quat_xyzw: (…, 4) in the order x, y, z, w. The length is divided out, so a network may predict any
            four numbers. Only zero has no direction; it is read as "no turn".

    Returns:
        (…, 3, 3) rotation matrices.
    """
    x, y, z, w = quat_xyzw.unbind(-1)
    squared_length = (quat_xyzw * quat_xyzw).sum(-1)
    s = 2 / squared_length.clamp_min(torch.finfo(quat_xyzw.dtype).tiny)
    rows = [
        [1 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w)],
        [s * (x * y + z * w), 1 - s * (x * x + z * z), s * (y * z - x * w)],
        [s * (x * z - y * w), s * (y * z + x * w), 1 - s * (x * x + y * y)],
    ]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)  # (…, 3, 3)


def quat_xyzw_from_matrix(rotation: Tensor) -> Tensor:
    """The quaternion of a rotation matrix, with w ≥ 0.

    The sums on the diagonal give the squares of 2w, 2x, 2y, 2z; the other entries give their products.
    Each of the four could be the divisor that turns products into values: dividing by the largest never
    divides by something close to zero.

    Args:
        rotation: (…, 3, 3). Slightly inexact rotations are accepted.

    Returns:
        (…, 4) in the order x, y, z, w; of unit length when the input is a rotation.
    """
    m = rotation
    m00, m11, m22 = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    doubled = _sqrt_or_zero(  # 2|w|, 2|x|, 2|y|, 2|z|
        torch.stack([1 + m00 + m11 + m22, 1 + m00 - m11 - m22, 1 - m00 + m11 - m22, 1 - m00 - m11 + m22], -1)
    )
    w, x, y, z = (doubled**2).unbind(-1)  # 4w², 4x², 4y², 4z²
    wx, wy, wz = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    xy, xz, yz = m[..., 1, 0] + m[..., 0, 1], m[..., 0, 2] + m[..., 2, 0], m[..., 1, 2] + m[..., 2, 1]
    rows = [[wx, wy, wz, w], [x, xy, xz, wx], [xy, y, yz, wy], [xz, yz, z, wz]]
    # Row i is 4 q_i · (x, y, z, w), with q_i = w, x, y, z in turn
    products = torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)  # (…, 4, 4)
    candidates = products / (2 * doubled[..., None].clamp_min(0.1))
    best = doubled.argmax(-1)[..., None, None].expand(*doubled.shape[:-1], 1, 4)
    return with_positive_w(candidates.gather(-2, best).squeeze(-2))


def with_positive_w(quat_xyzw: Tensor) -> Tensor:
    """Of the two quaternions q and −q of one rotation, the one with w ≥ 0: (…, 4) to (…, 4)."""
    return torch.where(quat_xyzw[..., 3:] < 0, -quat_xyzw, quat_xyzw)


def rotation_angle(a: Tensor, b: Tensor) -> Tensor:
    """Angle (…) in radians, 0 … π, of the turn that takes rotation a (…, 3, 3) to rotation b (…, 3, 3).

    From the chord between the two matrices, |a − b| = 2√2 · sin(angle / 2): unlike acos of the trace, it
    keeps its digits for small angles.
    """
    chord = (a - b).flatten(-2).norm(dim=-1)
    return 2 * torch.asin((chord / 8**0.5).clamp(max=1.0))


def _sqrt_or_zero(x: Tensor) -> Tensor:
    """√x, and 0 with zero slope where x ≤ 0 (the slope of √ at 0 is infinite)."""
    positive = x > 0
    return torch.where(positive, torch.where(positive, x, 1.0).sqrt(), 0.0)
