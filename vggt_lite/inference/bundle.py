"""Cameras, points and lenses moved together, and cameras to start from."""

import itertools
import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vggt_lite.data.triangulation import triangulate
from vggt_lite.export.colmap_model import colmap_lenses, import_pycolmap
from vggt_lite.export.pinholes import Pinholes
from vggt_lite.geometry import project_points
from vggt_lite.geometry.bundle_adjustment import bundle_adjust
from vggt_lite.inference.correspondences import Tracks

JOIN_PX = 12.0  # largest error of a point that helps to place the next view
ENOUGH_TO_TELL = 15  # points of two views, until it says something that a homography does not explain them


@dataclass(frozen=True)
class Lens:
    """What of the lenses an adjustment may change, and what is expected of them."""

    free: str  # of `LENSES`
    radial: bool = False  # and one number of radial distortion each
    expected: Tensor | None = None  # (S,) focal lengths, pixels
    sigma: float = math.inf  # as `focal_sigma` of `bundle_adjust`

    def of(self, views: list[int]) -> "Lens":
        """The lenses of some views, without distortion."""
        return Lens(self.free, False, self.expected[views], self.sigma)


def adjust(
    tracks: Tracks, seen: Tensor, points: Tensor, cameras: Pinholes, robust_px: float, lens: Lens,
    steps: int = 40, tolerance: float = 1e-5,
) -> tuple[Tensor, Pinholes]:  # fmt: skip
    """Minimise the reprojection errors over all cameras and points, with a Cauchy loss (`bundle_adjust`).

    Args:
        tracks: what was seen where.
        seen: (S, N) bool: the observations that count.
        points: (N, 3) first guess, world.
        cameras: first guess.
        robust_px: errors beyond this count ever less.
        lens: what of the lenses is free.
        steps: at most.
        tolerance: it ends when a step lowers what is minimised by less than this share.

    Returns:
        Points (N, 3) and cameras; the first one stays where it was.
    """
    used = seen.any(0)
    radial = None if not lens.radial else torch.zeros(len(seen)) if cameras.radial is None else cameras.radial
    found = bundle_adjust(
        tracks.pixels[:, used], seen[:, used], cameras.cam_from_world, cameras.intrinsics, points[used],
        steps, robust_px, lens.free, radial, lens.expected, lens.sigma, tolerance,
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


def cameras_from_pair(
    tracks: Tracks, cameras: Pinholes, pair: tuple[int, int], lens: Lens
) -> Pinholes | None:
    """Cameras built up from a pair of views: its essential matrix, then one view after the other.

    The predicted poses are not looked at. All cameras are adjusted after each view that joins.

    Returns:
        Cameras in a world of their own; None if a view shares too few points with the others.
    """
    pycolmap = import_pycolmap()
    both = tracks.seen[list(pair)].all(0)
    ransac = pycolmap.RANSACOptions(max_error=3.0, max_num_trials=2000, random_seed=0)
    found = pycolmap.estimate_essential_matrix(
        *(tracks.pixels[view, both].numpy() for view in pair),
        *colmap_lenses(cameras.part(list(pair))), ransac,
    )  # fmt: skip
    if found is None:
        return None
    known, poses = list(pair), cameras.cam_from_world.clone()
    poses[pair[0]] = torch.eye(3, 4)
    poses[pair[1]] = torch.from_numpy(found["cam2_from_cam1"].matrix().copy())
    cameras = replace(cameras, cam_from_world=poses, radial=None)
    while len(known) < len(poses):
        part = Tracks(tracks.pixels[known], tracks.seen[known], {})
        mine = cameras.part(known)
        for _ in range(2):  # what fits is adjusted, and tells better what fits
            points, seen = consistent(part, mine, JOIN_PX)
            points, mine = adjust(part, seen, points, mine, 2.0, lens.of(known), steps=8)
        cameras, good = cameras.with_views(known, mine), seen.any(0)
        view = max(set(range(len(poses))) - set(known), key=lambda v: int((good & tracks.seen[v]).sum()))
        visible = good & tracks.seen[view]
        options = pycolmap.AbsolutePoseEstimationOptions()
        options.ransac.max_error, options.ransac.random_seed = JOIN_PX, 0
        pose = int(visible.sum()) >= 6 and pycolmap.estimate_absolute_pose(
            tracks.pixels[view, visible].numpy(), points[visible].numpy(),
            colmap_lenses(cameras.part([view]))[0], options,
        )  # fmt: skip
        if not pose:
            return None
        cameras.cam_from_world[view] = torch.from_numpy(pose["cam_from_world"].matrix().copy())
        known.append(view)
    return cameras


def consistent(tracks: Tracks, cameras: Pinholes, limit: float) -> tuple[Tensor, Tensor]:
    """Points (N, 3), and the observations (S, N) within `limit` pixels of them, two or more of each."""
    seen = tracks.seen
    for _ in range(2):  # once more without the outliers
        points = triangulate(tracks.pixels, seen, cameras.cam_from_world, cameras.intrinsics)
        seen = tracks.seen & (errors(tracks, tracks.seen, points, cameras) < limit)
        seen = seen & (seen.sum(0) >= 2)
    return points, seen


def homography_share(tracks: Tracks, seen: Tensor, limit: float) -> float:
    """The share of two views' points that one homography explains, of the pair of views where it is lowest.

    Near 1 the cameras turned without moving, or all points lie in a plane; then nothing tells the lenses
    (Hartley & Zisserman, 2nd ed., sections 11.6 and 13.6).

    Args:
        tracks: what was seen where.
        seen: (S, N) bool: the observations that count.
        limit: largest error of a point that is explained, pixels.
    """
    pycolmap = import_pycolmap()
    ransac, lowest = pycolmap.RANSACOptions(max_error=limit, random_seed=0), 1.0
    for pair in itertools.combinations(range(len(seen)), 2):
        both = seen[list(pair)].all(0)
        if both.sum() < ENOUGH_TO_TELL:
            continue
        found = pycolmap.estimate_homography_matrix(
            *(tracks.pixels[view, both].numpy() for view in pair), ransac
        )
        lowest = min(lowest, found["num_inliers"] / both.sum().item() if found else 0.0)
    return lowest
