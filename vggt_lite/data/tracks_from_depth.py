"""True tracks from depth maps and cameras alone, for scenes that are no longer there to cast rays into."""

import torch
from torch import Tensor

from vggt_lite.geometry.camera import project_points


def tracks_from_depth(
    depth: Tensor,
    point_map: Tensor,
    cam_from_world: Tensor,
    intrinsics: Tensor,
    num_tracks: int,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Follow random pixels of view 0 through a static scene.

    Args:
        depth: (B, S, H, W) z, 0 where nothing was hit.
        point_map: (B, S, H, W, 3) world.
        cam_from_world: (B, S, 3, 4).
        intrinsics: (B, S, 3, 3) pixels.
        num_tracks: N, tracks per scene.
        generator: CPU generator of the draws.

    Returns:
        tracks: (B, S, N, 2) pixels (x, y); in view 0 the centres of the drawn pixels.
        visibility: (B, S, N) bool, by a depth test. Points that another view sees too are drawn more
            often, but not only they: a tracker must also learn what disappears.
    """
    scenes, _, height, width = depth.shape
    drawn = torch.randint(height * width, (scenes, 2 * num_tracks), generator=generator).to(depth.device)
    points = point_map[:, 0].flatten(1, 2).gather(1, drawn[..., None].expand(-1, -1, 3))  # (B, 2N, 3)
    pixels, z = project_points(points[:, None], cam_from_world, intrinsics)  # (B, S, 2N, 2), (B, S, 2N)
    visible = visible_by_depth(pixels, z, depth)
    pixels[:, 0, :, 0] = (drawn % width) + 0.5  # exact, without the rounding of there and back
    pixels[:, 0, :, 1] = drawn.div(width, rounding_mode="floor") + 0.5
    has_depth = depth[:, 0].flatten(1).gather(1, drawn) > 0
    visible[:, 0] = True
    visible &= has_depth[:, None]

    score = torch.rand(drawn.shape, generator=generator).to(depth.device) + 2 * has_depth
    score += 0.5 * visible[:, 1:].any(1)
    best = score.topk(num_tracks, dim=1).indices[:, None].expand(-1, depth.shape[1], -1)  # (B, S, N)
    return pixels.gather(2, best[..., None].expand(-1, -1, -1, 2)), visible.gather(2, best)


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
