"""Bundle adjustment: move cameras, lenses and points together until the points land where they were seen.

Levenberg–Marquardt with the Schur complement. A point's three numbers touch only that point's own
residuals, so all points are eliminated first, three unknowns at a time, and one small system over the
cameras remains: at most 8 S unknowns instead of 8 S + 3 N.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vggt_lite.config import LENSES, check_choice
from vggt_lite.geometry.camera import transform_points
from vggt_lite.geometry.epipolar import cross_matrix
from vggt_lite.geometry.precision import precise
from vggt_lite.geometry.rotations import matrix_from_quat_xyzw

NEAREST = 1e-3  # smallest z to divide by: a point behind a camera gets a huge error, and the step is refused
POSE, ZOOM, RADIAL = slice(0, 6), 6, 7  # places of a camera's 8 numbers: turn and shift, lens


@dataclass
class BundleAdjustment:
    """What came out. The first camera stayed as it was; the overall scale is arbitrary, as always."""

    cam_from_world: Tensor  # (S, 3, 4)
    points: Tensor  # (N, 3) world
    errors: Tensor  # (S, N) distance to the observation, pixels; NaN where it was not seen
    intrinsics: Tensor  # (S, 3, 3) pixels
    radial: Tensor  # (S,)
    rms: list[float]  # pixels, at the start and after each accepted step


def bundle_adjust(
    tracks: Tensor, visibility: Tensor, cam_from_world: Tensor, intrinsics: Tensor, points: Tensor,
    steps: int = 20, robust_px: float | None = None, lens: str = "kept", radial: Tensor | None = None,
    focal_prior: Tensor | None = None, focal_sigma: float = math.inf, tolerance: float = 0.0,
) -> BundleAdjustment:  # fmt: skip
    """Minimise Σ visible |projection − track|² over all cameras but the first, all points, and the lenses.

    Args:
        tracks: (S, N, 2) where the points were seen, pixels.
        visibility: (S, N) bool. A point seen in fewer than two views keeps an undetermined depth.
        cam_from_world: (S, 3, 4) first guess. intrinsics: (S, 3, 3) pixels.
        points: (N, 3) first guess, world; in front of the cameras that see them.
        steps: how often to try a step, accepted or not.
        robust_px: an error e counts as s² log(1 + e² / s²) with this s (Cauchy), ever less than its square,
            so that wrong tracks cannot pull everything with them. None: all errors count squared.
        lens: "kept" leaves the focal lengths, "each" frees that of every view, "shared" moves all as one.
        radial: (S,) first guess of k: x in the plane z = 1 appears at x (1 + k |x|²); free with the lens.
            None: no distortion.
        focal_prior: (S,) f_x that is expected, pixels; None expects those of `intrinsics`.
        focal_sigma: the share by which it may be off, ÷ the pixels by which an observation may be off.
        tolerance: stop when an accepted step lowers the sum by less than this share.

    Raises:
        ValueError: an unknown `lens`.

    Source: Triggs, McLauchlan, Hartley & Fitzgibbon, "Bundle Adjustment – A Modern Synthesis", 2000.
    """
    check_choice("lens", lens, LENSES)
    seen, tracks = precise(visibility), precise(torch.where(visibility[..., None], tracks, 0.0))
    lenses = precise(intrinsics)
    k = torch.zeros_like(lenses[:, 0, 0]) if radial is None else precise(radial)
    zoom = torch.zeros_like(k)  # (S,) log of the factor by which a focal length changes
    expected = zoom if focal_prior is None else (precise(focal_prior) / lenses[:, 0, 0]).log()
    free = _free_numbers(len(zoom), lens, radial is not None).to(zoom)  # (8 S, m)
    guess = precise(cam_from_world), zoom, k, precise(points)

    def sums(guess) -> tuple[Tensor, float]:
        """What is lowered, and the RMS error in pixels."""
        squares = seen * _errors(*guess, lenses, tracks).square().sum(-1)  # (S, N)
        robust = squares if robust_px is None else robust_px**2 * torch.log1p(squares / robust_px**2)
        off = (guess[1] - expected) / focal_sigma
        return robust.sum() + off.square().sum(), float((squares.sum() / seen.sum()).sqrt())

    (now, rms), damping = sums(guess), 1e-3
    history = [rms]
    for _ in range(steps):
        moved = _step(*guess, lenses, tracks, seen, damping, robust_px, free, expected, focal_sigma)
        lower, rms = sums(moved)
        if lower < now:
            done = now - lower < tolerance * now
            guess, now, damping = moved, lower, max(damping / 10, 1e-9)
            history.append(rms)
            if done:
                break
        else:
            damping = min(10 * damping, 1e6)
    cameras, zoom, k, points = guess
    errors = torch.where(visibility, _errors(*guess, lenses, tracks).norm(dim=-1), torch.nan)
    result = cameras, points, errors, _zoomed(lenses, zoom), k
    return BundleAdjustment(*(x.to(cam_from_world) for x in result), history)


def nudge(cam_from_world: Tensor, change: Tensor) -> Tensor:
    """Cameras (S, 3, 4) after a small turn and shift (S, 6), both in the camera's own frame.

    The turn is the quaternion (change / 2, 1): exact to first order, a rotation always, smooth at zero.
    """
    half_turn = torch.cat([change[:, :3] / 2, torch.ones_like(change[:, :1])], dim=-1)
    moved = matrix_from_quat_xyzw(half_turn) @ cam_from_world
    return torch.cat([moved[..., :3], moved[..., 3:] + change[:, 3:, None]], dim=-1)


def _free_numbers(num_views: int, lens: str, radial: bool) -> Tensor:
    """(8 S, m): which of the cameras' numbers each of the m unknowns moves."""
    numbers = torch.eye(8 * num_views).unflatten(1, (num_views, 8))  # (8 S, S, 8)
    columns = [numbers[:, 1:, POSE].flatten(1)]  # the first camera holds still
    for number in (ZOOM, RADIAL) if radial else (ZOOM,):
        if lens != "kept":
            own = numbers[:, :, number]  # (8 S, S)
            columns.append(own.sum(1, keepdim=True) if lens == "shared" else own)
    return torch.cat(columns, dim=1)


def _zoomed(lenses: Tensor, zoom: Tensor) -> Tensor:
    """Intrinsics (S, 3, 3) whose focal lengths are exp(zoom) times as long."""
    lenses = lenses.clone()
    lenses[:, [0, 1], [0, 1]] *= zoom.exp()[:, None]
    return lenses


def _errors(cameras, zoom, k, points, lenses, tracks) -> Tensor:
    """(S, N, 2) projection minus observation, in pixels."""
    p = transform_points(cameras, points)
    flat = p[..., :2] / p[..., 2:].clamp_min(NEAREST)  # in the plane z = 1
    bent = (1 + k[:, None, None] * flat.square().sum(-1, keepdim=True)) * flat
    lenses = _zoomed(lenses, zoom)[:, None]  # (S, 1, 3, 3)
    return lenses[..., [0, 1], [0, 1]] * bent + lenses[..., :2, 2] - tracks


def _step(
    cameras, zoom, k, points, lenses, tracks, seen, damping, robust_px, free, expected, focal_sigma
) -> tuple[Tensor, ...]:
    r = _errors(cameras, zoom, k, points, lenses, tracks)  # (S, N, 2)
    a, b = _slopes(cameras, zoom, k, points, lenses)
    weight = seen if robust_px is None else seen / (1 + r.square().sum(-1) / robust_px**2)
    aw, bw = weight[..., None, None] * a, weight[..., None, None] * b
    u = torch.block_diag(*torch.einsum("sndi,sndj->sij", aw, a))  # (8 S, 8 S)
    v = _damped(torch.einsum("sndi,sndj->nij", bw, b), damping)  # (N, 3, 3)
    w = torch.einsum("sndi,sndj->snij", aw, b)  # (S, N, 8, 3)
    to_camera, to_point = -torch.einsum("sndi,snd->si", aw, r), -torch.einsum("sndi,snd->ni", bw, r)
    prior = torch.zeros_like(to_camera)  # (S, 8)
    prior[:, ZOOM] = focal_sigma**-2
    to_camera = to_camera - prior * (zoom - expected)[:, None]
    u = _damped(free.T @ (u + prior.flatten().diag()) @ free, damping)  # (m, m)
    w_by_v = w @ torch.linalg.inv(v)  # (S, N, 8, 3)
    through = torch.einsum("snij,tnkj->sitk", w_by_v, w).flatten(2).flatten(0, 1)  # (8 S, 8 S)
    right = (to_camera - torch.einsum("snij,nj->si", w_by_v, to_point)).flatten()
    change = free @ torch.linalg.solve(u - free.T @ through @ free, free.T @ right)
    change = change.view(-1, 8)  # of the cameras
    moved = torch.linalg.solve(v, to_point - torch.einsum("snij,si->nj", w, change))  # of the points
    cameras = torch.cat([cameras[:1], nudge(cameras[1:], change[1:, POSE])])
    return cameras, zoom + change[:, ZOOM], k + change[:, RADIAL], points + moved


def _slopes(cameras, zoom, k, points, lenses) -> tuple[Tensor, Tensor]:
    """How pixels move with the 8 numbers of their camera (S, N, 2, 8), and with their point (S, N, 2, 3)."""
    p = transform_points(cameras, points)  # (S, N, 3)
    one = torch.eye(2).to(p)
    z = p[..., 2:].clamp_min(NEAREST)
    flat = p[..., :2] / z
    square, k = flat.square().sum(-1, keepdim=True), k[:, None, None]
    focal = _zoomed(lenses, zoom)[:, None, [0, 1], [0, 1]]  # (S, 1, 2)
    flatten = torch.cat([one.expand(*flat.shape, 2), -flat[..., None]], -1) / z[..., None]  # d flat / d p
    bend = (1 + k * square)[..., None] * one + 2 * k[..., None] * flat[..., None] * flat[..., None, :]
    slope = focal[..., None] * bend @ flatten  # (S, N, 2, 3) d pixel / d p
    turn = -slope @ cross_matrix(p)  # d p / d turn = −[p]ₓ
    by_zoom, by_k = focal * (1 + k * square) * flat, focal * square * flat  # (S, N, 2)
    by_camera = torch.cat([turn, slope, torch.stack([by_zoom, by_k], -1)], dim=-1)
    return by_camera, slope @ cameras[:, None, :, :3]


def _damped(blocks: Tensor, damping: float) -> Tensor:
    return blocks + torch.diag_embed(damping * blocks.diagonal(dim1=-2, dim2=-1) + 1e-9)
