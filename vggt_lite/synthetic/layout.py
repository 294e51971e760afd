"""What stands where: random rooms with a furnished table.

Shapes live in fixed slots, sorted by kind, so that a batch of different rooms is one set of tensors. An
empty slot holds a shape parked below the floor, where no ray from inside the room can see it.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from vggt_lite.config import SceneConfig
from vggt_lite.synthetic.batch_rng import BatchRNG
from vggt_lite.synthetic.shapes import BOX, CYLINDER, ELLIPSOID, HEIGHTFIELD, SHAPES

PARKED = -50.0  # height of absent shapes, metres
PLACES = 12  # on the table-top, 4 × 3
MIDDLE_PLACES = [5, 6]  # where the heightfield stands


@dataclass
class Layout:
    """B rooms. K slots of shapes, S views; metres, world axes (x east, y north, z up)."""

    center: Tensor  # (B, S, K, 3); differs between views only for moving objects
    yaw: Tensor  # (B, K) radians
    half: Tensor  # (B, K, 3) half sizes
    kind: Tensor  # (K,) numbers of SHAPES, sorted
    role: list[str]  # K words: "object", "table", "picture", "furniture"
    room: Tensor  # (B, 3) half width, half depth, full height
    light: Tensor  # (B, 3) position
    waves: Tensor  # (B, 3) phases of the heightfield's hills, radians; unused without one
    table_center: Tensor  # (B, 3) middle of the table-top's surface


class Slot(NamedTuple):
    """One shape in every room of a batch."""

    kind: int  # number of SHAPES
    role: str
    center: Tensor  # (B, 3)
    yaw: Tensor  # (B,)
    half: Tensor  # (B, 3)


def vector(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    return torch.stack(torch.broadcast_tensors(x, y, z), dim=-1)


def place(local: Tensor, origin: Tensor, yaw: Tensor) -> Tensor:
    """Move (B, 3) points given in a frame turned by `yaw` (B,) about `origin` (B, 3) into the room."""
    x, y, z = local.unbind(-1)
    return origin + vector(yaw.cos() * x - yaw.sin() * y, yaw.sin() * x + yaw.cos() * y, z)


def add_table(slots: list[Slot], rng: BatchRNG) -> tuple[Tensor, Tensor, Tensor]:
    """A box on four legs near the middle of the room. Returns its top's centre, half size and yaw."""
    half = vector(rng.uniform(0.75, 0.95), rng.uniform(0.55, 0.7), torch.tensor(0.025))
    yaw = rng.uniform(-math.pi, math.pi)
    center = vector(rng.uniform(-0.15, 0.15), rng.uniform(-0.15, 0.15), rng.uniform(0.6, 0.75))
    slots.append(Slot(BOX, "table", center, yaw, half))
    leg_half = vector(*(rng.uniform(0.03, 0.05),) * 2, center[:, 2] / 2)
    for x, y in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
        foot = vector(x * (half[:, 0] - 0.06), y * (half[:, 1] - 0.06), -center[:, 2] / 2)
        slots.append(Slot(BOX, "table", place(foot, center, yaw), yaw, leg_half))
    top = center + torch.tensor([0.0, 0.0, 0.025])
    return top, half, yaw


def add_objects(
    slots: list[Slot], rng: BatchRNG, table: tuple[Tensor, Tensor, Tensor], config: SceneConfig
) -> None:
    """Shapes of all wanted kinds on the places of the table-top, perhaps a heightfield in the middle."""
    top, half, turn = table
    cell_x, cell_y = half[:, 0] / 4, half[:, 1] / 3  # half sizes of one place
    order = rng.uniform(0, 1, PLACES)
    if config.heightfield:
        order[:, MIDDLE_PLACES] += 1  # chosen last: never, as num_objects ≤ 10 then
        size = vector(1.8 * cell_x, 0.9 * cell_y, rng.uniform(0.08, 0.14))
        slots.append(Slot(HEIGHTFIELD, "object", top + size * torch.tensor([0.0, 0.0, 1.0]), turn, size))
    cells = order.argsort(dim=1)
    for i in range(config.num_objects):
        kind = SHAPES.index(config.shapes[i % len(config.shapes)])
        radius = torch.minimum(cell_x, cell_y) * rng.uniform(0.65, 0.95)
        width, depth = radius, radius * rng.uniform(0.6, 1.0)
        height = rng.uniform(0.06, 0.2)
        if kind == BOX:  # keeps its corners inside the place, whichever way it is turned
            width, depth = width * 0.75, depth * 0.75
        column, row = cells[:, i] % 4, cells[:, i] // 4
        center = place(vector((2 * column - 3) * cell_x, (2 * row - 2) * cell_y, height), top, turn)
        absent = rng.uniform(0, 1) < 0.1
        center[:, 2] = torch.where(absent, PARKED, center[:, 2])
        yaw = rng.uniform(-math.pi, math.pi)
        slots.append(Slot(kind, "object", center, yaw, vector(width, depth, height)))


def add_room_furniture(slots: list[Slot], rng: BatchRNG, room: Tensor) -> None:
    """One picture on each wall, three cupboards along walls, a ball and a column in two corners."""
    for wall in range(4):  # east, north, west, south
        angle = torch.full((len(room),), wall * math.pi / 2)
        to_wall, along = room[:, wall % 2], room[:, 1 - wall % 2]
        half = vector(torch.tensor(0.02), rng.uniform(0.35, 0.8), rng.uniform(0.25, 0.45))
        local = vector(to_wall, rng.uniform(-0.5, 0.5) * along, rng.uniform(1.5, 1.8))
        slots.append(Slot(BOX, "picture", place(local, torch.zeros_like(room), angle), angle, half))

    walls = rng.permutation(4)
    for i in range(3):
        wall = walls[:, i]
        to_wall, along = (room.gather(1, (wall[:, None] + i) % 2)[:, 0] for i in (0, 1))
        half = vector(rng.uniform(0.15, 0.25), rng.uniform(0.3, 0.7), rng.uniform(0.3, 0.9))
        side = rng.uniform(-1, 1) * (along - half[:, 1] - 0.6)
        local = vector(to_wall - half[:, 0], side, half[:, 2])
        angle = wall * (math.pi / 2)
        slots.append(Slot(BOX, "furniture", place(local, torch.zeros_like(room), angle), angle, half))

    corners = rng.permutation(4)
    for i, kind in enumerate((ELLIPSOID, CYLINDER)):
        corner = corners[:, i]
        radius = rng.uniform(0.15, 0.25)
        height = radius if kind == ELLIPSOID else rng.uniform(0.3, 0.9)
        x = (room[:, 0] - 0.3) * (1 - 2 * (corner % 2))
        y = (room[:, 1] - 0.3) * (1 - 2 * (corner // 2))
        center, half = vector(x, y, height), vector(radius, radius, height)
        slots.append(Slot(kind, "furniture", center, rng.uniform(0, 1), half))


def move_objects(rng: BatchRNG, center: Tensor, movers: list[int], num_views: int, top: Tensor) -> Tensor:
    """Let some shapes circle above the table: center (B, K, 3) → (B, S, K, 3)."""
    center = center[:, None].repeat(1, num_views, 1, 1)
    step = torch.arange(num_views, dtype=torch.float32)
    for i, k in enumerate(movers):
        angle = rng.uniform(0, 2 * math.pi, 1) + rng.uniform(0.2, 0.6, 1) * step  # (B, S)
        reach = rng.uniform(0.15, 0.45, 1)
        height = 0.65 + 0.45 * torch.tensor(i / len(movers))
        center[:, :, k] = top[:, None] + vector(reach * angle.cos(), reach * angle.sin(), height)
    return center


def sample_layout(rng: BatchRNG, num_views: int, config: SceneConfig) -> Layout:
    """Draw one furnished room per scene."""
    room = vector(rng.uniform(2.8, 3.4), rng.uniform(2.8, 3.4), rng.uniform(2.5, 3.0))
    slots: list[Slot] = []
    table = add_table(slots, rng)
    top = table[0]
    add_objects(slots, rng, table, config)
    add_room_furniture(slots, rng, room)
    light = vector(rng.uniform(-1.2, 1.2), rng.uniform(-1.2, 1.2), room[:, 2] - rng.uniform(0.1, 0.4))
    waves = rng.uniform(0, 2 * math.pi, 3)
    slots.sort(key=lambda slot: slot.kind)
    kind, role, *placed = zip(*slots, strict=True)
    center, yaw, half = (torch.stack(x, dim=1) for x in placed)
    objects = [k for k, slot in enumerate(slots) if slot.role == "object" and slot.kind != HEIGHTFIELD]
    center = move_objects(rng, center, objects[: config.moving_objects], num_views, top)
    return Layout(center, yaw, half, torch.tensor(kind), list(role), room, light, waves, top)
