"""From where several cameras saw a point to the point."""

import torch
from torch import Tensor

from vggt_lite.geometry import invert_rigid, normalized_coordinates

FAR = 1000.0  # as infinity, for what is seen from cameras that stand 1 apart


def triangulate(
    tracks: Tensor, visibility: Tensor, cam_from_world: Tensor, intrinsics: Tensor, far: bool = False
) -> Tensor:
    """The points (N, 3) whose images are closest to where they were seen, linearly.

    Args:
        tracks: (S, N, 2) pixels.
        visibility: (S, N) bool.
        cam_from_world: (S, 3, 4).
        intrinsics: (S, 3, 3) pixels.
        far: only a direction is asked for; the point is put `FAR` times as far away as the cameras stand from
            each other. Otherwise that is the most.

    Returns:
        World points, in front of the cameras that see them if any point of the ray is.

    Source: Hartley & Zisserman, "Multiple View Geometry", 2nd ed., section 12.2.
    """
    cameras, k = cam_from_world.double(), intrinsics.double()
    centers = invert_rigid(cameras)[:, :3, 3]  # (S, 3)
    middle = centers.mean(0)
    spread = (centers - middle).norm(dim=-1).max().clamp(min=1e-6)
    rotation, shift = cameras[..., :3], (cameras[..., :3] @ middle + cameras[..., 3]) / spread
    cameras = torch.cat([rotation, shift[..., None]], -1)[:, None]  # (S, 1, 3, 4): the world round them
    x = normalized_coordinates(torch.where(visibility[..., None], tracks, 0.0).double(), k)  # (S, N, 2)
    rows = x[..., None] * cameras[:, :, 2:] - cameras[:, :, :2]  # (S, N, 2, 4)
    rows = rows * visibility[..., None, None]
    size = 3 if far else 4
    normal = torch.einsum("snij,snik->njk", rows[..., :size], rows[..., :size])
    point = torch.linalg.eigh(normal).eigenvectors[..., 0]  # (N, size)
    z = (cameras[:, :, 2, :size] * point).sum(-1) * visibility  # (S, N), up to one sign per point
    point = point * torch.where(z.sum(0) < 0, -1.0, 1.0)[:, None]
    nearness = point[:, :3].norm(dim=-1, keepdim=True) / FAR
    nearness = nearness if far else torch.maximum(point[:, 3:], nearness)
    return (middle + spread * point[:, :3] / nearness).to(tracks.dtype)
