"""True tracks from depth maps and cameras alone, for scenes that are no longer there to cast rays into."""

import torch
from torch import Tensor

from vggt_lite.geometry.camera import project_points
from vggt_lite.geometry.visibility import visible_by_depth


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
