"""What every surface looks like: three colours, a pattern, and how the pattern lies on the surface.

Texture coordinates are two dot products with the point in the shape's own axes, in metres: the pattern
passes through a shape like the grain through wood. Both directions are skewed, so that all six faces of
a box show a pattern and no face only stripes.
"""

import torch
from torch import Tensor

from vggt_lite.config import PLACES, SceneConfig
from vggt_lite.synthetic import panoramas, textures
from vggt_lite.synthetic.batch_rng import BatchRNG
from vggt_lite.synthetic.layout import Layout

# Hues of the faces +x, -x, +y, -y (east, west, north, south) when walls="landmark"
LANDMARK_HUES = torch.tensor([0.02, 0.58, 0.30, 0.80])
PAPERED = 0.4  # of the rooms, where there are panoramas
COLUMNS = 18  # 3 colours (9), two directions (6), offset (2), pattern (1)


def rgb_from_hsv(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """(…, 3) colours from hue (in turns, any real), saturation and value in [0, 1]."""
    distance = ((hue[..., None] + torch.tensor([0.0, 2 / 3, 1 / 3])) % 1 * 6 - 3).abs()
    pure = (distance - 1).clamp(0, 1)
    return value[..., None] * (1 - saturation[..., None] * (1 - pure))


def object_colours(rng: BatchRNG, count: int) -> Tensor:
    """(B, count, 3, 3): bright, and hues spread evenly over the shapes of a scene, in random order."""
    hue = (rng.permutation(count) + rng.uniform(0, 1, 1)) / count
    base = rgb_from_hsv(hue, rng.uniform(0.55, 0.95, count), rng.uniform(0.75, 1.0, count))
    hue = hue + rng.uniform(0.1, 0.6, count)
    second = rgb_from_hsv(hue, rng.uniform(0.4, 0.9, count), rng.uniform(0.55, 1.0, count))
    hue, saturation = rng.uniform(0, 1, count), rng.uniform(0, 0.6, count)
    third = rgb_from_hsv(hue, saturation, 0.15 + 0.8 * rng.choice([0, 1, 1], count))
    return torch.stack([base, second, third], dim=2)


def table_colours(rng: BatchRNG) -> Tensor:
    """(B, 3, 3): paler and calmer than what stands on it."""
    hue = rng.uniform(0, 1, 1) + rng.uniform(-0.05, 0.05, 3)
    value = torch.tensor([0.9, 0.6, 0.95]) + rng.uniform(-0.1, 0.05, 3)
    return rgb_from_hsv(hue, rng.uniform(0.15, 0.5, 3), value)


def room_colours(rng: BatchRNG, walls: str) -> Tensor:
    """(B, 6, 3, 3): four walls of four hues, a pale ceiling, a muted floor."""
    if walls == "landmark":
        hue = LANDMARK_HUES + rng.uniform(-0.05, 0.05, 4)
    else:
        hue = rng.uniform(0, 1, 4)
    base = rgb_from_hsv(hue, rng.uniform(0.45, 0.8, 4), rng.uniform(0.65, 0.95, 4))
    hue = hue + rng.uniform(-0.04, 0.04, 4)
    dark = rgb_from_hsv(hue, rng.uniform(0.5, 0.9, 4), rng.uniform(0.3, 0.5, 4))
    pale = rgb_from_hsv(hue, rng.uniform(0.05, 0.3, 4), rng.uniform(0.85, 1.0, 4))
    sides = torch.stack([base, dark, pale], dim=2)

    hue = rng.uniform(0, 1, 2, 3)
    value = torch.stack([rng.uniform(0.75, 1.0, 3), rng.uniform(0.25, 0.85, 3)], dim=1)
    return torch.cat([sides, rgb_from_hsv(hue, rng.uniform(0.1, 0.35, 2, 3), value)], dim=1)


def directions(tile: Tensor, skew: Tensor) -> Tensor:
    """(B, n, 6): two skewed texture directions, in tiles per metre, for tiles (B, n) metres wide."""
    one, none = torch.ones_like(tile), torch.zeros_like(tile)
    return torch.stack([one, none, skew[..., 0], none, one, skew[..., 1]], dim=-1) / tile[..., None]


def face_directions(tile: Tensor, faces: str) -> Tensor:
    """(B, n, 6): directions along flat faces, upright; `faces` names each one's normal: "xyz…"."""
    x, y, down = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, -1.0)
    within = {"x": y + down, "y": x + down, "z": x + y}
    return torch.tensor([within[face] for face in faces]) / tile[..., None]


def sample_materials(rng: BatchRNG, layout: Layout, config: SceneConfig) -> Tensor:
    """Draw every surface's look.

    Returns:
        (B, K + 6, COLUMNS): rows are the layout's K shapes, then the room's faces +x, -x, +y, -y,
        ceiling, floor.
    """
    num_shapes, num_surfaces = len(layout.role), len(layout.role) + 6
    colours = torch.cat([object_colours(rng, num_shapes), room_colours(rng, config.walls)], dim=1)

    large = [*textures.NOISE, *textures.PICTURES]
    small = [*textures.NOISE, *textures.CHECKS, *textures.STRIPES, *textures.SPOTS, *textures.PICTURES[:4]]
    hung = textures.PICTURES
    if config.texture in ("varied", "photographs", "panoramas"):
        small += [*textures.BRICKS, *textures.GRAIN, *textures.CELLS, *textures.WRITING]
        large += [*textures.BRICKS, *textures.GRAIN, *textures.CELLS]
    if config.texture in ("photographs", "panoramas"):
        small, large = small + [*textures.PHOTOGRAPHS], large + [*textures.PHOTOGRAPHS]
        hung = [*hung, *textures.PHOTOGRAPHS]
    pattern = rng.choice(small, num_shapes)
    tile = rng.uniform(0.25, 0.6, num_shapes)
    table = [k for k, word in enumerate(layout.role) if word == "table"]
    pictures = [k for k, word in enumerate(layout.role) if word == "picture"]
    colours[:, table] = table_colours(rng)[:, None]  # legs and top are one piece
    pattern[:, table] = pattern[:, table[:1]]
    tile[:, table] = rng.uniform(0.8, 1.4, 1)
    pattern[:, pictures] = rng.choice(hung, len(pictures))
    tile[:, pictures] = rng.uniform(0.8, 1.2, len(pictures))

    room_pattern = rng.choice(large, 6)
    pattern = torch.cat([pattern, room_pattern], dim=1)
    room_tile = rng.uniform(3.0, 4.5, 6)
    far = layout.room[:, :2].amax(dim=1, keepdim=True) / 3.2  # patterns on far walls are larger
    room_tile = torch.where(
        layout.place[:, None] == PLACES.index("table"), room_tile, room_tile * far.clamp(1, 4)
    )
    skew = rng.uniform(0.45, 0.75, num_shapes, 2)

    if config.texture == "none":
        colours[:] = 0.7
    elif config.texture == "repetitive":
        colours = colours.new_tensor([[0.85] * 3, [0.35] * 3, [0.35] * 3]).expand_as(colours)
        pattern[:] = textures.CHECKS[0]
        tile[:], room_tile[:] = 0.5, 1.0
    axes = torch.cat([directions(tile, skew), face_directions(room_tile, "xxyyzz")], dim=1)
    axes[:, pictures] = face_directions(tile[:, pictures], "x" * len(pictures))
    offset = rng.uniform(0, 1, num_surfaces, 2)
    if config.texture == "panoramas":  # all faces of a room show one, turned by one angle
        is_papered = rng.uniform(0, 1, 1) < PAPERED
        one = rng.choice(panoramas.PATTERNS, 1)
        pattern[:, -6:] = torch.where(is_papered, one, pattern[:, -6:])
        offset[:, -6:] = offset[:, -1:]
    return torch.cat([colours.flatten(2), axes, offset, pattern[..., None].float()], dim=-1)
