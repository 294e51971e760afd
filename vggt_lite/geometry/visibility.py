"""Which points does a camera see, judged by its depth map?"""

import torch
from torch import Tensor


def visible_by_depth(pixels: Tensor, z: Tensor, depth: Tensor, tolerance: float = 0.05) -> Tensor:
    """Whether points are what the camera sees where they project, and not hidden behind something.

    A point is visible if it lies in front of the camera, inside the image, and one of the four pixels
    around it has its depth within `tolerance` (a fraction of the depth).

    Args:
        pixels: (B, S, N, 2) where the points project, (x, y).
        z: (B, S, N) their depth.
        depth: (B, S, H, W) the depth that the camera sees; 0 = none.

    Returns:
        (B, S, N) bool.
    """
    height, width = depth.shape[-2:]
    x, y = pixels.unbind(-1)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height) & (z > 0)
    flat = depth.flatten(2)  # (B, S, H·W)
    matches = torch.zeros_like(inside)
    left, top = (x - 0.5).floor(), (y - 0.5).floor()
    for right, down in ((0, 0), (1, 0), (0, 1), (1, 1)):
        column = (left + right).clamp(0, width - 1).nan_to_num().long()
        row = (top + down).clamp(0, height - 1).nan_to_num().long()
        seen = flat.gather(2, row * width + column)
        matches |= (seen > 0) & ((z - seen).abs() < tolerance * torch.minimum(z, seen))
    return inside & matches
