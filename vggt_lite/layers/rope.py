"""Rotary positions in two dimensions: attention learns *where* by turning queries and keys.

Half of a head's channels is turned by the token's row, the other half by its column. Two turned
vectors' dot product depends only on the difference of their positions (Su et al. 2021,
arXiv:2104.09864), so a block sees offsets between patches, never absolute places.
"""

import torch
from torch import Tensor


def grid_positions(height: int, width: int, num_special: int) -> Tensor:
    """(row, column) of every token of a view, (num_special + height · width, 2), integers.

    Special tokens sit at (0, 0), where the rotation is the identity; patches count from 1.
    """
    rows, columns = torch.meshgrid(torch.arange(height) + 1, torch.arange(width) + 1, indexing="ij")
    patches = torch.stack([rows, columns], dim=-1).flatten(0, 1)  # (h · w, 2)
    return torch.cat([patches.new_zeros(num_special, 2), patches])  # (T, 2)


def rotary_tables(positions: Tensor, head_dim: int, base: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines of every token's angles, computed once and used by all blocks.

    Args:
        positions: (…, L, 2) rows and columns, in patches.
        head_dim: d, channels of a head; a multiple of 4.
        base: Slowest frequency is about 1 / base radians per patch (100 in VGGT).

    Returns:
        cos, sin: each (…, L, 2, d / 4): axis (row, column) × frequency.
    """
    count = head_dim // 4
    frequency = base ** (-torch.arange(count, device=positions.device, dtype=torch.float32) / count)
    angle = positions[..., None].float() * frequency  # (…, L, 2, d / 4)
    return angle.cos(), angle.sin()


def rotate(x: Tensor, tables: tuple[Tensor, Tensor]) -> Tensor:
    """Turn queries or keys by their tokens' positions.

    Args:
        x: (…, L, d).
        tables: From `rotary_tables`, broadcastable over the leading axes.

    Returns:
        (…, L, d), each vector as long as before.
    """
    cos, sin = (table.to(x.dtype) for table in tables)
    # Channels are [row a | row b | column a | column b]; (a, b) is the pair that turns together.
    a, b = x.unflatten(-1, (2, 2, -1)).unbind(-2)  # two of (…, L, 2, d / 4)
    turned = torch.stack([a * cos - b * sin, b * cos + a * sin], dim=-2)
    return turned.flatten(-3)  # (…, L, d)
