"""The ray caster: which surface does each pixel see, how deep is it, what colour has it?

Three steps, each on all rays of several views at once: `cast` finds the nearest surface, `look_at_surface`
computes normal and albedo there (only for the surface that won), `light_up` shades it.

Letters: V views · K shapes · R rays of a view. Rays lie last. Vectors are triples of (V, R) tensors.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from vggt_lite.synthetic import heightfield, shapes, textures
from vggt_lite.synthetic.layout import BOX, CONE, OCTAHEDRON, RELIEF, SHAPES, Layout
from vggt_lite.synthetic.shapes import Vector

AMBIENT, DIFFUSE = 0.55, 0.6
INTERVALS = (  # in the order of SHAPES, without the relief
    shapes.ellipsoid_interval,
    shapes.box_interval,
    shapes.cylinder_interval,
    shapes.cone_interval,
    shapes.octahedron_interval,
)


@dataclass
class World:
    """V views, each with its own copy of its room's numbers (they are few). Tensors on one device."""

    center: Tensor  # (V, K, 3)
    yaw: Tensor  # (V, K)
    half: Tensor  # (V, K, 3)
    counts: tuple[int, ...]  # how many of each of SHAPES; of reliefs 0 or 1
    room: Tensor  # (V, 3)
    light: Tensor  # (V, 3)
    waves: Tensor  # (V, 3) phases of the relief
    surfaces: Tensor  # (V, columns, K + 6): per surface, its geometry then its material

    @staticmethod
    def from_layout(layout: Layout, materials: Tensor) -> "World":
        """Flatten B rooms of S views to V = B · S views."""
        views = layout.center.shape[1]
        center = layout.center.flatten(0, 1)  # (V, K, 3)
        yaw, half, room, light, waves, materials = (
            x.repeat_interleave(views, dim=0)
            for x in (layout.yaw, layout.half, layout.room, layout.light, layout.waves, materials)
        )
        counts = tuple(int((layout.kind == k).sum()) for k in range(len(SHAPES)))

        room_half = room * room.new_tensor([1.0, 1.0, 0.5])
        room_center = room * room.new_tensor([0.0, 0.0, 0.5])
        rows = torch.cat(  # per shape: centre, cos and sin of yaw, half size, kind, side
            [
                center,
                yaw.cos()[..., None],
                yaw.sin()[..., None],
                half,
                layout.kind.expand_as(yaw)[..., None],
                torch.ones_like(yaw)[..., None],
            ],
            dim=-1,
        )
        turn = room.new_tensor([1.0, 0.0]).expand(len(room), 2)
        inside_box = room.new_tensor([float(BOX), -1.0]).expand(len(room), 2)
        room_row = torch.cat([room_center, turn, room_half, inside_box], dim=-1)  # (V, 10)
        rows = torch.cat([rows, room_row[:, None].expand(-1, 6, -1)], dim=1)  # (V, K + 6, 10)
        surfaces = torch.cat([rows, materials], dim=-1).transpose(1, 2).contiguous()
        return World(center, yaw, half, counts, room, light, waves, surfaces)

    def __getitem__(self, views: slice) -> "World":
        placed = (x[views] for x in (self.center, self.yaw, self.half))
        others = (x[views] for x in (self.room, self.light, self.waves, self.surfaces))
        return World(*placed, self.counts, *others)


def pixel_rays(cam_from_world: Tensor, intrinsics: Tensor, pixels: Tensor) -> tuple[Vector, Vector]:
    """Rays through image points, with directions scaled so that t is z-depth.

    Args:
        cam_from_world: (V, 3, 4).
        intrinsics: (V, 3, 3).
        pixels: (R, 2) or (V, R, 2) image points (x, y), pixels.

    Returns:
        origin, three (V, 1), and direction, three (V, R); world.
    """
    x = (pixels[..., 0] - intrinsics[:, 0, 2, None]) / intrinsics[:, 0, 0, None]  # (V, R)
    y = (pixels[..., 1] - intrinsics[:, 1, 2, None]) / intrinsics[:, 1, 1, None]
    rotation, translation = cam_from_world[..., :3], cam_from_world[..., 3]
    direction = tuple(
        rotation[:, 0, i, None] * x + rotation[:, 1, i, None] * y + rotation[:, 2, i, None] for i in range(3)
    )
    center = -(rotation * translation[..., None]).sum(1)  # (V, 3): -Rᵀ t
    return center[..., None].unbind(1), direction


def cast(world: World, origin: Vector, direction: Vector) -> tuple[Tensor, Tensor]:
    """Find the nearest surface along each ray.

    Args:
        origin: Three (V, 1) or (V, R). direction: three (V, R).

    Returns:
        depth (V, R), the ray parameter t, and surface (V, R) int64: 0 … K - 1 a shape, then the room's
        faces +x, -x, +y, -y, ceiling, floor.
    """
    unit_origin, unit_direction = shapes.to_unit_space(
        tuple(o[:, None] for o in origin),
        tuple(d[:, None] for d in direction),
        world.center[..., None].unbind(2),
        world.yaw[..., None],
        world.half[..., None].unbind(2),
    )  # triples of (V, K, 1 or R) and (V, K, R)
    depths, start = [], 0
    for interval, count in zip(INTERVALS, world.counts[:RELIEF], strict=True):
        mine = slice(start, start + count)
        ray = (tuple(o[:, mine] for o in unit_origin), tuple(d[:, mine] for d in unit_direction))
        depths.append(shapes.entry_depth(*interval(*ray)))
        start += count
    if world.counts[RELIEF]:  # the last slot
        ray = (tuple(o[:, -1] for o in unit_origin), tuple(d[:, -1] for d in unit_direction))
        depths.append(heightfield.entry_depth(*ray, world.waves)[:, None])
        start += 1
    depth, surface = shapes.nearest(torch.cat(depths, dim=1))
    room_depth, face = leave_room(world.room, origin, direction)
    return torch.minimum(depth, room_depth), torch.where(depth < room_depth, surface, face + start)


def leave_room(room: Tensor, origin: Vector, direction: Vector) -> tuple[Tensor, Tensor]:
    """Depth (V, R) at which rays from inside reach the room's shell, and the face's number (V, R)."""
    half = (room[:, :1], room[:, 1:2], room[:, 2:] / 2)
    middle = (0.0, 0.0, half[2])
    exits = [
        shapes.slab_interval((o - m) / h, d / h)[1]
        for o, d, h, m in zip(origin, direction, half, middle, strict=True)
    ]
    depth = torch.minimum(torch.minimum(exits[0], exits[1]), exits[2])
    x_face, y_face = (direction[0] < 0).long(), (direction[1] < 0).long() + 2
    z_face = (direction[2] < 0).long() + 4
    return depth, torch.where(depth == exits[0], x_face, torch.where(depth == exits[1], y_face, z_face))


def along(origin: Vector, direction: Vector, depth: Tensor) -> Vector:
    """The points origin + depth · direction."""
    return tuple(o + depth * d for o, d in zip(origin, direction, strict=True))


def look_at_surface(
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
    nx, ny, nz = shapes.unit_normal(unit, half, kind)
    if world.counts[CONE] or world.counts[OCTAHEDRON]:
        nx, ny, nz = shapes.slanted_normal((nx, ny, nz), unit, half, kind)
    if world.counts[RELIEF]:
        nx, ny, nz = heightfield.replace_normal((nx, ny, nz), unit, half, kind == RELIEF, world.waves)
    normal = (side * (cos * nx - sin * ny), side * (sin * nx + cos * ny), side * nz)

    ux, uy, uz, vx, vy, vz, u0, v0, pattern = mine[:, 19:].unbind(1)
    u, v = ux * x + uy * y + uz * z + u0, vx * x + vy * y + vz * z + v0
    tiles_per_metre = torch.maximum(ux.abs() + uy.abs(), vx.abs() + vy.abs())
    texels = pixel_size * tiles_per_metre * textures.SIZE
    masks = textures.look_up(pattern, u, v, texels)
    return normal, textures.paint(masks, mine[:, 10:13], mine[:, 13:16], mine[:, 16:19])


def light_up(world: World, point: Vector, normal: Vector, albedo: Tensor, shadows: bool) -> Tensor:
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


def colour_of(world: World, point: Vector, surface: Tensor, pixel_size: Tensor, shadows: bool) -> Tensor:
    """(V, 3, R) colours in [0, 1] at points that rays met; arguments as for `look_at_surface`."""
    normal, albedo = look_at_surface(world, surface, point, pixel_size)
    return light_up(world, point, normal, albedo, shadows)
