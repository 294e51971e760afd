"""Shapes in their slots: a table, what stands on it, and what stands along the walls of a room."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from vggt_lite.config import SceneConfig
from vggt_lite.synthetic.batch_rng import BatchRNG
from vggt_lite.synthetic.shapes import BOX, CYLINDER, ELLIPSOID, HEIGHTFIELD, SHAPES

PARKED = -50.0  # height of absent shapes, metres: below every floor, where no ray can see them
TABLE_PLACES = 12  # on the table-top, 4 × 3
MIDDLE_PLACES = [5, 6]  # where the heightfield stands


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
    order = rng.uniform(0, 1, TABLE_PLACES)
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
