"""Scenes in the frame and unit the network predicts in.

A photograph does not tell where the world's origin is, nor how long a metre. Training scenes therefore all
get the same answer: the world is the first view's camera, and the mean distance of its points is 1.
"""

from dataclasses import replace

import torch
from torch import Tensor

from vggt_lite.geometry import compose, invert_rigid, transform_points
from vggt_lite.losses.scene_batch import SceneBatch


def normalize_scene(batch: SceneBatch) -> SceneBatch:
    """The same scenes seen from their first camera, with mean point distance 1.

    Only cameras, point maps and depths change; images, intrinsics and tracks (in pixels) do not. NaN and
    infinite values become 0. Predictions are never normalised: the network must learn the unit.

    Args:
        batch: B scenes; the mean is taken over the `valid` pixels of all views of a scene.

    Returns:
        A new `SceneBatch`, in which the first camera of every scene is [I | 0].
    """
    cameras, points, depth, _ = normalize_geometry(
        batch.cam_from_world, batch.point_map, batch.depth, batch.valid
    )
    return replace(batch, cam_from_world=cameras, point_map=points, depth=depth)


def normalize_geometry(
    cam_from_world: Tensor, point_map: Tensor, depth: Tensor, valid: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The arithmetic of `normalize_scene`, equal to the release's.

    Args:
        cam_from_world: (B, S, 3, 4).
        point_map: (B, S, H, W, 3) world.
        depth: (B, S, H, W).
        valid: (B, S, H, W) bool.

    Returns:
        cam_from_first (B, S, 3, 4), point map in the first camera's frame, depth, all in units of the mean
        distance; and that distance, scale (B,), in the old unit. A scene without a valid pixel is left
        with a meaningless scale (1e-6): give every scene some depth.
    """
    first_from_world = cam_from_world[:, :1]  # (B, 1, 3, 4)
    cameras = compose(cam_from_world, invert_rigid(first_from_world))
    points = transform_points(first_from_world[:, :, None], point_map)  # (B, S, H, W, 3)

    distance = torch.where(valid, points.norm(dim=-1), 0.0)
    count = valid.sum(dim=(1, 2, 3)) + 1e-3  # the release's guard against division by zero
    scale = (distance.sum(dim=(1, 2, 3)) / count).clamp(1e-6, 1e6)  # (B,)

    rotation, translation = cameras[..., :3], cameras[..., 3:] / scale[:, None, None, None]
    cameras = torch.cat([rotation, translation], dim=-1)
    points, depth = points / scale[:, None, None, None, None], depth / scale[:, None, None, None]
    return *(x.nan_to_num(0.0, 0.0, 0.0) for x in (cameras, points, depth)), scale
