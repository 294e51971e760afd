"""From a `World` and cameras to images, depth, point maps and tracks.

`trace` casts rays, looks up normal and albedo of the surface that each one met, and shades it. Letters and
vectors are those of `raycaster.py`.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from vggt_lite.config import SceneConfig
from vggt_lite.synthetic import panoramas, shapes, textures
from vggt_lite.synthetic.raycaster import World, along, cast, pixel_rays
from vggt_lite.synthetic.shapes import Vector

AMBIENT, DIFFUSE = 0.55, 0.6
# Intermediate results of so many rays stay in a CPU's cache; a GPU wants much more work per call.
RAYS_AT_ONCE = {"cpu": 2**14, "cuda": 2**20}
SAME_DEPTH = 1e-3  # relative: a point is visible if the ray towards it stops this close to it
NEAREST_VISIBLE = 0.01  # depth below which a point counts as behind the camera, metres


def render(
    world: World, cam_from_world: Tensor, intrinsics: Tensor, height: int, width: int, config: SceneConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """Render V views.

    Args:
        cam_from_world: (V, 3, 4). intrinsics: (V, 3, 3) for images of `height` × `width` pixels.

    Returns:
        images (V, 3, H, W) in [0, 1], depth (V, H, W), point_map (V, H, W, 3) in the world.
    """
    num_views, empty = len(cam_from_world), cam_from_world.new_empty
    images, depth = empty(num_views, 3, height, width), empty(num_views, height, width)
    point_map = empty(num_views, height, width, 3)
    limit = RAYS_AT_ONCE.get(cam_from_world.device.type, RAYS_AT_ONCE["cpu"])
    for views, rows in chunks(num_views, height, width * config.supersample**2, limit):
        some = world[views], cam_from_world[views], intrinsics[views]
        pixels = pixel_grid(rows, width).to(depth.device)
        depth[views, rows], point_map[views, rows], colour = trace(*some, pixels, config.shadows)
        if config.supersample > 1:
            pixels = pixel_grid(rows, width, config.supersample).to(depth.device)
            _, _, colour = trace(*some, pixels, config.shadows)
            colour = F.avg_pool2d(colour, config.supersample)
        images[views, :, rows] = colour
    return images, depth, point_map


def chunks(num_views: int, height: int, rays_per_row: int, limit: int) -> Iterator[tuple[slice, slice]]:
    """Cut V views of H rows into blocks of at most `limit` rays (but at least one row)."""
    rows = min(height, max(1, limit // rays_per_row))
    views = max(1, limit // (rays_per_row * height))
    for view in range(0, num_views, views):
        for row in range(0, height, rows):
            yield slice(view, view + views), slice(row, min(row + rows, height))


def pixel_grid(rows: slice, width: int, subdivide: int = 1) -> Tensor:
    """(h · n, W · n, 2) image points (x, y) of some rows: the middles of pixels, or of n × n parts."""
    y = (torch.arange(rows.start * subdivide, rows.stop * subdivide) + 0.5) / subdivide
    x = (torch.arange(width * subdivide) + 0.5) / subdivide
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)


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
    normal, albedo = normal_and_albedo(world, surface, point, pixel_size)
    colour = panoramas.paper(world, surface, point, shade(world, point, normal, albedo, shadows))
    return depth.unflatten(1, shape), torch.stack(point, -1).unflatten(1, shape), colour.unflatten(2, shape)


def normal_and_albedo(
    world: World, surface: Tensor, point: Vector, pixel_size: Tensor
) -> tuple[Vector, Tensor]:
    """Normals and albedo where the rays ended.

    Args:
        surface: (V, R) from `cast`. point: three (V, R).
        pixel_size: (V, R) metres that one pixel covers at the surface's depth.

    Returns:
        normal, three (V, R), unit length, towards the camera's side; albedo (V, 3, R) in [0, 1].
    """
    columns = world.surfaces.shape[1]
    mine = world.surfaces.gather(2, surface[:, None].expand(-1, columns, -1))  # (V, columns, R)
    cx, cy, cz, cos, sin, hx, hy, hz, kind, side = mine[:, :10].unbind(1)
    x, y, z = point[0] - cx, point[1] - cy, point[2] - cz
    x, y = cos * x + sin * y, cos * y - sin * x  # metres, in the shape's own axes
    unit, half = (x / hx, y / hy, z / hz), (hx, hy, hz)
    nx, ny, nz = shapes.unit_normal(unit, half, kind, world.counts, world.waves)
    normal = (side * (cos * nx - sin * ny), side * (sin * nx + cos * ny), side * nz)

    ux, uy, uz, vx, vy, vz, u0, v0, pattern = mine[:, 19:].unbind(1)
    u, v = ux * x + uy * y + uz * z + u0, vx * x + vy * y + vz * z + v0
    tiles_per_metre = torch.maximum(ux.abs() + uy.abs(), vx.abs() + vy.abs())
    texels = pixel_size * tiles_per_metre * textures.SIZE
    masks = textures.look_up(pattern.clamp_max(textures.NUM_PATTERNS - 1), u, v, texels)
    return normal, textures.paint(masks, mine[:, 10:13], mine[:, 13:16], mine[:, 16:19])


def shade(world: World, point: Vector, normal: Vector, albedo: Tensor, shadows: bool) -> Tensor:
    """Lambert shading by one lamp, ambient light, and shadows on request. Returns colours (V, 3, R)."""
    to_light = tuple(world.light[:, i, None] - point[i] for i in range(3))
    distance = sum(x * x for x in to_light).sqrt()
    facing = sum(n * x for n, x in zip(normal, to_light, strict=True)) / distance  # cosine, -1 … 1
    diffuse = DIFFUSE * facing.clamp_min(0)
    if shadows:  # t = 1 is the lamp, so anything met earlier stands in between
        start = along(point, normal, torch.full_like(distance, 1e-3))
        blocked, _ = cast(world, start, to_light)
        diffuse = diffuse * (blocked > 0.99)
    ambient = AMBIENT * (0.9 + 0.1 * normal[2] + 0.25 * facing)  # walls reflect: no side is flat or black
    return (albedo * (ambient + diffuse)[:, None]).clamp(0, 1)


def raycast_tracks(
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
    num_views = cam_from_world.shape[1]
    origin, direction = pixel_rays(cam_from_world[:, 0], intrinsics[:, 0], queries)
    depth, surface = cast(world[::num_views], origin, direction)
    points = torch.stack(along(origin, direction, depth), dim=1)  # (B, 3, N) when view 0 was taken
    center = world.surfaces[:, :3].unflatten(0, (-1, num_views))  # (B, S, 3, K + 6)
    shift = (center - center[:, :1]).gather(3, surface[:, None, None].expand(-1, num_views, 3, -1))
    points = (points[:, None] + shift).mT.flatten(0, 1)  # (V, N, 3) when each view was taken

    cam_from_world, intrinsics = cam_from_world.flatten(0, 1), intrinsics.flatten(0, 1)
    rotation, translation = cam_from_world[:, None, :, :3], cam_from_world[:, None, :, 3]
    in_cam = (rotation * points[..., None, :]).sum(-1) + translation  # (V, N, 3)
    z = in_cam[..., 2]
    focal, middle = intrinsics[:, None, [0, 1], [0, 1]], intrinsics[:, None, :2, 2]
    pixels = in_cam[..., :2] / z.clamp_min(NEAREST_VISIBLE)[..., None] * focal + middle  # (V, N, 2)

    first_met, _ = cast(world, *pixel_rays(cam_from_world, intrinsics, pixels))
    inside = ((pixels >= 0) & (pixels < pixels.new_tensor([width, height]))).all(-1)
    visible = (z > NEAREST_VISIBLE) & inside & ((first_met - z).abs() < SAME_DEPTH * z)
    tracks, visible = (x.unflatten(0, (-1, num_views)) for x in (pixels, visible))
    tracks[:, 0], visible[:, 0] = queries, True  # true by definition; spare them the rounding
    return tracks, visible
