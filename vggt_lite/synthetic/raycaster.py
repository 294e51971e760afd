"""The ray caster: which surface does each ray meet first, and how far away?

Letters: V views · K shapes · R rays of a view. Rays lie last. Vectors are triples of (V, R) tensors.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vggt_lite.synthetic import shapes
from vggt_lite.synthetic.layout import Layout
from vggt_lite.synthetic.shapes import BOX, HEIGHTFIELD, SHAPES, Vector


@dataclass
class World:
    """V views, each with its own copy of its room's numbers (they are few). Tensors on one device."""

    # (V, columns, K + 6): K shapes, then the room's faces +x, -x, +y, -y, ceiling, floor. The columns: centre
    # (3), cos and sin of yaw, half size (3), kind, side (-1: seen from inside), then those of the material.
    surfaces: Tensor
    room: Tensor  # (V, 3)
    light: Tensor  # (V, 3)
    waves: Tensor  # (V, 3) phases of the heightfield
    counts: tuple[int, ...]  # how many of each of SHAPES; of heightfields 0 or 1

    @staticmethod
    def from_layout(layout: Layout, materials: Tensor) -> "World":
        """Flatten B rooms of S views to V = B · S views; the room's faces are those of one more box."""
        views, room = layout.center.shape[1], layout.room[:, None]
        room_center, room_half = room * torch.tensor([0.0, 0.0, 0.5]), room * torch.tensor([1.0, 1.0, 0.5])
        center = torch.cat([layout.center, room_center[:, None].expand(-1, views, 6, -1)], dim=2)
        yaw, kind = F.pad(layout.yaw, (0, 6)), F.pad(layout.kind, (0, 6), value=BOX)
        half = torch.cat([layout.half, room_half.expand(-1, 6, -1)], dim=1)  # (B, K + 6, 3)
        side = torch.ones_like(yaw)
        side[:, -6:] = -1
        turned = torch.stack([yaw.cos(), yaw.sin()], dim=-1)
        numbers = torch.stack([kind.expand_as(yaw), side], dim=-1)
        columns = torch.cat([turned, half, numbers, materials], dim=-1).repeat_interleave(views, dim=0)
        surfaces = torch.cat([center.flatten(0, 1), columns], dim=-1).mT.contiguous()
        of_room = (x.repeat_interleave(views, dim=0) for x in (layout.room, layout.light, layout.waves))
        return World(surfaces, *of_room, tuple(int((layout.kind == k).sum()) for k in range(len(SHAPES))))

    def apply(self, change: Callable[[Tensor], Tensor]) -> "World":
        """The same change made to every tensor."""
        return World(*map(change, (self.surfaces, self.room, self.light, self.waves)), self.counts)

    def __getitem__(self, views: slice) -> "World":
        return self.apply(lambda x: x[views])


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
    count = sum(world.counts)
    columns = world.surfaces[:, :8, :count, None].unbind(1)  # eight (V, K, 1)
    rays = tuple(o[:, None] for o in origin), tuple(d[:, None] for d in direction)
    origins, directions = shapes.to_unit_space(
        *rays, columns[:3], columns[3:5], columns[5:]
    )  # (V, K, 1 or R)
    depths, start = [], 0
    for interval, number in zip(shapes.INTERVALS, world.counts[:HEIGHTFIELD], strict=True):
        mine = slice(start, start + number)
        ray = (tuple(o[:, mine] for o in origins), tuple(d[:, mine] for d in directions))
        depths.append(shapes.entry_depth(*interval(*ray)))
        start += number
    if world.counts[HEIGHTFIELD]:  # the last slot
        ray = (tuple(o[:, -1] for o in origins), tuple(d[:, -1] for d in directions))
        depths.append(shapes.heightfield_depth(*ray, world.waves)[:, None])
    depth, surface = shapes.nearest(torch.cat(depths, dim=1))
    room_depth, face = leave_room(world.room, origin, direction)
    return torch.minimum(depth, room_depth), torch.where(depth < room_depth, surface, face + count)


def leave_room(room: Tensor, origin: Vector, direction: Vector) -> tuple[Tensor, Tensor]:
    """Depth (V, R) at which rays from inside reach the room's shell, and the face's number (V, R)."""
    half = (room[:, :1], room[:, 1:2], room[:, 2:] / 2)
    axes = zip(origin, direction, half, (0.0, 0.0, half[2]), strict=True)
    exits = [shapes.slab_interval((o - middle) / h, d / h)[1] for o, d, h, middle in axes]
    depth = torch.minimum(torch.minimum(exits[0], exits[1]), exits[2])
    x_face, y_face, z_face = ((d < 0).long() + 2 * axis for axis, d in enumerate(direction))
    return depth, torch.where(depth == exits[0], x_face, torch.where(depth == exits[1], y_face, z_face))


def along(origin: Vector, direction: Vector, depth: Tensor) -> Vector:
    """The points origin + depth · direction."""
    return tuple(o + depth * d for o, d in zip(origin, direction, strict=True))
