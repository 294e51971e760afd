"""Looking up feature maps at fractional positions, and comparing a track with what lies around it."""

import torch
import torch.nn.functional as F
from torch import Tensor

from vggt_lite.layers.lean import even_pieces

# Numbers gathered from a map at a time: 4 MB stay in a processor's cache, a large device wants more work.
GATHERED_AT_A_TIME, GATHERED_AT_A_TIME_ACCELERATOR = 2**20, 2**26
SMALL_MAP = 16  # a map of so few windows' pixels is correlated whole: one matrix product beats gathering


def sample_bilinear(maps: Tensor, points: Tensor, padding: str = "border") -> Tensor:
    """Read maps between their pixels. Coordinates count from the centre of pixel (0, 0).

    Args:
        maps: (M, C, H, W).
        points: (M, N, 2), (x, y) in pixels of the map.
        padding: What lies outside: "border" repeats the edge, "zeros" is empty.

    Returns:
        (M, N, C).
    """
    height, width = maps.shape[-2:]
    last = torch.tensor([max(width - 1, 1), max(height - 1, 1)], device=points.device, dtype=points.dtype)
    grid = (2 * points / last - 1)[:, :, None]  # (M, N, 1, 2), corners at ±1
    out = F.grid_sample(maps, grid.to(maps.dtype), mode="bilinear", padding_mode=padding, align_corners=True)
    return out[..., 0].transpose(1, 2)


def feature_pyramid(maps: Tensor, levels: int) -> list[Tensor]:
    """(M, C, H, W) and its averages over 2 × 2, 4 × 4 … pixels; odd remainders are dropped."""
    pyramid = [maps]
    for _ in range(levels - 1):
        pyramid.append(F.avg_pool2d(pyramid[-1], 2, stride=2))
    return pyramid


def correlate_whole_map(level: Tensor, features: Tensor, centers: Tensor, radius: int) -> Tensor:
    """The definition: correlate each track with the *whole* map, then read a window of the result.

    This is how the method is explained and what the release does. `correlate_window` gives the same
    numbers from the few positions that matter; tests hold the two together.

    Args:
        level: Feature map (M, C, H, W).
        features: Track features (M, N, C).
        centers: (M, N, 2), (x, y) in pixels of this level.
        radius: r; the window has (2r + 1)² positions.

    Returns:
        (M, N, (2r + 1)²); the slow index moves x, the fast one y (a slip the weights have learned).
    """
    images, tracks, channels = features.shape
    volume = torch.einsum("mnc,mchw->mnhw", features / channels**0.5, level)
    steps = torch.arange(-radius, radius + 1, device=centers.device, dtype=centers.dtype)
    window = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), dim=-1).flatten(0, 1)  # (x, y)
    points = centers.flatten(0, 1)[:, None] + window  # (M · N, (2r + 1)², 2)
    values = sample_bilinear(volume.flatten(0, 1)[:, None], points, padding="zeros")
    return values.reshape(images, tracks, -1)


def correlate_window(level: Tensor, features: Tensor, centers: Tensor, radius: int) -> Tensor:
    """Correlation of each track with a window of the map; same arguments and result as above.

    All positions of a window share the fractional part of its centre. So correlate at the (2r + 2)²
    whole pixels around it, then interpolate the numbers: sampling is linear, the order is free.
    """
    images, channels, height, width = level.shape
    corner = centers.floor()
    fraction = (centers - corner).to(level.dtype)[..., None, None]  # (M, N, 2, 1, 1)
    steps = torch.arange(-radius, radius + 2, device=centers.device)
    # A centre far outside has an empty window wherever it is; clamping keeps its integers small.
    corner = corner.clamp(-radius - 3, max(height, width) + radius + 3).long()
    x = corner[..., 0, None] + steps  # (M, N, 2r + 2)
    y = corner[..., 1, None] + steps
    # A single row or column has no scale: `sample_bilinear` finds it wherever one looks, so must we.
    inside_x, inside_y = (x >= 0) & (x < width) | (width == 1), (y >= 0) & (y < height) | (height == 1)
    column, row = x.clamp(0, width - 1), y.clamp(0, height - 1)
    pixel = row[:, :, :, None] * width + column[:, :, None, :]  # (M, N, y, x): neighbours in memory

    pixel = pixel + torch.arange(images, device=pixel.device)[:, None, None, None] * (height * width)
    values = _dot_products(level, pixel.flatten(0, 1).flatten(1), features.flatten(0, 1) / channels**0.5)
    values = values.reshape(pixel.shape) * (inside_y[..., :, None] & inside_x[..., None, :])

    fx, fy = fraction[:, :, 0], fraction[:, :, 1]
    values = values[..., :-1] * (1 - fx) + values[..., 1:] * fx  # (M, N, 2r + 2, 2r + 1)
    values = values[:, :, :-1] * (1 - fy) + values[:, :, 1:] * fy  # (M, N, 2r + 1, 2r + 1)
    return values.transpose(2, 3).flatten(2)  # x slow, y fast


def _dot_products(level: Tensor, pixel: Tensor, features: Tensor) -> Tensor:
    """Track features (K, C) times a map (M, C, H, W) at flat indices (K, J) → (K, J), some tracks at a time.

    The gathered neighbourhoods would be the tracker's largest tensor; in pieces they never exist at once.
    """
    table = level.flatten(2).transpose(1, 2).reshape(-1, level.shape[1])  # (M · H · W, C)
    most = GATHERED_AT_A_TIME if level.is_cpu else GATHERED_AT_A_TIME_ACCELERATOR
    at_once = len(pixel) if torch.is_grad_enabled() else most // (pixel.shape[1] * level.shape[1])
    values = level.new_empty(pixel.shape)
    for some in even_pieces(len(pixel), at_once):
        values[some] = (F.embedding(pixel[some], table) @ features[some, :, None])[..., 0]
    return values


def correlate(level: Tensor, features: Tensor, centers: Tensor, radius: int) -> Tensor:
    """Correlation of each track with a window of the map, by the cheaper of the two ways above."""
    small = level.shape[-2] * level.shape[-1] <= SMALL_MAP * (2 * radius + 2) ** 2
    way = correlate_whole_map if small else correlate_window
    return way(level, features, centers, radius)
