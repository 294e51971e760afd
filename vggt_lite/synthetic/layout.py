"""What stands where, in every scene of a batch.

Shapes live in fixed slots, sorted by kind, so that a batch of different scenes is one set of tensors. Every
scene of a batch may be another kind of place: each place fills the same slots, and one of them is taken. An
empty slot holds a shape parked below the floor, where no ray from inside the room can see it.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vggt_lite.config import PLACES, SceneConfig
from vggt_lite.synthetic.batch_rng import BatchRNG
from vggt_lite.synthetic.furniture import vector
from vggt_lite.synthetic.places import FILL, Stage, furnished_table
from vggt_lite.synthetic.shapes import HEIGHTFIELD


@dataclass
class Layout:
    """B scenes. K slots of shapes, S views; metres, world axes (x east, y north, z up)."""

    center: Tensor  # (B, S, K, 3); differs between views only for moving objects
    yaw: Tensor  # (B, K) radians
    half: Tensor  # (B, K, 3) half sizes
    kind: Tensor  # (K,) numbers of SHAPES, sorted
    role: list[str]  # K words: "object", "table", "picture", "furniture"
    room: Tensor  # (B, 3) half width, half depth, full height of the shell that everything stands in
    light: Tensor  # (B, 3) position
    waves: Tensor  # (B, 3) phases of the heightfield's hills, radians; unused without one
    stage: Stage  # where cameras may be and what they look at
    place: Tensor  # (B,) numbers of config.PLACES


def sample_layout(rng: BatchRNG, num_views: int, config: SceneConfig) -> Layout:
    """Draw one place per scene, with all that stands in it."""
    table = furnished_table(rng, config)
    # z from the ceiling
    light = vector(rng.uniform(-1.2, 1.2), rng.uniform(-1.2, 1.2), -rng.uniform(0.1, 0.4))
    waves = rng.uniform(0, 2 * math.pi, 3)
    names = config.places
    settings = [table if name == "table" else FILL[name](rng, config, waves) for name in names]
    which = rng.choice(len(names)) if len(names) > 1 else torch.zeros(len(waves), dtype=torch.long)

    def taken(values: list[Tensor]) -> Tensor:
        """For each scene the value of its own place: n tensors (B, …) → (B, …)."""
        return torch.stack(values)[which, torch.arange(len(which))]

    room = taken([setting.room for setting in settings])
    light = torch.cat([light[:, :2], room[:, 2:] + light[:, 2:]], dim=1)
    slots = sorted(zip(*(setting.slots for setting in settings), strict=True), key=lambda same: same[0].kind)
    center, yaw, half = (
        torch.stack([taken([getattr(slot, part) for slot in same]) for same in slots], dim=1)
        for part in ("center", "yaw", "half")
    )
    kind, role = torch.tensor([same[0].kind for same in slots]), [same[0].role for same in slots]
    objects = [k for k, same in enumerate(slots) if same[0].role == "object" and kind[k] != HEIGHTFIELD]
    above = taken([setting.movers for setting in settings])
    center = move_objects(rng, center, objects[: config.moving_objects], num_views, above)
    stage = Stage(
        *(taken(list(values)) for values in zip(*(setting.stage for setting in settings), strict=True))
    )
    place = torch.tensor([PLACES.index(name) for name in names])[which]
    return Layout(center, yaw, half, kind, role, room, light, waves, stage, place)


def move_objects(rng: BatchRNG, center: Tensor, movers: list[int], num_views: int, above: Tensor) -> Tensor:
    """Let some shapes circle above a point (B, 3): center (B, K, 3) → (B, S, K, 3)."""
    center = center[:, None].repeat(1, num_views, 1, 1)
    step = torch.arange(num_views, dtype=torch.float32)
    for i, k in enumerate(movers):
        angle = rng.uniform(0, 2 * math.pi, 1) + rng.uniform(0.2, 0.6, 1) * step  # (B, S)
        reach = rng.uniform(0.15, 0.45, 1)
        height = 0.65 + 0.45 * torch.tensor(i / len(movers))
        center[:, :, k] = above[:, None] + vector(reach * angle.cos(), reach * angle.sin(), height)
    return center
