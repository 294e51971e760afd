"""Cameras: projection, camera centres, rotations, the pose encoding, unprojection."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from vggt_lite.course.checks.check import Check
from vggt_lite.geometry import (
    camera_center,
    intrinsics_from_fov,
    invert_rigid,
    matrix_from_quat_xyzw,
    pose_encoding_from_camera,
    project_points,
    quat_xyzw_from_matrix,
    unproject_depth,
)

SIZE = (48, 64)  # (H, W) of the pictures in all cases
K = torch.tensor([[50.0, 0.0, 32.0], [0.0, 60.0, 24.0], [0.0, 0.0, 1.0]])


def cameras(count: int, seed: int) -> Tensor:
    """(count, 3, 4) float32 cam_from_world: turned by some 10°, shifted by some 0.3."""
    g = torch.Generator().manual_seed(seed)
    quat_xyzw = torch.cat([0.1 * torch.randn(count, 3, generator=g), torch.ones(count, 1)], dim=-1)
    return torch.cat([matrix_from_quat_xyzw(quat_xyzw), 0.3 * torch.randn(count, 3, 1, generator=g)], dim=-1)


def points(count: int, seed: int) -> Tensor:
    """(count, 3) points some 3 in front of the cameras."""
    g = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, generator=g) * 0.5 + torch.tensor([0.0, 0.0, 3.0])


def project(points: Tensor, cam_from_world: Tensor, intrinsics: Tensor) -> Tensor:
    return project_points(points, cam_from_world, intrinsics)[0]


def _row_of(matrix: Tensor, points: Tensor, shift_first: bool = False) -> Tensor:
    rotation, translation = matrix[:, :3], matrix[:, 3]
    return (points + translation) @ rotation.mT if shift_first else points @ rotation.mT + translation


projection = Check(
    name="projection",
    reference=project,
    cases=lambda: [
        (
            "three points, camera at the origin",
            (torch.eye(3) + torch.tensor([0, 0, 2.0]), torch.eye(3, 4), K),
        ),
        ("a turned camera", (points(20, 0), cameras(1, 0)[0], K)),
        ("one point", (points(1, 1), cameras(1, 1)[0], K)),
    ],
    mutants={
        "you did not divide by z": lambda p, c, k: (_row_of(c, p) @ k.mT)[:, :2],
        "you fed `world_from_cam`: the matrix must lead from the world into the camera": lambda p, c, k: (
            project(p, invert_rigid(c), k)
        ),
        "you added t before turning: p_cam = R p + t, first the turn, then the shift": lambda p, c, k: (
            project(_row_of(c, p, shift_first=True), torch.eye(3, 4), k)
        ),
        "the points are turned by Rᵀ: for rows of points write `points @ R.mT`": lambda p, c, k: project(
            p @ c[:, :3] + c[:, 3], torch.eye(3, 4), k
        ),
        "the principal point (cx, cy) is missing": lambda p, c, k: project(p, c, k) - k[:2, 2],
        "the order is (y, x); pixels are (x, y)": lambda p, c, k: project(p, c, k).flip(-1),
    },
    hint="`in_cam = points @ R.mT + t`, then divide x and y by z, then multiply by f and add c.",
)

camera_centers = Check(
    name="camera centres",
    reference=camera_center,
    cases=lambda: [
        ("a step to the right", (torch.tensor([[[1.0, 0, 0, -2], [0, 1, 0, 0], [0, 0, 1, 0]]]),)),
        ("five cameras", (cameras(5, 2),)),
        ("one camera without a batch axis", (cameras(1, 3)[0],)),
    ],
    mutants={
        "you returned t: that is the world's origin as the camera sees it": lambda c: c[..., 3],
        "you returned −t: it still has to be turned into the world's axes": lambda c: -c[..., 3],
        "you multiplied by R: the way back is Rᵀ": lambda c: -(c[..., :3] @ c[..., 3:])[..., 0],
        "the sign is wrong: the centre is −Rᵀt": lambda c: (c[..., :3].mT @ c[..., 3:])[..., 0],
    },
    hint="The centre is the world point that lands on (0, 0, 0): solve R p + t = 0 for p.",
)


def _quaternions(count: int, seed: int) -> Tensor:
    return torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))


rotation = Check(
    name="rotation of a quaternion",
    reference=matrix_from_quat_xyzw,
    cases=lambda: [
        ("90° about y", (torch.tensor([0.0, 0.5**0.5, 0.0, 0.5**0.5]),)),
        ("any four numbers, in a batch", (_quaternions(6, 0).view(2, 3, 4),)),
        ("no turn", (torch.tensor([0.0, 0.0, 0.0, 1.0]),)),
    ],
    mutants={
        "you read w first; here the order is x, y, z, w": lambda q: matrix_from_quat_xyzw(q.roll(-1, -1)),
        "your rotation is the inverse one (Rᵀ): look at the sign of the terms with w": lambda q: (
            matrix_from_quat_xyzw(q).mT
        ),
        "the length is not divided out: a network's four numbers have any length": lambda q: (
            torch.eye(3) + q.pow(2).sum(-1)[..., None, None] * (matrix_from_quat_xyzw(q) - torch.eye(3))
        ),
        "w is taken for the cosine of the angle; it is that of half the angle": lambda q: (
            matrix_from_quat_xyzw(_half_turn(q))
        ),
    },
    hint="Normalise first; then R = 1 + 2 w [v]ₓ + 2 [v]ₓ[v]ₓ with v = (x, y, z).",
)


def _half_turn(quat_xyzw: Tensor) -> Tensor:
    """The turn by half the angle."""
    unit = F.normalize(quat_xyzw, dim=-1)
    return unit + unit.new_tensor([0.0, 0.0, 0.0, 1.0])


def _changed(at: slice, change) -> Callable:
    """The pose encoding with some of its nine numbers replaced by `change(encoding, camera, K, size)`."""

    def mutant(camera: Tensor, intrinsics: Tensor, size: tuple[int, int]) -> Tensor:
        encoding = pose_encoding_from_camera(camera, intrinsics, size)
        new = encoding.clone()
        new[..., at] = change(encoding, camera, intrinsics, size)
        return new

    return mutant


pose_encoding = Check(
    name="pose encoding",
    reference=pose_encoding_from_camera,
    cases=lambda: [
        ("camera at the origin", (torch.eye(3, 4)[None], K[None], SIZE)),
        ("four cameras", (cameras(4, 4), K.expand(4, 3, 3), SIZE)),
        ("one camera without a batch axis", (cameras(1, 5)[0], K, SIZE)),
    ],
    mutants={
        "slots 0–2 hold the camera's position; they must hold t": _changed(
            slice(0, 3), lambda e, c, k, s: camera_center(c)
        ),
        "the quaternion has w first; the order is x, y, z, w": _changed(
            slice(3, 7), lambda e, c, k, s: quat_xyzw_from_matrix(c[..., :3]).roll(1, -1)
        ),
        "the fields of view are swapped: vertical (from H and fy) comes first": _changed(
            slice(7, 9), lambda e, c, k, s: e[..., 7:].flip(-1)
        ),
        "the field of view is only half of it: atan(H / 2 / f) reaches from the middle to the edge": _changed(
            slice(7, 9), lambda e, c, k, s: e[..., 7:] / 2
        ),
        "the angles are in degrees; use radians": _changed(
            slice(7, 9), lambda e, c, k, s: e[..., 7:].rad2deg()
        ),
        "you used atan(H / f); the angle from edge to edge is 2 atan(H / 2 / f)": _changed(
            slice(7, 9), lambda e, c, k, s: (2 * (e[..., 7:] / 2).tan()).atan()
        ),
    },
    hint="t, then `quat_xyzw_from_matrix(R)`, then 2 atan(H / 2 / fy) and 2 atan(W / 2 / fx).",
)


def _unproject(depth: Tensor, intrinsics: Tensor) -> Tensor:
    return unproject_depth(depth, intrinsics, torch.eye(3, 4))


def _depth(height: int, width: int, seed: int) -> Tensor:
    return 1 + torch.rand(height, width, generator=torch.Generator().manual_seed(seed))


def _along_ray(depth: Tensor, intrinsics: Tensor) -> Tensor:
    return F.normalize(_unproject(torch.ones_like(depth), intrinsics), dim=-1) * depth[..., None]


unprojection = Check(
    name="unprojection",
    reference=_unproject,
    cases=lambda: [
        ("a wall at z = 2", (torch.full((4, 6), 2.0), intrinsics_from_fov(*torch.ones(2), (4, 6)))),
        ("a depth map", (_depth(*SIZE, 0), K)),
        ("one pixel", (_depth(1, 1, 1), K)),
    ],
    mutants={
        "half a pixel is missing: the middle of pixel (0, 0) is (0.5, 0.5)": lambda d, k: unproject_depth(
            d, k, torch.eye(3, 4), pixel_center=0.0
        ),
        "you took depth for the distance along the ray; it is z": _along_ray,
        "x and y are swapped: columns are x, rows are y": lambda d, k: _unproject(d, k)[..., [1, 0, 2]],
        "the focal length is missing: (u − cx) is in pixels until you divide by fx": lambda d, k: (
            _unproject(d, k) * torch.stack([k[0, 0], k[1, 1], torch.tensor(1.0)])
        ),
        "x and y are not multiplied by the depth": lambda d, k: torch.cat(
            [_unproject(torch.ones_like(d), k)[..., :2], d[..., None]], -1
        ),
    },
    hint="`torch.meshgrid(rows, columns, indexing='ij')` gives v first, then u.",
)
