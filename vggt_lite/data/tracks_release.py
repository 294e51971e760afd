"""Tracks for data sets that have depth but no tracks, drawn as the release draws them.

Positives: every valid pixel of view 0 is a candidate; its world point is projected into all views and
tested against their depth maps. Candidates seen in many views are preferred. Negatives: positions that
cannot be one point, since they violate the epipolar geometry; a tracker must call them invisible.

`depth_tracks.py` draws the simpler, batched tracks our own scenes are trained with.
"""

import torch
from torch import Tensor

from vggt_lite.data.tracks_from_depth import visible_by_depth
from vggt_lite.geometry import essential_matrix, fundamental_matrix, project_points, sampson_distance_squared

BORDER = 4  # pixels at the image's edge in which nothing counts as visible
MIN_VIEWS = 2  # a track seen in fewer views teaches nothing
IMPOSSIBLE = 16.0  # squared Sampson distance, px², beyond which two positions cannot be one point
ROUNDS = 20  # of drawing candidates for impossible tracks


def draw_tracks(
    depth: Tensor,
    world_points: Tensor,
    cam_from_world: Tensor,
    intrinsics: Tensor,
    valid: Tensor,
    num_positive: int,
    num_negative: int,
    generator: torch.Generator,
    pixel_center: float = 0.5,
) -> tuple[Tensor, Tensor, Tensor]:
    """Random tracks of one static scene.

    Args:
        depth: (S, H, W) z, scene units.
        world_points: (S, H, W, 3).
        cam_from_world: (S, 3, 4).
        intrinsics: (S, 3, 3) pixels.
        valid: (S, H, W) bool.
        num_positive: how many true tracks; at most as many as view 0 has valid pixels. Where too few are
            usable, invisible ones fill up.
        num_negative: how many impossible tracks.
        generator: CPU generator of the draws.
        pixel_center: see `candidate_tracks`.

    Returns:
        tracks (S, T, 2) pixels, visibility (S, T) bool, and positive (T,) bool, positives first.

    Raises:
        ValueError: view 0 has fewer valid pixels than `num_positive`, or there is only one view and
            negatives are wanted (nothing is impossible in a single view).
    """
    tracks, visible = candidate_tracks(depth, world_points, cam_from_world, intrinsics, valid, pixel_center)
    visible = keep_usable(visible)
    chosen = choose_positive(visible, num_positive, generator)
    negatives = negative_tracks(
        cam_from_world, intrinsics, tuple(depth.shape[-2:]), num_negative, generator, pixel_center
    )
    hidden = torch.zeros(negatives.shape[:2], dtype=torch.bool, device=visible.device)
    positive = torch.arange(num_positive + num_negative, device=visible.device) < num_positive
    tracks = torch.cat([tracks[:, chosen], negatives], dim=1)
    return tracks, torch.cat([visible[:, chosen], hidden], dim=1), positive


def candidate_tracks(
    depth: Tensor,
    world_points: Tensor,
    cam_from_world: Tensor,
    intrinsics: Tensor,
    valid: Tensor,
    pixel_center: float = 0.5,
) -> tuple[Tensor, Tensor]:
    """Every valid pixel of view 0, row by row, followed into all views.

    Args:
        pixel_center: where the centre of pixel (0, 0) lies; the release counts from 0.0.

    Returns:
        tracks (S, T, 2) pixels, and visibility (S, T) bool: at least 4 pixels inside the image, and one of
        the four nearest pixels has this depth within 5 %. View 0 is tested like the others.
    """
    height, width = depth.shape[-2:]
    points = world_points[0][valid[0]]  # (T, 3)
    tracks, z = project_points(points, cam_from_world, intrinsics)  # (S, T, 2), (S, T)
    corner_based = tracks + (0.5 - pixel_center)
    visible = visible_by_depth(corner_based[None], z[None], depth[None])[0]
    x, y = tracks.unbind(-1)
    inside = (x >= BORDER) & (x < width - BORDER) & (y >= BORDER) & (y < height - BORDER)
    return tracks, visible & inside


def keep_usable(visible: Tensor) -> Tensor:
    """Visibility (S, T) with tracks hidden everywhere if view 0, or fewer than two views, see them."""
    return visible & visible[:1] & (visible.sum(0) >= MIN_VIEWS)


def choose_positive(visible: Tensor, wanted: int, generator: torch.Generator) -> Tensor:
    """Indices (wanted,) of random tracks out of (S, T), from the better half if there are plenty.

    Better is what more views see. Tracks that no view sees come last.
    """
    views_seeing = visible.sum(0)
    if len(views_seeing) < wanted:
        raise ValueError(
            f"{wanted} tracks are wanted, but view 0 has only {len(views_seeing)} valid pixels; "
            "ask for fewer tracks, or begin with a view that has more depth."
        )
    pool = views_seeing.argsort(descending=True, stable=True)
    if len(pool) > 2 * wanted:
        pool = pool[: len(pool) // 2]
    pool = pool[torch.randperm(len(pool), generator=generator).to(pool.device)]
    seen_first = (views_seeing[pool] == 0).long().argsort(stable=True)
    return pool[seen_first[:wanted]]


def negative_tracks(
    cam_from_world: Tensor,
    intrinsics: Tensor,
    image_size: tuple[int, int],
    wanted: int,
    generator: torch.Generator,
    pixel_center: float = 0.5,
) -> Tensor:
    """(S, wanted, 2) positions that no point can have: in every other view far from the epipolar line.

    A pixel of view 0, and in each other view the same position moved right and down by up to half the
    image. Drawn until enough are found; views that see view 0 from the same place allow none.
    """
    if wanted == 0:
        return cam_from_world.new_zeros(len(cam_from_world), 0, 2)
    num_views, found = len(cam_from_world), []
    for _ in range(ROUNDS if num_views > 1 else 0):
        pixels = random_shifts(num_views, image_size, 4 * wanted, generator).to(cam_from_world) + pixel_center
        distance = distance_to_epipolar_lines(pixels, cam_from_world, intrinsics)  # (S − 1, 4 · wanted)
        found.append(pixels[:, (distance > IMPOSSIBLE).all(0)])
        if sum(x.shape[1] for x in found) >= wanted:
            return torch.cat(found, dim=1)[:, :wanted]
    raise ValueError(
        f"{wanted} impossible tracks are wanted, but almost every pair of positions is possible: the views "
        "stand too close together, or there is only one. Use num_negative=0."
    )


def random_shifts(
    num_views: int, image_size: tuple[int, int], count: int, generator: torch.Generator
) -> Tensor:
    """(S, count, 2): random whole pixels of view 0, shifted at random in the other views."""
    size = torch.tensor([image_size[1], image_size[0]])
    start = (torch.rand(count, 2, generator=generator) * size).floor()
    shift = torch.rand(num_views - 1, count, 2, generator=generator) * size / 2
    return torch.cat([start[None], start + shift])


def distance_to_epipolar_lines(pixels: Tensor, cam_from_world: Tensor, intrinsics: Tensor) -> Tensor:
    """Squared Sampson distances (S − 1, N), px², between view 0 and the others, of pixels (S, N, 2)."""
    essential = essential_matrix(cam_from_world[:1], cam_from_world[1:])
    fundamental = fundamental_matrix(essential, intrinsics[:1], intrinsics[1:])
    return sampson_distance_squared(pixels[:1], pixels[1:], fundamental)
