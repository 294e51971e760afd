"""The nine numbers in which the network speaks of a camera.

| slots | content                                                                       |
|-------|-------------------------------------------------------------------------------|
| 0–2   | t of cam_from_world, scene units (not the camera's position)                   |
| 3–6   | quaternion of R, order x, y, z, w                                              |
| 7     | vertical field of view, radians (from H and fy)                                |
| 8     | horizontal field of view, radians (from W and fx)                              |

The principal point is not among them: the network assumes the image's centre.
"""

import torch
from torch import Tensor

from vggt_lite.geometry.rotations import matrix_from_quat_xyzw, quat_xyzw_from_matrix


def pose_encoding_from_camera(
    cam_from_world: Tensor, intrinsics: Tensor, image_size: tuple[int, int]
) -> Tensor:
    """Encode cameras as (…, 9) float32. The principal point and skew are dropped.

    Args:
        cam_from_world: (…, 3, 4).
        intrinsics: (…, 3, 3) pixels of an image of `image_size`.
        image_size: (H, W) in pixels.
    """
    height, width = image_size
    quat_xyzw = quat_xyzw_from_matrix(cam_from_world[..., :3, :3])
    fov_h_rad = 2 * torch.atan(height / 2 / intrinsics[..., 1, 1])
    fov_w_rad = 2 * torch.atan(width / 2 / intrinsics[..., 0, 0])
    fov_rad = torch.stack([fov_h_rad, fov_w_rad], dim=-1)
    return torch.cat([cam_from_world[..., :3, 3], quat_xyzw, fov_rad], dim=-1).float()


def camera_from_pose_encoding(encoding: Tensor, image_size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Decode (…, 9) into cameras; the inverse of `pose_encoding_from_camera` for centred cameras.

    Args:
        encoding: (…, 9). The quaternion may have any length but zero. A field of view of exactly 0, which
            the network's ReLU can produce, gives an infinite focal length.
        image_size: (H, W) in pixels.

    Returns:
        cam_from_world (…, 3, 4), and intrinsics (…, 3, 3) in pixels with principal point (W/2, H/2).
    """
    rotation = matrix_from_quat_xyzw(encoding[..., 3:7])
    cam_from_world = torch.cat([rotation, encoding[..., :3, None]], dim=-1)
    return cam_from_world, intrinsics_from_fov(encoding[..., 7], encoding[..., 8], image_size)


def intrinsics_from_fov(fov_h_rad: Tensor, fov_w_rad: Tensor, image_size: tuple[int, int]) -> Tensor:
    """K (…, 3, 3) in pixels of a centred camera, from vertical and horizontal field of view (…), radians."""
    height, width = image_size
    fy, fx = height / 2 / torch.tan(fov_h_rad / 2), width / 2 / torch.tan(fov_w_rad / 2)
    zero, one = torch.zeros_like(fx), torch.ones_like(fx)
    rows = [[fx, zero, width / 2 * one], [zero, fy, height / 2 * one], [zero, zero, one]]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)  # (…, 3, 3)
