"""From a `World` and cameras to images, depth and point maps, a cache-sized portion at a time."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from vggt_lite.config import SceneConfig
from vggt_lite.synthetic.raycaster import World, along, cast, colour_of, pixel_rays

# Intermediate results of so many rays stay in a CPU's cache; a GPU wants much more work per call.
RAYS_AT_ONCE = {"cpu": 2**14, "cuda": 2**20}


def render(
    world: World, cam_from_world: Tensor, intrinsics: Tensor, height: int, width: int, config: SceneConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """Render V views.

    Args:
        cam_from_world: (V, 3, 4). intrinsics: (V, 3, 3) for images of `height` × `width` pixels.

    Returns:
        images (V, 3, H, W) in [0, 1], depth (V, H, W), point_map (V, H, W, 3) in the world.
    """
    num_views = len(cam_from_world)
    images = cam_from_world.new_empty(num_views, 3, height, width)
    depth = cam_from_world.new_empty(num_views, height, width)
    point_map = cam_from_world.new_empty(num_views, height, width, 3)
    limit = RAYS_AT_ONCE.get(cam_from_world.device.type, RAYS_AT_ONCE["cpu"])
    for views, rows in portions(num_views, height, width * config.supersample**2, limit):
        some = world[views], cam_from_world[views], intrinsics[views]
        pixels = pixel_grid(rows, width).to(depth.device)
        depth[views, rows], point_map[views, rows], colour = trace(*some, pixels, config.shadows)
        if config.supersample > 1:
            pixels = pixel_grid(rows, width, config.supersample).to(depth.device)
            _, _, colour = trace(*some, pixels, config.shadows)
            colour = F.avg_pool2d(colour, config.supersample)
        images[views, :, rows] = colour
    return images, depth, point_map


def portions(num_views: int, height: int, rays_per_row: int, limit: int) -> Iterator[tuple[slice, slice]]:
    """Cut V views of H rows into blocks of at most `limit` rays (but at least one row)."""
    rows = min(height, max(1, limit // rays_per_row))
    views = max(1, limit // (rays_per_row * height))
    for view in range(0, num_views, views):
        for row in range(0, height, rows):
            yield slice(view, view + views), slice(row, min(row + rows, height))


def trace(
    world: World, cam_from_world: Tensor, intrinsics: Tensor, pixels: Tensor, shadows: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Depth (V, h, w), points (V, h, w, 3) and colours (V, 3, h, w) seen through a grid of image points.

    Args:
        pixels: (h, w, 2) image points (x, y), in pixels of `intrinsics`.
    """
    shape = pixels.shape[:2]
    origin, direction = pixel_rays(cam_from_world, intrinsics, pixels.flatten(0, 1))
    depth, surface = cast(world, origin, direction)  # (V, R) with R = h · w
    point = along(origin, direction, depth)
    spacing = float(pixels[0, 0, 0]) * 2  # of the grid, in pixels: its first point is half of it
    pixel_size = depth * spacing / intrinsics[:, 0, 0, None]
    colour = colour_of(world, point, surface, pixel_size, shadows)
    return depth.unflatten(1, shape), torch.stack(point, -1).unflatten(1, shape), colour.unflatten(2, shape)


def pixel_grid(rows: slice, width: int, subdivide: int = 1) -> Tensor:
    """(h · n, W · n, 2) image points (x, y) of some rows: the middles of pixels, or of n × n parts."""
    y = (torch.arange(rows.start * subdivide, rows.stop * subdivide) + 0.5) / subdivide
    x = (torch.arange(width * subdivide) + 0.5) / subdivide
    y, x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([x, y], dim=-1)
