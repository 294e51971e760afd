"""Pinhole cameras: between pixels, camera frames and the world.

Convention, the only one in this package: OpenCV axes (x right, y down, z forward). `cam_from_world` is the
3×4 matrix [R | t] with p_cam = R p_world + t. Names of transforms touch: a_from_c = compose(a_from_b,
b_from_c). Pixel (0, 0) covers [0, 1) × [0, 1), so its centre is (0.5, 0.5) and an image's centre (W/2, H/2).
"""

import torch
from torch import Tensor


def unproject_depth(
    depth: Tensor, intrinsics: Tensor, cam_from_world: Tensor, pixel_center: float = 0.5
) -> Tensor:
    """Turn a depth map into one world point per pixel: a point map.

    Args:
        depth: (…, H, W) z of the surface in the camera frame, scene units; not the distance along the ray.
        intrinsics: (…, 3, 3) K without skew, in pixels of this depth map.
        cam_from_world: (…, 3, 4).
        pixel_center: where a pixel's ray starts. 0.5 is its centre. The official code uses 0.0, although
            its principal point is W/2 as ours: its points lie half a pixel to the upper left.

    Returns:
        (…, H, W, 3) world points, scene units. Zero or negative depths are *not* masked: they come back as
        points at or behind the camera. Combine with `depth > 0`.
    """
    height, width = depth.shape[-2:]
    v, u = torch.meshgrid(
        torch.arange(height, dtype=depth.dtype, device=depth.device) + pixel_center,
        torch.arange(width, dtype=depth.dtype, device=depth.device) + pixel_center,
        indexing="ij",
    )  # two of (H, W)
    fx, fy = intrinsics[..., 0, 0, None, None], intrinsics[..., 1, 1, None, None]
    cx, cy = intrinsics[..., 0, 2, None, None], intrinsics[..., 1, 2, None, None]
    in_cam = torch.stack([(u - cx) / fx * depth, (v - cy) / fy * depth, depth], dim=-1)  # (…, H, W, 3)

    rotation, translation = cam_from_world[..., :3, :3], cam_from_world[..., :3, 3]
    # Rᵀ (p - t), written for row vectors so that the points keep their (H, W, 3) layout
    return _product(in_cam - translation[..., None, None, :], rotation[..., None, :, :])


def project_points(points: Tensor, cam_from_world: Tensor, intrinsics: Tensor) -> tuple[Tensor, Tensor]:
    """Where world points appear in an image, and how deep.

    Args:
        points: (…, N, 3) world points, scene units.
        cam_from_world: (…, 3, 4).
        intrinsics: (…, 3, 3) pixels.

    Returns:
        pixels: (…, N, 2) as (x, y). Points outside the image keep their coordinates, and points behind the
            camera are mirrored through its centre: keep only those with z > 0.
        z: (…, N) depth in this camera, scene units; ≤ 0 is behind it.
    """
    in_cam = transform_points(cam_from_world, points)  # (…, N, 3)
    z = in_cam[..., 2]
    divisor = torch.where(z == 0, torch.finfo(z.dtype).eps, z)  # a point at the camera's centre stays finite
    normalized = in_cam[..., :2] / divisor[..., None]
    pixels = _product(normalized, intrinsics[..., :2, :2].mT) + intrinsics[..., None, :2, 2]
    return pixels, z


def normalized_coordinates(pixels: Tensor, intrinsics: Tensor) -> Tensor:
    """(x/z, y/z) of the rays through pixels (…, N, 2), for intrinsics (…, 3, 3) without skew: (…, N, 2)."""
    center = intrinsics[..., None, :2, 2]
    focal = torch.stack([intrinsics[..., 0, 0], intrinsics[..., 1, 1]], dim=-1)[..., None, :]
    return (pixels - center) / focal


def transform_points(a_from_b: Tensor, points: Tensor) -> Tensor:
    """Points (…, N, 3) of frame b expressed in frame a, for a_from_b (…, 3, 4) or (…, 4, 4)."""
    return _product(points, a_from_b[..., :3, :3].mT) + a_from_b[..., None, :3, 3]


def invert_rigid(a_from_b: Tensor) -> Tensor:
    """b_from_a (…, 4, 4) of a rigid transform (…, 3, 4) or (…, 4, 4): [Rᵀ | −Rᵀt].

    Raises:
        ValueError: the last two sizes are not those of a transform.
    """
    _check_transform(a_from_b)
    rotation, translation = a_from_b[..., :3, :3], a_from_b[..., :3, 3:]
    return as_4x4(torch.cat([rotation.mT, -_product(rotation.mT, translation)], dim=-1))


def compose(a_from_b: Tensor, b_from_c: Tensor) -> Tensor:
    """a_from_c (…, 3, 4): first b_from_c, then a_from_b, each (…, 3, 4) or (…, 4, 4)."""
    _check_transform(a_from_b)
    _check_transform(b_from_c)
    return _product(a_from_b, as_4x4(b_from_c))[..., :3, :]


def as_4x4(transform: Tensor) -> Tensor:
    """The transform (…, 3, 4) or (…, 4, 4) with its bottom row (0, 0, 0, 1): (…, 4, 4)."""
    bottom = transform.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(*transform.shape[:-2], 1, 4)
    return torch.cat([transform[..., :3, :], bottom], dim=-2)


def camera_center(cam_from_world: Tensor) -> Tensor:
    """World position (…, 3) of the camera, −Rᵀt. Not t, which is the world's origin seen by the camera."""
    return -_product(cam_from_world[..., :3, :3].mT, cam_from_world[..., :3, 3:])[..., 0]


def _product(a: Tensor, b: Tensor) -> Tensor:
    """a @ b in the tensors' own precision: autocast would compute in bfloat16, half a per cent off."""
    with torch.autocast(a.device.type, enabled=False):
        return a @ b


def _check_transform(transform: Tensor) -> None:
    if transform.ndim < 2 or tuple(transform.shape[-2:]) not in ((3, 4), (4, 4)):
        raise ValueError(
            f"a rigid transform has shape (…, 3, 4) or (…, 4, 4), not {tuple(transform.shape)}; "
            "build it from R (…, 3, 3) and t (…, 3) with torch.cat([R, t[..., None]], dim=-1)."
        )
