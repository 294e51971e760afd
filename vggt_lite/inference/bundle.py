"""Cameras, points and lenses moved together, and cameras to start from."""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from vggt_lite.data.triangulation import triangulate
from vggt_lite.export.colmap import import_pycolmap
from vggt_lite.geometry import project_points
from vggt_lite.geometry.bundle_adjustment import bundle_adjust
from vggt_lite.inference.correspondences import Tracks

MOST_STEPS, TOLERANCE = 40, 1e-5  # of an adjustment


@dataclass(frozen=True)
class Pinholes:
    """S pinhole cameras, perhaps with one number of radial distortion each. float64."""

    cam_from_world: Tensor  # (S, 3, 4)
    intrinsics: Tensor  # (S, 3, 3) pixels of the photographs
    sizes: list[tuple[int, int]]  # (H, W) of the photographs
    radial: Tensor | None = None  # (S,) COLMAP's k of SIMPLE_RADIAL


@dataclass(frozen=True)
class Lens:
    """What of the lenses an adjustment may change, and what is expected of them."""

    free: str  # of `LENSES`
    radial: bool = False  # and one number of radial distortion each
    expected: Tensor | None = None  # (S,) focal lengths, pixels
    sigma: float = math.inf  # as `focal_sigma` of `bundle_adjust`


def colmap_camera(pycolmap, cameras: Pinholes, view: int):
    """COLMAP's camera of a view, without distortion."""
    k, (height, width) = cameras.intrinsics[view].tolist(), cameras.sizes[view]
    return pycolmap.Camera(
        model="PINHOLE", width=width, height=height, params=[k[0][0], k[1][1], k[0][2], k[1][2]]
    )


def adjust(
    tracks: Tracks, seen: Tensor, points: Tensor, cameras: Pinholes, robust_px: float, lens: Lens
) -> tuple[Tensor, Pinholes]:
    """Minimise the reprojection errors over all cameras and points, with a Cauchy loss (`bundle_adjust`).

    Args:
        tracks: what was seen where.
        seen: (S, N) bool: the observations that count.
        points: (N, 3) first guess, world.
        cameras: first guess.
        robust_px: errors beyond this count ever less.
        lens: what of the lenses is free.

    Returns:
        Points (N, 3) and cameras; the first one stays where it was.
    """
    used = seen.any(0)
    radial = None if not lens.radial else torch.zeros(len(seen)) if cameras.radial is None else cameras.radial
    found = bundle_adjust(
        tracks.pixels[:, used], seen[:, used], cameras.cam_from_world, cameras.intrinsics, points[used],
        MOST_STEPS, robust_px, lens.free, radial, lens.expected, lens.sigma, TOLERANCE,
    )  # fmt: skip
    points = points.clone()
    points[used] = found.points
    cameras = replace(
        cameras,
        cam_from_world=found.cam_from_world,
        intrinsics=found.intrinsics,
        radial=found.radial if lens.radial else None,
    )
    return points, cameras


def errors(tracks: Tracks, seen: Tensor, points: Tensor, cameras: Pinholes) -> Tensor:
    """(S, N) distance in pixels between projection and observation; infinite behind a camera, 0 if unseen."""
    pixels, z = project_points(points, cameras.cam_from_world, cameras.intrinsics)
    if cameras.radial is not None:
        middle = cameras.intrinsics[:, None, :2, 2]
        offset = (pixels - middle) / cameras.intrinsics[:, None, [0, 1], [0, 1]]
        stretch = 1 + cameras.radial[:, None, None] * offset.square().sum(-1, keepdim=True)
        pixels = middle + (pixels - middle) * stretch
    distance = (pixels - tracks.pixels).norm(dim=-1)
    distance = torch.where((z > 0) & distance.isfinite(), distance, torch.inf)
    return torch.where(seen, distance, 0.0)


def cameras_from_pair(tracks: Tracks, cameras: Pinholes, pair: tuple[int, int]) -> Pinholes | None:
    """Cameras built up from a pair of views: its essential matrix, then one view after the other.

    The predicted focal lengths are trusted, the predicted poses are not looked at.

    Returns:
        Cameras in the frame of view 0; None if a view shares too few points with the others.
    """
    pycolmap = import_pycolmap()
    lenses = [colmap_camera(pycolmap, cameras, view) for view in range(len(cameras.sizes))]
    first, second = pair
    both = tracks.seen[first] & tracks.seen[second]
    ransac = pycolmap.RANSACOptions(max_error=3.0, max_num_trials=2000, random_seed=0)
    found = pycolmap.estimate_essential_matrix(
        *(tracks.pixels[view, both].numpy() for view in pair), lenses[first], lenses[second], ransac
    )
    if found is None:
        return None
    poses = {first: torch.eye(3, 4, dtype=torch.float64)}
    poses[second] = torch.from_numpy(np.array(found["cam2_from_cam1"].matrix()))
    while len(poses) < len(lenses):
        known = sorted(poses)
        part = Pinholes(torch.stack([poses[v] for v in known]), cameras.intrinsics[known], [])
        seen = tracks.seen[known]
        points = triangulate(tracks.pixels[known], seen, part.cam_from_world, part.intrinsics).double()
        error = errors(Tracks(tracks.pixels[known], seen, {}), seen, points, part)
        good = (seen.sum(0) >= 2) & (error.amax(0) < 10)
        view = max(set(range(len(lenses))) - set(known), key=lambda v: int((good & tracks.seen[v]).sum()))
        mine = good & tracks.seen[view]
        options = pycolmap.AbsolutePoseEstimationOptions()
        options.ransac.max_error, options.ransac.random_seed = 12.0, 0
        pose = int(mine.sum()) >= 6 and pycolmap.estimate_absolute_pose(
            tracks.pixels[view, mine].numpy(), points[mine].numpy(), lenses[view], options
        )
        if not pose:
            return None
        poses[view] = torch.from_numpy(np.array(pose["cam_from_world"].matrix()))
    return replace(cameras, cam_from_world=torch.stack([poses[view] for view in range(len(lenses))]))
