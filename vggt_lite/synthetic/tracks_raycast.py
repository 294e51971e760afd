"""True tracks: where points seen in view 0 lie in every other view, and whether they can be seen there."""

import torch
import torch.nn.functional as F
from torch import Tensor

from vggt_lite.synthetic.raycaster import World, along, cast, pixel_rays

SAME_DEPTH = 1e-3  # relative: a point is visible if the ray towards it stops this close to it
NEAREST_VISIBLE = 0.01  # depth below which a point counts as behind the camera, metres


def follow(
    world: World, cam_from_world: Tensor, intrinsics: Tensor, queries: Tensor, height: int, width: int
) -> tuple[Tensor, Tensor]:
    """Follow points through the views of their scenes.

    One ray is cast through each exact sub-pixel position; nothing is read from depth maps.

    Args:
        world: Its V = B · S views belong to B scenes of S views each.
        cam_from_world: (B, S, 3, 4). intrinsics: (B, S, 3, 3).
        queries: (B, N, 2) image points (x, y) of view 0, pixels.

    Returns:
        tracks (B, S, N, 2) pixels, and visibility (B, S, N): inside the image and not hidden. A point
        behind a camera gets a position far outside the image. A point on a moving object moves with it.
    """
    scenes_views = cam_from_world.shape[:2]
    points = moved_points(world, cam_from_world, intrinsics, queries).flatten(0, 1)  # (V, N, 3)
    cam_from_world, intrinsics = cam_from_world.flatten(0, 1), intrinsics.flatten(0, 1)

    rotation, translation = cam_from_world[:, None, :, :3], cam_from_world[:, None, :, 3]
    in_cam = (rotation * points[..., None, :]).sum(-1) + translation  # (V, N, 3)
    z = in_cam[..., 2]
    focal, middle = intrinsics[:, None, [0, 1], [0, 1]], intrinsics[:, None, :2, 2]
    pixels = in_cam[..., :2] / z.clamp_min(NEAREST_VISIBLE)[..., None] * focal + middle  # (V, N, 2)

    first_met, _ = cast(world, *pixel_rays(cam_from_world, intrinsics, pixels))
    inside = ((pixels >= 0) & (pixels < pixels.new_tensor([width, height]))).all(-1)
    visible = (z > NEAREST_VISIBLE) & inside & ((first_met - z).abs() < SAME_DEPTH * z)

    tracks, visible = pixels.unflatten(0, scenes_views), visible.unflatten(0, scenes_views)
    tracks[:, 0], visible[:, 0] = queries, True  # true by definition; spare them the rounding
    return tracks, visible


def moved_points(world: World, cam_from_world: Tensor, intrinsics: Tensor, queries: Tensor) -> Tensor:
    """(B, S, N, 3) world positions, at the time of each view, of what view 0 sees at `queries`."""
    num_scenes, num_views = cam_from_world.shape[:2]
    origin, direction = pixel_rays(cam_from_world[:, 0], intrinsics[:, 0], queries)
    depth, surface = cast(world[::num_views], origin, direction)
    points = torch.stack(along(origin, direction, depth), dim=-1)  # (B, N, 3) when view 0 was taken

    center = world.center.unflatten(0, (num_scenes, num_views))  # (B, S, K, 3)
    shift = F.pad(center - center[:, :1], (0, 0, 0, 6))  # the room's six faces stand still
    index = surface[:, None, :, None].expand(-1, num_views, -1, 3)
    return points[:, None] + shift.gather(2, index)
