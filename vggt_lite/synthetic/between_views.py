"""What the views of a scene have in common: overlap, and parallax, which tells of the camera's steps."""

import torch
from torch import Tensor

from vggt_lite.geometry import camera_center, project_points
from vggt_lite.losses.scene_batch import SceneBatch


def overlap_with_first(scenes: SceneBatch, tolerance: float = 0.03) -> Tensor:
    """Share of each view's pixels that the first view sees as well, (B, S).

    Args:
        tolerance: how far, as a share of the depth, a point may lie behind what the first view sees there.
    """
    height, width = scenes.depth.shape[-2:]
    points = scenes.point_map.flatten(1, 3)  # (B, S · H · W, 3)
    pixels, z = project_points(points, scenes.cam_from_world[:, 0], scenes.intrinsics[:, 0])
    x, y = pixels.floor().long().unbind(-1)
    inside = (z > 0) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
    index = y.clamp(0, height - 1) * width + x.clamp(0, width - 1)
    surface = scenes.depth[:, 0].flatten(1).gather(1, index)  # (B, S · H · W)
    seen = inside & (z < surface * (1 + tolerance))
    return seen.view(scenes.depth.shape).float().mean((-2, -1))


def median_parallax(scenes: SceneBatch) -> Tensor:
    """How far the median pixel moves from each view to the next beyond what turning does, (B, S − 1).

    In widths of the picture, over the pixels that are still inside the next view; NaN where none is.
    """
    height, width = scenes.depth.shape[-2:]
    points = scenes.point_map[:, :-1].flatten(0, 1).flatten(1, 2)  # (B · (S − 1), H · W, 3)
    here, there = (
        scenes.cam_from_world[:, views].flatten(0, 1) for views in (slice(None, -1), slice(1, None))
    )
    intrinsics = scenes.intrinsics[:, 1:].flatten(0, 1)
    moved, z = project_points(points, there, intrinsics)
    rotation = there[..., :3]
    turned = torch.cat([rotation, -rotation @ camera_center(here)[..., None]], dim=-1)  # (B · (S − 1), 3, 4)
    still, _ = project_points(points, turned, intrinsics)
    seen = (moved >= 0).all(-1) & (moved < moved.new_tensor([width, height])).all(-1) & (z > 0)
    steps = (moved - still).norm(dim=-1).where(seen, torch.nan) / width
    return steps.nanmedian(dim=1).values.unflatten(0, (len(scenes.depth), -1))
