"""Rooms papered with a panorama: real pixels on walls whose place is known, so that all truth stays exact.

From the middle of the room, at eye height, its walls, floor and ceiling look like the place where the
panorama was taken; from elsewhere like its projection on the box, which stays where it is like any pattern.
panoramas/README.md tells where they come from; `evaluate --photographs` uses others.
"""

import math
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from vggt_lite.synthetic.raycaster import World
from vggt_lite.synthetic.shapes import Vector
from vggt_lite.synthetic.textures import NUM_PATTERNS

FILE = Path(__file__).parent / "panoramas" / "panoramas.jpg"
COUNT, HEIGHT, WIDTH = 8, 256, 512  # texels; one below the other in the file
PATTERNS = range(NUM_PATTERNS, NUM_PATTERNS + COUNT)  # they follow those of textures.py
EYE = 1.5  # metres above the floor


@lru_cache(maxsize=2)
def bank(device: torch.device) -> Tensor:
    """(COUNT, 3, HEIGHT, WIDTH + 2) colours in [0, 1]; a column of the other edge stands at either edge."""
    with Image.open(FILE) as file:
        pixels = torch.from_numpy(np.asarray(file.convert("RGB"), np.float32) / 255)
    pictures = pixels.unflatten(0, (COUNT, HEIGHT)).permute(0, 3, 1, 2)  # (COUNT, 3, HEIGHT, WIDTH)
    return F.pad(pictures, (1, 1, 0, 0), mode="circular").to(device)


def paper(world: World, surface: Tensor, point: Vector, colour: Tensor) -> Tensor:
    """Colours (V, 3, R) with those of the panoramas on the faces of papered rooms, which are not shaded.

    Args:
        surface: (V, R) from `cast`. point: three (V, R), world. colour: (V, 3, R) of everything else.
    """
    pattern, turn = world.surfaces[:, -1], world.surfaces[:, -3, -1]  # (V, K + 6), (V,): u0 of the floor
    views = (pattern[:, -1] >= NUM_PATTERNS).nonzero()[:, 0]
    if not len(views):
        return colour
    x, y, z = (c[views] for c in point)
    longitude = torch.atan2(x, y) / (2 * math.pi) + turn[views, None]  # in turns
    latitude = torch.atan2(z - EYE, torch.hypot(x, y)) / math.pi  # -0.5 … 0.5
    column = (longitude % 1) * WIDTH + 1  # from the left edge of the padded picture, texels
    where = torch.stack([2 * column / (WIDTH + 2) - 1, -2 * latitude], dim=-1)[:, None]  # (n, 1, R, 2)
    chosen = bank(colour.device)[pattern[views, -1].long() - NUM_PATTERNS]
    seen = F.grid_sample(chosen, where, padding_mode="border", align_corners=False)[:, :, 0]  # (n, 3, R)
    on_room = pattern[views].gather(1, surface[views]) >= NUM_PATTERNS  # (n, R)
    papered = torch.where(on_room[:, None], seen, colour[views])
    return colour.index_copy(0, views, papered)
