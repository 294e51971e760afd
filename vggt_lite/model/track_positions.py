"""How the tracker tells its transformer where a query is and how far its track has moved."""

import torch
from torch import Tensor


def axis_table(count: int, dim: int, device: torch.device | None = None) -> Tensor:
    """Sines and cosines of the whole pixels 0 … count − 1, (count, 2 · dim), base 10 000."""
    frequency = 10000.0 ** (-torch.arange(dim, dtype=torch.float64) / dim)
    angle = torch.arange(count, dtype=torch.float64)[:, None] * frequency  # (count, dim)
    return torch.cat([angle.sin(), angle.cos()], dim=1).float().to(device)


def interpolate_rows(table: Tensor, place: Tensor) -> Tensor:
    """Read a table (count, K) at fractional rows (…,), linearly, the ends repeated."""
    place = place.clamp(0, len(table) - 1)
    below = place.floor().long()
    above = (below + 1).clamp(max=len(table) - 1)
    part = (place - below)[..., None]
    return table[below] * (1 - part) + table[above] * part


def query_positions(points: Tensor, size: tuple[int, int], dim: int) -> Tensor:
    """Position embedding of query points: x first, then y.

    The formula is a table of `dim` channels for every pixel of a map, sampled at the query. Each
    channel depends on one axis only, so two short tables say the same.

    Args:
        points: (…, 2), (x, y) in pixels of the feature map.
        size: (H, W) of that map.
        dim: Channels, a multiple of 4.

    Returns:
        (…, dim).
    """
    height, width = size
    across = interpolate_rows(axis_table(width, dim // 4, points.device), points[..., 0])
    down = interpolate_rows(axis_table(height, dim // 4, points.device), points[..., 1])
    return torch.cat([across, down], dim=-1)


def flow_embedding(flow: Tensor, dim: int) -> Tensor:
    """Sines and cosines of a displacement, `dim` per axis, x then y.

    Frequencies are 0, 2, 4 … times 1000 / dim radians per pixel: up to about 1000, so a difference in
    the last float digit grows a thousandfold per iteration. Compare implementations after one iteration.

    Args:
        flow: (…, 2) in pixels of the feature map.
        dim: Numbers per axis, even.

    Returns:
        (…, 2 · dim).
    """
    frequency = torch.arange(0, dim, 2, device=flow.device, dtype=torch.float32) * (1000.0 / dim)
    angle = flow[..., None].float() * frequency  # (…, 2, dim / 2)
    waves = torch.stack([angle.sin(), angle.cos()], dim=-1)  # (…, 2, dim / 2, 2)
    return waves.flatten(-3)
