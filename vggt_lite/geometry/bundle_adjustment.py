"""Bundle adjustment: move cameras and points together until the points land where they were seen.

Levenberg–Marquardt with the Schur complement. A point's three numbers touch only that point's own
residuals, so all points are eliminated first, three unknowns at a time, and one small system over the
cameras remains: 6 (S − 1) unknowns instead of 6 (S − 1) + 3 N.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from vggt_lite.geometry.camera import normalized_coordinates, transform_points
from vggt_lite.geometry.epipolar import cross_matrix
from vggt_lite.geometry.precision import precise
from vggt_lite.geometry.rotations import matrix_from_quat_xyzw

NEAREST = 1e-3  # smallest z to divide by: a point behind a camera gets a huge error, and the step is refused


@dataclass
class BundleAdjustment:
    """What came out. The first camera stayed as it was; the overall scale is arbitrary, as always."""

    cam_from_world: Tensor  # (S, 3, 4)
    points: Tensor  # (N, 3) world
    errors: Tensor  # (S, N) distance to the observation, pixels; NaN where it was not seen
    rms: list[float]  # pixels, at the start and after each accepted step


def bundle_adjust(
    tracks: Tensor,
    visibility: Tensor,
    cam_from_world: Tensor,
    intrinsics: Tensor,
    points: Tensor,
    steps: int = 20,
    robust_px: float | None = None,
) -> BundleAdjustment:
    """Minimise Σ visible |projection − track|² over all cameras but the first, and all points.

    Args:
        tracks: (S, N, 2) where the points were seen, pixels.
        visibility: (S, N) bool. A point seen in fewer than two views keeps an undetermined depth.
        cam_from_world: (S, 3, 4) first guess. intrinsics: (S, 3, 3) pixels; they are kept.
        points: (N, 3) first guess, world; in front of the cameras that see them.
        steps: how often to try a step, accepted or not.
        robust_px: beyond this many pixels an error counts linearly, not squared (Huber), so that a few
            wrong tracks cannot pull everything with them. None: all errors count squared.

    Source: Triggs, McLauchlan, Hartley & Fitzgibbon, "Bundle Adjustment – A Modern Synthesis", 2000.
    """
    seen = precise(visibility)
    tracks, intrinsics = precise(torch.where(visibility[..., None], tracks, 0.0)), precise(intrinsics)
    cameras, points = precise(cam_from_world), precise(points)
    errors, damping = _errors(cameras, points, intrinsics, tracks), 1e-3
    rms = [_rms(errors, seen)]
    for _ in range(steps):
        moved = _step(cameras, points, intrinsics, tracks, seen, damping, robust_px)
        new_errors = _errors(*moved, intrinsics, tracks)
        if _cost(new_errors, seen, robust_px) < _cost(errors, seen, robust_px):
            (cameras, points), errors, damping = moved, new_errors, max(damping / 10, 1e-9)
            rms.append(_rms(errors, seen))
        else:
            damping = min(10 * damping, 1e6)
    distances = torch.where(visibility, errors.norm(dim=-1), torch.nan)
    return BundleAdjustment(*(x.to(cam_from_world) for x in (cameras, points, distances)), rms)


def nudge(cam_from_world: Tensor, change: Tensor) -> Tensor:
    """Cameras (S, 3, 4) after a small turn and shift (S, 6), both in the camera's own frame.

    The turn is the quaternion (change / 2, 1): exact to first order, a rotation always, smooth at zero.
    """
    half_turn = torch.cat([change[:, :3] / 2, torch.ones_like(change[:, :1])], dim=-1)
    moved = matrix_from_quat_xyzw(half_turn) @ cam_from_world
    return torch.cat([moved[..., :3], moved[..., 3:] + change[:, 3:, None]], dim=-1)


def _errors(cameras: Tensor, points: Tensor, intrinsics: Tensor, tracks: Tensor) -> Tensor:
    """(S, N, 2) projection minus observation, in pixels."""
    p = transform_points(cameras, points)
    focal = intrinsics[:, None, [0, 1], [0, 1]]
    return focal * (p[..., :2] / p[..., 2:].clamp_min(NEAREST) - normalized_coordinates(tracks, intrinsics))


def _step(cameras, points, intrinsics, tracks, seen, damping, robust_px) -> tuple[Tensor, Tensor]:
    r = _errors(cameras, points, intrinsics, tracks)  # (S, N, 2)
    x, y, z = transform_points(cameras, points).unbind(-1)
    z, zero, one = z.clamp_min(NEAREST), torch.zeros_like(z), torch.ones_like(z)
    slope = torch.stack([torch.stack([one, zero, -x / z], -1), torch.stack([zero, one, -y / z], -1)], -2)
    slope = intrinsics[:, None, [0, 1], [0, 1], None] * slope / z[..., None, None]  # (S, N, 2, 3) d r / d p
    turn = -slope @ cross_matrix(torch.stack([x, y, z], -1))  # d p / d turn = −[p]ₓ
    a = torch.cat([turn, slope], dim=-1)[1:]  # (S − 1, N, 2, 6): the first camera holds still
    b = slope @ cameras[:, None, :, :3]  # (S, N, 2, 3) d r / d point
    weight = seen if robust_px is None else seen * (robust_px / r.norm(dim=-1).clamp_min(robust_px))
    aw, bw = weight[1:, :, None, None] * a, weight[..., None, None] * b
    u = _damped(torch.einsum("sndi,sndj->sij", aw, a), damping)  # (S − 1, 6, 6)
    v = _damped(torch.einsum("sndi,sndj->nij", bw, b), damping)  # (N, 3, 3)
    w = torch.einsum("sndi,sndj->snij", aw, b[1:])  # (S − 1, N, 6, 3)
    to_camera, to_point = -torch.einsum("sndi,snd->si", aw, r[1:]), -torch.einsum("sndi,snd->ni", bw, r)
    w_by_v = w @ torch.linalg.inv(v)  # (S − 1, N, 6, 3)
    small = torch.block_diag(*u) - torch.einsum("snij,tnkj->sitk", w_by_v, w).flatten(2).flatten(0, 1)
    right = to_camera - torch.einsum("snij,nj->si", w_by_v, to_point)
    change = torch.linalg.solve(small, right.flatten()).view(-1, 6)  # of the cameras
    moved = torch.linalg.solve(v, to_point - torch.einsum("snij,si->nj", w, change))  # of the points
    return torch.cat([cameras[:1], nudge(cameras[1:], change)]), points + moved


def _damped(blocks: Tensor, damping: float) -> Tensor:
    return blocks + torch.diag_embed(damping * blocks.diagonal(dim1=-2, dim2=-1) + 1e-9)


def _cost(errors: Tensor, seen: Tensor, robust_px: float | None) -> Tensor:
    length = errors.norm(dim=-1)
    inner = length if robust_px is None else length.clamp(max=robust_px)
    return (seen * inner * (2 * length - inner)).sum()  # length², and linear beyond robust_px


def _rms(errors: Tensor, seen: Tensor) -> float:
    return float((_cost(errors, seen, None) / seen.sum()).sqrt())
