"""What neighbouring pixels of a depth map tell: the surface's normal, and where no surface is to be trusted.

At the edge of a thing a network's depth runs from the thing to what stands behind it, through points in the
air. On a surface seen at a grazing angle, a small error of the depth moves the surface a lot.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from vggt_lite.geometry import camera_center, unproject_depth
from vggt_lite.metrics.points import map_normals


def mask_edges(scene, step: float = 0.05, grazing: float = 80.0) -> Tensor:
    """Pixels at a step of the depth, or whose surface is seen at a grazing angle: (S, h, w) bool.

    Args:
        scene: a `Reconstruction` with cameras and depth.
        step: by how much of the depth a pixel and its neighbour (above, below, left, right) may differ; of a
            pair that differs by more, both are marked.
        grazing: degrees between a surface's normal and the ray that sees it, at most.

    Returns:
        True at edges. Pixels without depth are not marked, nor those of a view without a camera.

    Raises:
        ValueError: no cameras or no depth, step ≤ 0, or an angle outside 0 … 90.
    """
    if "depth" not in scene.sources:
        raise ValueError(
            "edges are found in depth, seen by cameras: the model needs its depth and camera heads."
        )
    if not step > 0 or not 0 < grazing <= 90:
        raise ValueError(f"step={step} must be above 0 and grazing={grazing} in 0 … 90 degrees.")
    valid = scene.valid & (scene.depth > 0) & scene.camera_ok[:, None, None]
    depth = scene.depth.where(valid, torch.nan).log()
    edges = torch.zeros_like(valid)
    for axis in (1, 2):
        last = depth.shape[axis] - 1
        jump = depth.diff(dim=axis).abs() > math.log1p(step)  # false where one of the two has no depth
        edges.narrow(axis, 0, last).logical_or_(jump)
        edges.narrow(axis, 1, last).logical_or_(jump)
    still = torch.eye(3, 4).expand(len(scene), 3, 4)
    points = unproject_depth(scene.depth, scene.network_intrinsics, still)  # each in its camera's frame
    normals, known = map_normals(points, valid)
    cosine = (normals * torch.nn.functional.normalize(points, dim=-1)).sum(-1).abs()
    return edges | (known & (cosine < math.cos(math.radians(grazing))))


def without_edges(scene, step: float = 0.05, grazing: float = 80.0):
    """A new `Reconstruction` whose `valid` leaves out what `mask_edges`, of the same arguments, marks."""
    return replace(scene, valid=scene.valid & ~mask_edges(scene, step, grazing))


def facing_normals(points: Tensor, valid: Tensor, cam_from_world: Tensor) -> Tensor:
    """Surface normals of length 1 on the side that the camera sees, (S, h, w, 3), in the frame of the points.

    Args:
        points: (S, h, w, 3) world points.
        valid: (S, h, w) bool: which of them exist.
        cam_from_world: (S, 3, 4).

    Returns:
        Where no two neighbours are valid, the direction to the camera; 0 where there is no camera.
    """
    normals, known = map_normals(points, valid)
    to_camera = torch.nn.functional.normalize(camera_center(cam_from_world)[:, None, None] - points, dim=-1)
    towards = torch.where((normals * to_camera).sum(-1, keepdim=True) < 0, -normals, normals)
    return torch.where(known[..., None], towards, to_camera).nan_to_num()
