"""Procedural albedo: a bank of tileable patterns, painted on surfaces in two or three colours.

A pattern holds two masks in [0, 1], a large-scale one and a detail one. A surface chooses a pattern and
three colours; its albedo at texture coordinates (u, v), in tiles, is

    base + mask₀ · (second - base), then mixed with the third colour by mask₁.

The bank is computed once (half a second) from hashed value noise, checks, stripes, spots and dead-leaves
pictures (opaque shapes thrown on top of each other: the statistics of edges in photographs), and read
from photographs in the public domain (tools/texture_photographs.py). It is kept at several resolutions
(a mip map): distant surfaces read a coarser one, or they would sparkle.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

SIZE = 128  # texels along a tile's side at the finest level
LEVELS = 6  # 128, 64, … 4 texels
NOISE, CHECKS, STRIPES, SPOTS, PICTURES = range(0, 6), range(6, 9), range(9, 12), range(12, 15), range(15, 32)
BRICKS, GRAIN, CELLS, WRITING = range(32, 36), range(36, 40), range(40, 44), range(44, 48)
PHOTOGRAPHS = range(48, 64)
NUM_PATTERNS = 64
PHOTOGRAPH_FILE = Path(__file__).parent / "photographs" / "masks.png"


def hash_noise(cells: int, seed: int) -> Tensor:
    """(cells, cells) numbers in [0, 1) from an integer hash of the cell's row and column."""
    row, column = torch.meshgrid(torch.arange(cells), torch.arange(cells), indexing="ij")
    h = (row * 374761393 + column * 668265263 + seed * 2147483647) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    h = ((h ^ (h >> 16)) * 2246822519) & 0xFFFFFFFF
    return ((h ^ (h >> 13)) & 0xFFFFFF).float() / 2**24


def value_noise(cells: int, seed: int) -> Tensor:
    """(SIZE, SIZE) smooth tileable noise: hashed values at lattice points, cubic in between."""
    lattice = F.pad(hash_noise(cells, seed)[None, None], (2, 2, 2, 2), mode="circular")
    fine = F.interpolate(lattice, scale_factor=SIZE // cells, mode="bicubic", align_corners=False)
    margin = 2 * (SIZE // cells)
    return fine[0, 0, margin:-margin, margin:-margin].clamp(0, 1)


def octaves(seed: int, first: int = 4, count: int = 3) -> Tensor:
    """Value noise at `first` cells, twice that, … each half as strong: clouds, marble, terrain."""
    total = sum(value_noise(first << i, seed * 7 + i) * 0.5**i for i in range(count))
    return stretch(total)


def stretch(x: Tensor) -> Tensor:
    """Spread values over [0, 1]."""
    return (x - x.min()) / (x.max() - x.min())


def dead_leaves(seed: int, leaves: int = 90) -> Tensor:
    """(2, SIZE, SIZE): discs and rectangles of random grey, each covering what lies under it."""
    generator = torch.Generator().manual_seed(seed)
    grid = (torch.arange(SIZE) + 0.5) / SIZE
    masks = torch.full((2, SIZE, SIZE), 0.5)
    for radius in torch.linspace(0.3, 0.035, leaves).tolist():  # large ones first, details on top
        x, y, a, b, tone, detail, kind = torch.rand(7, generator=generator).tolist()
        dx = ((grid - x + 0.5) % 1 - 0.5)[None, :] / (radius * (0.5 + a))  # wraps round: tileable
        dy = ((grid - y + 0.5) % 1 - 0.5)[:, None] / (radius * (0.5 + b))
        inside = dx**2 + dy**2 < 1 if kind < 0.5 else torch.maximum(dx.abs(), dy.abs()) < 0.8
        masks[0][inside], masks[1][inside] = tone, detail**3
    return masks


def make_pattern(index: int) -> Tensor:
    """One pattern of the bank: (2, SIZE, SIZE) in [0, 1]."""
    cells = (torch.arange(SIZE) * 4 // SIZE) % 2
    smooth, fine = octaves(index), octaves(index + 100, first=8)
    if index in NOISE:
        return torch.stack([stretch(smooth.clamp(0.3, 0.7)), stretch(fine.clamp(0.55, 0.7))])
    if index in CHECKS:
        return torch.stack([(cells[:, None] ^ cells).float(), 0.5 * fine * (index - CHECKS[0])])
    if index in STRIPES:
        return torch.stack([cells.float().expand(SIZE, SIZE), 0.5 * fine * (index - STRIPES[0])])
    if index in SPOTS:
        grid = torch.arange(SIZE) * 4 / SIZE % 1 - 0.5
        distance = (grid[:, None] ** 2 + grid**2).sqrt()
        return torch.stack([smooth, (distance < 0.2 + 0.08 * (index - SPOTS[0])).float()])
    if index in PHOTOGRAPHS:
        return photographs()[index - PHOTOGRAPHS[0]]
    for family, make in ((BRICKS, bricks), (GRAIN, grain), (CELLS, cells_of_stone), (WRITING, writing)):
        if index in family:
            return make(index)
    return dead_leaves(index)


def bricks(seed: int) -> Tensor:
    """Courses of bricks, each of its own tone, every other course shifted by half a brick."""
    courses, tones = 8, hash_noise(8, seed)
    row = torch.arange(SIZE) * courses // SIZE
    along = torch.arange(SIZE)[None, :] * courses / SIZE / 2 + 0.5 * (row[:, None] % 2)
    joint = (along % 1 < 0.07) | (torch.arange(SIZE) * courses / SIZE % 1 < 0.14)[:, None]
    tone = tones[row[:, None].expand(-1, SIZE), along.floor().long() % (courses // 2)]
    return torch.stack([0.7 * tone + 0.3 * octaves(seed, first=16), joint.float()])


def grain(seed: int) -> Tensor:
    """Wood: rings drawn out along one direction, darker where a slow noise folds them."""
    slow, fine = value_noise(4, seed), value_noise(32, seed + 1)
    across = torch.arange(SIZE)[:, None] / SIZE
    rings = 0.5 + 0.5 * torch.sin(2 * torch.pi * (6 * across + 1.5 * slow))
    streaks = fine[:, :1].expand(-1, SIZE) * 0.6 + 0.4 * fine
    return torch.stack([rings * 0.7 + 0.3 * streaks, 0.5 * (rings > 0.92).float()])


def cells_of_stone(seed: int) -> Tensor:
    """Cobbles: each place belongs to the nearest of some points, with gaps where two are equally near."""
    generator = torch.Generator().manual_seed(seed)
    points, tones = torch.rand(28, 2, generator=generator), torch.rand(28, generator=generator)
    grid = (torch.arange(SIZE) + 0.5) / SIZE
    dx = (grid[None, None, :] - points[:, 0, None, None] + 0.5) % 1 - 0.5  # wraps round: tileable
    dy = (grid[None, :, None] - points[:, 1, None, None] + 0.5) % 1 - 0.5
    nearest, owner = (dx**2 + dy**2).sqrt().topk(2, dim=0, largest=False)
    return torch.stack([tones[owner[0]], (nearest[1] - nearest[0] < 0.02).float()])


def writing(seed: int) -> Tensor:
    """Lines of strokes that look like print from afar: posters, book spines, labels."""
    rows, columns = 8, 32
    stroke = (hash_noise(64, seed) > 0.5)[: rows * 4, :columns].float()
    ink = F.interpolate(stroke[None, None], size=(SIZE, SIZE), mode="nearest")[0, 0]
    inside = (torch.arange(SIZE) * rows / SIZE % 1 > 0.35)[:, None].float()
    words = (hash_noise(16, seed + 9)[:rows].repeat_interleave(SIZE // rows, 0) > 0.25).float()
    words = words.repeat_interleave(SIZE // 16, 1)
    return torch.stack([octaves(seed, first=4, count=1), ink * inside * words])


@lru_cache(maxsize=1)
def photographs() -> Tensor:
    """(photographs, 2, SIZE, SIZE): the file has one below the other, its two masks side by side."""
    with Image.open(PHOTOGRAPH_FILE) as file:
        masks = torch.from_numpy(np.asarray(file, np.float32) / 255)  # (16 · SIZE, 2 · SIZE)
    return masks.unflatten(0, (-1, SIZE)).unflatten(2, (2, SIZE)).transpose(1, 2)


@lru_cache(maxsize=4)
def pattern_bank(device: torch.device) -> Tensor:
    """(rows, 8): for each texel of each level of each pattern, the two masks at its four corners.

    A bilinear look-up needs four neighbouring texels; storing them together makes it one read.
    """
    patterns = torch.stack([make_pattern(i) for i in range(NUM_PATTERNS)])  # (patterns, 2, SIZE, SIZE)
    rows = []
    for level in range(LEVELS):
        coarse = F.avg_pool2d(patterns, 2**level) if level else patterns
        right, below = coarse.roll(-1, 3), coarse.roll(-1, 2)
        corners = torch.stack([coarse, right, below, below.roll(-1, 3)], dim=-1)  # (patterns, 2, n, n, 4)
        rows.append(corners.permute(0, 2, 3, 4, 1).reshape(-1, 8))
    return torch.cat(rows).to(device)


def look_up(pattern: Tensor, u: Tensor, v: Tensor, texels_per_pixel: Tensor) -> tuple[Tensor, Tensor]:
    """Read both masks of a pattern, bilinearly, at the level that fits the pixel.

    Args:
        pattern: (V, R) index into the bank, as floats.
        u, v: (V, R) texture coordinates in tiles; they wrap round.
        texels_per_pixel: (V, R) finest texels under one pixel of the image.

    Returns:
        Two masks (V, R) in [0, 1].
    """
    bank = pattern_bank(u.device)
    level = texels_per_pixel.clamp_min(1).log2().round().clamp_max(LEVELS - 1)
    size = torch.exp2(7 - level)  # texels along the side at that level
    # Finer levels stand before this one: Σ SIZE² / 4^l over l < level, for every pattern.
    start = (SIZE**2 - size * size) * (4 * NUM_PATTERNS) / 3  # exact: the difference is a multiple of 3
    x, y = (u - u.floor()) * size + (size - 0.5), (v - v.floor()) * size + (size - 0.5)
    column, row = x.floor(), y.floor()
    x, y = x - column, y - row
    column, row = column % size, row % size
    texel = start + pattern * size * size + row * size + column  # below 2²⁴: exact in float32
    corners = bank.index_select(0, texel.flatten().int())
    a0, a1, b0, b1, c0, c1, d0, d1 = corners.unflatten(0, u.shape).unbind(-1)
    mask0 = (a0 * (1 - x) + b0 * x) * (1 - y) + (c0 * (1 - x) + d0 * x) * y
    mask1 = (a1 * (1 - x) + b1 * x) * (1 - y) + (c1 * (1 - x) + d1 * x) * y
    return mask0, mask1


def paint(masks: tuple[Tensor, Tensor], base: Tensor, second: Tensor, third: Tensor) -> Tensor:
    """Turn masks (V, R) and colours (V, 3, R) into albedo (V, 3, R)."""
    mask0, mask1 = masks[0][:, None], masks[1][:, None]
    colour = base + mask0 * (second - base)
    return colour + mask1 * (third - colour)
