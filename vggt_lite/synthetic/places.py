"""The kinds of places: a furnished table, shapes afloat in a hall, ground with relief, rooms and corridors.

Every place fills the same slots in the same order (table, objects, furniture), so that places can be mixed in
one batch. What a place does not need is parked.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from vggt_lite.config import SceneConfig
from vggt_lite.synthetic.batch_rng import BatchRNG
from vggt_lite.synthetic.furniture import (
    PARKED,
    Slot,
    add_objects,
    add_room_furniture,
    add_table,
    vector,
)
from vggt_lite.synthetic.shapes import HEIGHTFIELD, hill_height

ABOVE_TABLE = 0.15  # cameras look this far above the table-top's middle, metres
DOOR = 0.55  # half width of a doorway, metres


class Stage(NamedTuple):
    """Where cameras may be: a ring round what they look at, or the free middle of a corridor. Metres."""

    gaze: Tensor  # (B, 3) what they look at
    distance: Tensor  # (B, 3) from it, along the floor: least, largest, and their difference
    height: Tensor  # (B, 3) above the floor: the same
    aisle: Tensor  # (B, 2) half width and half length of a corridor's free middle; 0 in a ring


class Setting(NamedTuple):
    """One kind of place, drawn for every scene of a batch."""

    slots: list[Slot]
    room: Tensor  # (B, 3) half width, half depth, full height
    movers: Tensor  # (B, 3) moving objects circle above this point
    stage: Stage


def ring(gaze: Tensor, distance: tuple, height: tuple) -> Stage:
    """A `Stage` round `gaze`; each bound is a number or (B,)."""
    bounds = [(low, high, high - low) for low, high in (distance, height)]
    bounds = [torch.stack([torch.as_tensor(x).expand(len(gaze)) for x in row], dim=-1) for row in bounds]
    return Stage(gaze, *bounds, torch.zeros(len(gaze), 2))


def furnished_table(rng: BatchRNG, config: SceneConfig) -> Setting:
    """A table in the middle of a room, with things on it."""
    room = vector(rng.uniform(2.8, 3.4), rng.uniform(2.8, 3.4), rng.uniform(2.5, 3.0))
    slots: list[Slot] = []
    table = add_table(slots, rng)
    add_objects(slots, rng, table, config)
    add_room_furniture(slots, rng, room)
    top = table[0]
    gaze = top + torch.tensor([0.0, 0.0, ABOVE_TABLE])
    return Setting(slots, room, top, ring(gaze, config.camera_distance, config.camera_height))


def floating(rng: BatchRNG, config: SceneConfig, waves: Tensor) -> Setting:
    """One to all of the objects afloat round a point, in a hall whose walls are far away."""
    room = vector(rng.uniform(3.8, 7), rng.uniform(3.8, 7), rng.uniform(4, 6))
    gaze = vector(rng.uniform(-0.2, 0.2), rng.uniform(-0.2, 0.2), rng.uniform(1.6, 2.2))
    slots = fresh_slots(rng, config, room)
    count, order = rng.uniform(2, config.num_objects + 1), rng.permutation(max(config.num_objects, 1))
    for i, k in enumerate(objects_of(slots)):
        azimuth, reach = rng.uniform(-math.pi, math.pi), 0.9 * rng.uniform(0, 1).sqrt()
        half = rng.uniform(0.2, 0.55)[:, None] * rng.uniform(0.5, 1.0, 3)
        where = gaze + vector(reach * azimuth.cos(), reach * azimuth.sin(), rng.uniform(-0.7, 0.7))
        where[:, 2] = torch.where(order[:, i] < count.floor(), where[:, 2], PARKED)
        slots[k] = slots[k]._replace(center=where, half=half)
    park(slots, "table")
    distance = (1.6, rng.uniform(2.2, 3.2))
    height = (gaze[:, 2] - 1.0, gaze[:, 2] + rng.uniform(0.2, 1.4))
    return Setting(slots, room, gaze - torch.tensor([0.0, 0.0, 0.6]), ring(gaze, distance, height))


def ground(rng: BatchRNG, config: SceneConfig, waves: Tensor) -> Setting:
    """Hilly ground under a wide sky: objects near the middle, blocks as large as sheds further off."""
    room = vector(rng.uniform(12, 28), rng.uniform(12, 28), rng.uniform(7, 14))
    slots = fresh_slots(rng, config, room)
    hills = vector(rng.uniform(6, 9), rng.uniform(6, 9), rng.uniform(0.1, 0.6))  # half sizes

    def on_ground(x: Tensor, y: Tensor, half: Tensor) -> Tensor:
        """The centre of a shape that stands at (x, y), a little sunk in."""
        rise = hills[:, 2] * hill_height(x / hills[:, 0], y / hills[:, 1], waves)
        return vector(x, y, rise.clamp_min(0) + 0.85 * half[:, 2])

    for k in objects_of(slots):
        azimuth, reach = rng.uniform(-math.pi, math.pi), 1.4 * rng.uniform(0, 1).sqrt()
        half = rng.uniform(0.15, 0.5)[:, None] * rng.uniform(0.5, 1.0, 3)
        slots[k] = slots[k]._replace(
            center=on_ground(reach * azimuth.cos(), reach * azimuth.sin(), half), half=half
        )
    for k, slot in enumerate(slots):
        if slot.kind == HEIGHTFIELD:
            flat = torch.zeros(len(waves))
            slots[k] = slot._replace(center=vector(flat, flat, flat), yaw=flat, half=hills)
        if slot.role == "furniture":
            azimuth, reach = rng.uniform(-math.pi, math.pi), rng.uniform(6.5, 11)
            half = rng.uniform(0.8, 2.2)[:, None] * rng.uniform(0.5, 1.0, 3)
            center = vector(reach * azimuth.cos(), reach * azimuth.sin(), half[:, 2])
            slots[k] = slot._replace(center=center, half=half, yaw=azimuth)
    park(slots, "table", "picture")
    gaze = vector(torch.zeros(len(waves)), torch.zeros(len(waves)), rng.uniform(0.3, 0.8))
    return Setting(slots, room, gaze, ring(gaze, (2.3, rng.uniform(3.0, 5.0)), (1.1, rng.uniform(1.4, 3.0))))


def interior(rng: BatchRNG, config: SceneConfig, waves: Tensor) -> Setting:
    """A room or a corridor to walk through: things along its walls, and a doorway across half of them."""
    room = vector(rng.uniform(1.5, 3.2), rng.uniform(3.5, 7.0), rng.uniform(2.4, 3.2))
    slots = fresh_slots(rng, config, room)
    objects = objects_of(slots)
    for i, k in enumerate(objects):
        half = vector(rng.uniform(0.1, 0.3), rng.uniform(0.1, 0.4), rng.uniform(0.12, 0.6))
        side, along = rng.choice([-1, 1]), (2 * i + 1) / len(objects) - 1 + rng.uniform(-0.08, 0.08)
        raised = rng.choice([0, 1]) * rng.uniform(0.3, 1.2)  # on the wall, or on the floor
        center = vector(side * (room[:, 0] - half[:, 0]), along * room[:, 1], half[:, 2] + raised)
        slots[k] = slots[k]._replace(center=center, half=half, yaw=torch.zeros(len(waves)))

    # The table's top and legs become a wall with a doorway: two posts and a lintel.
    has_door, across = rng.uniform(0, 1) < 0.5, rng.uniform(-0.5, 0.5) * room[:, 1]
    shut = (room[:, 0] - DOOR) / 2  # half width of the wall on either side of the door
    zero, thick = torch.zeros(len(waves)), torch.full((len(waves),), 0.06)
    pieces = [
        (vector(zero, across, (2.1 + room[:, 2]) / 2), vector(zero + DOOR, thick, (room[:, 2] - 2.1) / 2)),
        (vector(-DOOR - shut, across, room[:, 2] / 2), vector(shut, thick, room[:, 2] / 2)),
        (vector(DOOR + shut, across, room[:, 2] / 2), vector(shut, thick, room[:, 2] / 2)),
    ]
    park(slots, "table")
    for k, (center, half) in zip([k for k, s in enumerate(slots) if s.role == "table"], pieces, strict=False):
        center[:, 2] = torch.where(has_door, center[:, 2], PARKED)
        slots[k] = slots[k]._replace(center=center, half=half, yaw=zero)

    free = torch.where(has_door, DOOR - 0.25, (room[:, 0] - 0.95).clamp_min(0.3))
    aisle = torch.stack([free, room[:, 1] - 0.9], dim=-1)
    gaze = vector(zero, zero, rng.uniform(0.9, 1.5))
    stage = ring(gaze, (0.0, 0.0), (1.0, rng.uniform(1.2, 1.9)))._replace(aisle=aisle)
    corner = vector(room[:, 0] - 0.3, room[:, 1] - 0.3, zero)
    return Setting(slots, room, corner - torch.tensor([0.3, 0.3, 0.0]), stage)


FILL = {"floating": floating, "ground": ground, "interior": interior}


def fresh_slots(rng: BatchRNG, config: SceneConfig, room: Tensor) -> list[Slot]:
    """All slots, with furniture along the walls of `room`, and a heightfield that is parked."""
    slots: list[Slot] = []
    add_objects(slots, rng, add_table(slots, rng), config)
    add_room_furniture(slots, rng, room)
    for k, slot in enumerate(slots):
        if slot.kind == HEIGHTFIELD:
            slots[k] = parked(slot)
    return slots


def objects_of(slots: list[Slot]) -> list[int]:
    """Which slots hold objects other than the heightfield."""
    return [k for k, slot in enumerate(slots) if slot.role == "object" and slot.kind != HEIGHTFIELD]


def park(slots: list[Slot], *roles: str) -> None:
    """Take all shapes of some roles out of sight."""
    for k, slot in enumerate(slots):
        if slot.role in roles:
            slots[k] = parked(slot)


def parked(slot: Slot) -> Slot:
    """The same shape, out of sight."""
    return slot._replace(
        center=torch.cat([slot.center[:, :2], torch.full_like(slot.center[:, :1], PARKED)], dim=1)
    )
