"""Cameras: projection, camera centres, rotations, the pose encoding, unprojection."""

import torch
import torch.nn.functional as F
from torch import Tensor

from vggt_lite.course.checks.check import Check, draw
from vggt_lite.course.checks.seeds import generator
from vggt_lite.geometry import (
    camera_center,
    intrinsics_from_fov,
    invert_rigid,
    matrix_from_quat_xyzw,
    quat_xyzw_from_matrix,
)

SIZE = (48, 64)  # (H, W) of the pictures in all cases
K = torch.tensor([[50.0, 0.0, 32.0], [0.0, 60.0, 24.0], [0.0, 0.0, 1.0]])


def cameras(count: int, seed: int) -> Tensor:
    """(count, 3, 4) float32 cam_from_world: turned by some 10°, shifted by some 0.3."""
    g = generator(seed)
    quat_xyzw = torch.cat([0.1 * torch.randn(count, 3, generator=g), torch.ones(count, 1)], dim=-1)
    return torch.cat([matrix_from_quat_xyzw(quat_xyzw), 0.3 * torch.randn(count, 3, 1, generator=g)], dim=-1)


def points(count: int, seed: int) -> Tensor:
    """(count, 3) points some 3 in front of the cameras."""
    return 0.5 * draw(count, 3, seed=seed) + torch.tensor([0.0, 0.0, 3.0])


def project(points: Tensor, cam_from_world: Tensor, intrinsics: Tensor) -> Tensor:
    """Points (N, 3) → pixels (N, 2) of one camera (3, 4)."""
    in_camera = points @ cam_from_world[:3, :3].mT + cam_from_world[:3, 3]
    return (in_camera / in_camera[:, 2:] @ intrinsics.mT)[:, :2]


projection = Check(
    name="projection",
    reference=project,
    cases=lambda: {
        "three points, camera at the origin": (torch.eye(3) + torch.tensor([0, 0, 2.0]), torch.eye(3, 4), K),
        "a turned camera": (points(20, 0), cameras(1, 0)[0], K),
        "one point": (points(1, 1), cameras(1, 1)[0], K),
    },
    mutants={
        "you did not divide by z": "/ in_camera[:, 2:] →",
        "you fed `world_from_cam`: the matrix must lead from the world into the camera":
            lambda points, camera, K: project(points, invert_rigid(camera), K),
        "you added t before turning: p_cam = R p + t, first the turn, then the shift":
            "points @ cam_from_world[:3, :3].mT + cam_from_world[:3, 3] "
            "→ (points + cam_from_world[:3, 3]) @ cam_from_world[:3, :3].mT",
        "the points are turned by Rᵀ: for rows of points write `points @ R.mT`": "[:3, :3].mT → [:3, :3]",
        "the principal point (cx, cy) is missing": "[:, :2] → [:, :2] - intrinsics[:2, 2]",
        "the order is (y, x); pixels are (x, y)": "[:, :2] → [:, [1, 0]]",
    },
    hint="`in_cam = points @ R.mT + t`, then divide x and y by z, then multiply by f and add c.",
)  # fmt: skip

camera_centers = Check(
    name="camera centres",
    reference=camera_center,
    cases=lambda: {
        "a step to the right": (torch.tensor([[[1.0, 0, 0, -2], [0, 1, 0, 0], [0, 0, 1, 0]]]),),
        "five cameras": (cameras(5, 2),),
        "one camera without a batch axis": (cameras(1, 3)[0],),
    },
    mutants={
        "you returned t: that is the world's origin as the camera sees it": lambda c: c[..., 3],
        "you returned −t: it still has to be turned into the world's axes": lambda c: -c[..., 3],
        "you multiplied by R: the way back is Rᵀ": lambda c: -(c[..., :3] @ c[..., 3:])[..., 0],
        "the sign is wrong: the centre is −Rᵀt": lambda c: (c[..., :3].mT @ c[..., 3:])[..., 0],
    },
    hint="The centre is the world point that lands on (0, 0, 0): solve R p + t = 0 for p.",
)


def _not_normalised(quat_xyzw: Tensor) -> Tensor:
    length2 = quat_xyzw.square().sum(-1)[..., None, None]
    return torch.eye(3) + length2 * (matrix_from_quat_xyzw(quat_xyzw) - torch.eye(3))


def _half_turn(quat_xyzw: Tensor) -> Tensor:
    """Rotation by half the angle."""
    return matrix_from_quat_xyzw(F.normalize(quat_xyzw, dim=-1) + torch.tensor([0.0, 0.0, 0.0, 1.0]))


rotation = Check(
    name="rotation of a quaternion",
    reference=matrix_from_quat_xyzw,
    cases=lambda: {
        "90° about y": (torch.tensor([0.0, 0.5**0.5, 0.0, 0.5**0.5]),),
        "any four numbers, in a batch": (draw(6, 4).view(2, 3, 4),),
        "no turn": (torch.tensor([0.0, 0.0, 0.0, 1.0]),),
    },
    mutants={
        "you read w first; here the order is x, y, z, w": lambda q: matrix_from_quat_xyzw(q.roll(-1, -1)),
        "your rotation is the inverse one (Rᵀ): look at the sign of the terms with w":
            lambda q: matrix_from_quat_xyzw(q).mT,
        "the length is not divided out: a network's four numbers have any length": _not_normalised,
        "w is taken for the cosine of the angle; it is that of half the angle": _half_turn,
    },
    hint="Normalise first; then R = 1 + 2 w [v]ₓ + 2 [v]ₓ[v]ₓ with v = (x, y, z).",
)  # fmt: skip


def encode(camera: Tensor, intrinsics: Tensor, size: tuple[int, int]) -> Tensor:
    """Camera (…, 3, 4), intrinsics (…, 3, 3), size (H, W) → pose encoding (…, 9)."""
    quat_xyzw = quat_xyzw_from_matrix(camera[..., :3])
    tangents = torch.stack([size[0] / intrinsics[..., 1, 1], size[1] / intrinsics[..., 0, 0]], dim=-1) / 2
    return torch.cat([camera[..., 3], quat_xyzw, 2 * tangents.atan()], dim=-1)


pose_encoding = Check(
    name="pose encoding",
    reference=encode,
    cases=lambda: {
        "camera at the origin": (torch.eye(3, 4)[None], K[None], SIZE),
        "four cameras": (cameras(4, 4), K.expand(4, 3, 3), SIZE),
        "one camera without a batch axis": (cameras(1, 5)[0], K, SIZE),
    },
    mutants={
        "slots 0–2 hold the camera's position; they must hold t": "camera[..., 3] → camera_center(camera)",
        "the quaternion has w first; the order is x, y, z, w": "quat_xyzw, → quat_xyzw.roll(1, -1),",
        "the fields of view are swapped: vertical (from H and fy) comes first": "atan() → atan().flip(-1)",
        "the field of view is only half of it: atan(H / 2 / f) reaches from the middle to the edge":
            "2 * tangents → tangents",
        "the angles are in degrees; use radians": "atan() → atan().rad2deg()",
        "you used atan(H / f); the angle from edge to edge is 2 atan(H / 2 / f)":
            "2 * tangents.atan() → (2 * tangents).atan()",
    },
    hint="t, then `quat_xyzw_from_matrix(R)`, then 2 atan(H / 2 / fy) and 2 atan(W / 2 / fx).",
)  # fmt: skip


def unproject(depth: Tensor, intrinsics: Tensor) -> Tensor:
    """Depth (H, W) → points (H, W, 3) in the camera's frame."""
    rows, columns = (torch.arange(count) + 0.5 for count in depth.shape)
    v, u = torch.meshgrid(rows, columns, indexing="ij")
    (fx, cx), (fy, cy) = intrinsics[0, [0, 2]], intrinsics[1, [1, 2]]
    rays = torch.stack([(u - cx) / fx, (v - cy) / fy, torch.ones_like(u)], dim=-1)
    return rays * depth[..., None]


unprojection = Check(
    name="unprojection",
    reference=unproject,
    cases=lambda: {
        "a wall at z = 2": (torch.full((4, 6), 2.0), intrinsics_from_fov(*torch.ones(2), (4, 6))),
        "a depth map": (1 + draw(*SIZE).abs(), K),
        "one pixel": (1 + draw(1, 1, seed=1).abs(), K),
    },
    mutants={
        "half a pixel is missing: the middle of pixel (0, 0) is (0.5, 0.5)": "+ 0.5 →",
        "you took depth for the distance along the ray; it is z": "rays * → F.normalize(rays, dim=-1) *",
        "x and y are swapped: columns are x, rows are y": lambda d, k: unproject(d, k)[..., [1, 0, 2]],
        "the focal length is missing: (u − cx) is in pixels until you divide by fx": "/ fx →; / fy →",
        "x and y are not multiplied by the depth":
            "rays * depth[..., None] → torch.cat([rays[..., :2], depth[..., None]], dim=-1)",
    },
    hint="`torch.meshgrid(rows, columns, indexing='ij')` gives v first, then u.",
)  # fmt: skip
