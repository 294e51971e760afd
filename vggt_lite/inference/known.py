"""What one knows goes into a scene: one distance in metres, the lens of the camera."""

from dataclasses import replace

import torch
from torch import Tensor

from vggt_lite.geometry import invert_rigid, transform_points, unproject_depth

Place = tuple[int, float, float]  # view, and a pixel (x, y) of its photograph


def scaled(scene, metres: float, between: tuple[Place, Place]):
    """The scene in metres, from one distance that was measured, such as the height of a door.

    Args:
        scene: a `Reconstruction` with cameras and depth.
        metres: the true distance, > 0.
        between: two places (view, x, y): the view counted from 0, the pixel of its original photograph.

    Returns:
        A new `Reconstruction`: cameras, depth and points are multiplied by one factor.

    Raises:
        ValueError: no such view or pixel, a place without depth, two places in one point, or metres ≤ 0.
    """
    if not 0 < metres < float("inf"):
        raise ValueError(f"metres={metres} is no distance: give a number above 0.")
    if len(between) != 2:
        raise ValueError(f"between has {len(between)} places: give two, each (view, x, y).")
    first, second = (point_at(scene, *place) for place in between)
    distance = (first - second).norm().item()
    if distance < 1e-6:
        raise ValueError(f"between={between}: both places are the same point.")
    factor = metres / distance
    cameras = scene.cam_from_world.clone()
    cameras[:, :, 3] *= factor
    changes = {name: getattr(scene, name) for name in ("depth", "point_map")}
    changes = {name: factor * value for name, value in changes.items() if value is not None}
    if scene.refinement and scene.refinement.refined:
        changes["refinement"] = replace(scene.refinement, points=factor * scene.refinement.points)
    return replace(scene, cam_from_world=cameras, **changes)


def point_at(scene, view: int, x: float, y: float) -> Tensor:
    """The world point (3,) that pixel (x, y) of a view's original photograph shows.

    Raises:
        ValueError: no such view or pixel, or no depth there.
    """
    where = f"view {view}, pixel ({x:g}, {y:g})"
    if not 0 <= view < len(scene):
        raise ValueError(f"{where}: there are views 0 to {len(scene) - 1}.")
    height, width = scene.original_sizes[view]
    if not (0 <= x < width and 0 <= y < height):
        raise ValueError(f"{where}: the photograph has {width}×{height} pixels.")
    pixel = scene.pixel_maps[view].to_network(torch.tensor([[x, y]], dtype=torch.float32))[0]
    column, row = pixel.floor().long().tolist()
    inside = (
        scene.depth is not None and 0 <= row < scene.depth.shape[1] and 0 <= column < scene.depth.shape[2]
    )
    if not (inside and scene.valid[view, row, column] and scene.depth[view, row, column] > 0):
        raise ValueError(f"{where} has no depth: choose a place that the network saw.")
    k = scene.network_intrinsics[view]
    in_camera = unproject_depth(scene.depth[view], k, torch.eye(3, 4))[row, column]
    return transform_points(invert_rigid(scene.cam_from_world[view]), in_camera[None])[0]
