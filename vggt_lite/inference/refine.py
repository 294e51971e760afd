"""`scene.refine()`: points measured in the photographs make predicted cameras precise.

A network sees small pictures. Points of the photographs themselves are found to a fraction of a pixel; bundle
adjustment moves cameras, focal lengths and points until they agree. The prediction is where it starts, and
what is returned, with the reason, if the points do not bear the result out.
"""

import itertools
import math
import time
import warnings
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vggt_lite.config import LENSES, check_choice
from vggt_lite.data.pixel_map import look_up
from vggt_lite.export.pinholes import Pinholes
from vggt_lite.geometry import camera_center, compose, invert_rigid, transform_points
from vggt_lite.inference.bundle import (
    Lens,
    adjust,
    cameras_from_pair,
    consistent,
    errors,
    homography_share,
)
from vggt_lite.inference.correspondences import DETECTORS, Tracks, find_tracks
from vggt_lite.inference.masks import in_masks

FEATURES = (*DETECTORS, "tracker")
# The last round goes to the end: focal length and distance can grow together while errors hardly change, and
# such a valley is long.
QUICKLY, TO_THE_END = {}, {"steps": 100, "tolerance": 1e-7}
# Rounds of an adjustment: the loss's scale and the largest error of an observation that counts, in pixels of
# a picture of 448, whether the lenses are free, and how far it goes. Predicted poses are degrees off, so it
# begins wide.
ROUNDS = (
    (20.0, 180.0, False, QUICKLY), (6.0, 60.0, False, QUICKLY), (3.0, 30.0, True, QUICKLY),
    (1.5, 12.0, True, QUICKLY), (1.0, 9.0, True, TO_THE_END),
)  # fmt: skip
INLIER_PX = 2.0  # at 448 pixels
ENOUGH = 0.9  # score of a fit: no other start is tried
AGREED = 1.35  # factor between views in refined ÷ predicted depth that says nothing against a fit
CONTRADICTION = 2.0  # and one that says it is wrong
LEAST_SHARE = 0.5  # of observations that fit, or the scene is not refined
FEWEST = 15  # points that fit, in every view
LENS_RANGE = 1.6  # factor by which a focal length may leave the prediction
FOCAL_SIGMA = 0.3  # a weak prior: it decides where there is too little parallax to tell
ONE_HOMOGRAPHY = 0.8  # of the points of every pair of views: nothing tells free lenses
LEAST_ANGLE = 1.0  # degrees between the rays to a point, median: less is turning without moving
TRUSTED = 200  # points it takes until a view's own depth scale counts as much as the one of all views
STARTS = 4  # pairs of views from which cameras are built up, if the prediction does not lead to a fit


@dataclass(frozen=True)
class Refinement:
    """What a refinement did. S views, N points; pixels are those of the photographs."""

    refined: bool
    reason: str  # why the scene is as it was; empty if it was refined
    matches: dict[tuple[int, int], int]  # verified matches of each pair of views
    tracks: Tensor | None = None  # (S, N, 2) where points were seen; NaN where not
    inliers: Tensor | None = None  # (S, N) bool: observations that fit the refined cameras
    points: Tensor | None = None  # (N, 3) world, in the scene's unit; NaN where none fits
    error_before: float = float("nan")  # median reprojection error, pixels: of the prediction
    error_after: float = float("nan")  # and refined, over the same observations
    start: str = ""  # "prediction", or the pair of views that the cameras were built up from
    lens: str = ""  # which focal lengths were free
    radial: Tensor | None = None  # (S,) radial distortion, COLMAP's k, if it was free
    seconds: float = 0.0

    def __str__(self) -> str:
        if not self.refined:
            return f"not refined: {self.reason}"
        share = self.inliers.sum() / self.tracks[..., 0].isfinite().sum()
        return (
            f"refined by {self.inliers.any(0).sum()} points in {self.seconds:.1f} s: reprojection error "
            f"{self.error_before:.1f} → {self.error_after:.2f} pixels, {share:.0%} of the observations fit"
        )


@torch.no_grad()
def refine(scene, features: str = "sift", lens: str = "each", radial: bool = False):
    """A new `Reconstruction` with precise cameras, and depth and points brought to them.

    Args:
        scene: a `Reconstruction` of at least two views with cameras.
        features: "sift" (pycolmap's), "opencv" (OpenCV's), or "tracker": the scene's own tracks, which are
            right for VGGT-1B.
        lens: "each" frees the focal length of every view, "shared" one for all, "kept" none, for lenses that
            are known. Free lenses have square pixels; the principal point stays where it is.
        radial: free a number of radial distortion with every focal length; `refinement.radial` holds it.

    Returns:
        The scene with `refinement`, a report. Its unit is the network's still: the median of what depth says
        stays. The first camera stays where it is.

    Warns:
        UserWarning: the points do not bear a refinement; the scene is as it was, and the report says why.

    Raises:
        ImportError: pycolmap (or OpenCV, where asked for) is not installed.
        ValueError: an unknown choice, a shared lens for photographs whose longer sides differ, or a scene
            without cameras or tracks.
    """
    check_choice("features", features, FEATURES)
    check_choice("lens", lens, LENSES)
    if lens == "shared" and len({max(size) for size in scene.original_sizes}) > 1:
        raise ValueError(
            'lens="shared": photographs of different sizes cannot share a focal length in pixels.'
        )
    if not scene.camera_ok.all() or len(scene) < 2:
        raise ValueError("refining needs two or more views, each with a camera: reconstruct them first.")
    started = time.monotonic()
    if features == "tracker":
        tracks = own_tracks(scene)
    else:
        pictures = (scene.photograph(view) for view in range(len(scene)))  # one at a time: they may be large
        tracks = find_tracks(pictures, features, scene.masks, scene.original_sizes)
    intrinsics = scene.intrinsics.double().clone()
    if lens != "kept":
        focal = intrinsics[:, [0, 1], [0, 1]].mean(1, keepdim=True)  # square pixels
        intrinsics[:, [0, 1], [0, 1]] = focal.log().mean().exp() if lens == "shared" else focal
    predicted = Pinholes(scene.cam_from_world.double(), intrinsics, scene.original_sizes)
    scale = max(max(size) for size in predicted.sizes) / 448
    best, why = None, too_few(tracks)
    if not why:
        free = Lens(lens, radial, predicted.intrinsics[:, 0, 0], FOCAL_SIGMA / scale)
        problem = Problem(scene, tracks, predicted, free, scale)
        best = best_fit(problem)
        why = doubts(problem, best) if best else "no start led to cameras that most points fit."
    if why:
        warnings.warn(f"the scene is not refined: {why}", stacklevel=2)
        return replace(scene, refinement=Refinement(False, why, tracks.matches))
    return carried_over(scene, tracks, predicted, best, lens, time.monotonic() - started)


@dataclass(frozen=True)
class Candidate:
    """Cameras and points that observations agree with."""

    cameras: Pinholes
    points: Tensor  # (N, 3)
    inliers: Tensor  # (S, N) bool
    start: str
    share: float  # of all observations, those that fit
    ratio: Tensor  # (S,) median of refined ÷ predicted depth; 1 where no point tells it
    count: Tensor  # (S,) points that tell it

    @property
    def contradiction(self) -> float:
        """The largest factor between two views in refined ÷ predicted depth."""
        told = self.ratio[self.count >= FEWEST]
        return (told.max() / told.min()).item() if len(told) else 1.0

    @property
    def score(self) -> float:
        """The share, less what the predicted depth says against the fit."""
        return self.share - max(0.0, math.log(self.contradiction / AGREED))


def own_tracks(scene) -> Tracks:
    """The scene's own tracks, where they are probably visible."""
    if scene.tracks is None:
        raise ValueError('features="tracker" needs tracks: reconstruct(…, query_points=…).')
    seen = in_masks(scene.masks, scene.tracks) & scene.tracks.isfinite().all(-1)
    if scene.track_visibility is not None:
        seen &= scene.track_visibility > 0.5
    seen &= seen.sum(0) >= 2
    pairs = itertools.combinations(range(len(seen)), 2)
    matches = {pair: int((seen[pair[0]] & seen[pair[1]]).sum()) for pair in pairs}
    return Tracks(torch.where(seen[..., None], scene.tracks, 0.0).double(), seen, matches)


def too_few(tracks: Tracks) -> str:
    """Which views share too few points with the others, in words; empty if none."""
    counts = tracks.seen.sum(1).tolist()
    poor = [str(view + 1) for view, count in enumerate(counts) if count < FEWEST]
    if not poor:
        return ""
    return (
        f"view {', '.join(poor)} shares fewer than {FEWEST} points with the others ({sum(counts)} sightings "
        "in all): little texture or little overlap. Leave these views out, or add pictures between them."
    )


@dataclass(frozen=True)
class Problem:
    """What every fit of a scene starts from."""

    scene: object  # the `Reconstruction`
    tracks: Tracks
    predicted: Pinholes
    lens: Lens
    scale: float  # pixels of the photographs ÷ pixels of a picture of 448


def best_fit(problem: Problem) -> Candidate | None:
    """The fit with the best score: from the prediction, and if need be from pairs of views."""
    best = fit(problem, problem.predicted, "prediction")
    matches = problem.tracks.matches
    for first, second in sorted(matches, key=matches.get, reverse=True)[:STARTS]:
        if best and best.score > ENOUGH:
            break
        if (
            start := cameras_from_pair(problem.tracks, problem.predicted, (first, second), problem.lens)
        ) is not None:
            other = fit(problem, start, f"views {first + 1} and {second + 1}")
            best = max(filter(None, (best, other)), key=lambda f: f.score, default=None)
    return best


def fit(problem: Problem, cameras: Pinholes, start: str) -> Candidate | None:
    """Triangulate, drop what does not fit, adjust; in narrowing rounds. None if too little is left."""
    tracks, scale, kept = problem.tracks, problem.scale, Lens("kept")
    focal = problem.predicted.intrinsics[:, 0, 0]
    for robust, limit, free, effort in ROUNDS:
        points, seen = consistent(tracks, cameras, scale * limit)
        if (seen.sum(1) < FEWEST).any():
            return None
        part = (tracks, seen, points, cameras, scale * robust)
        points, moved = adjust(*part, problem.lens if free else kept, **effort)
        change = (moved.intrinsics[:, 0, 0] / focal).log().abs()
        if (change > math.log(LENS_RANGE)).any():  # nothing holds the lenses
            points, moved = adjust(*part, kept, **effort)
        cameras = moved
    inliers = seen & (errors(tracks, seen, points, cameras) < scale * INLIER_PX)
    inliers = inliers & (inliers.sum(0) >= 2)
    z = transform_points(cameras.cam_from_world, points)[..., 2]  # (S, N)
    share = (inliers.sum() / tracks.seen.sum()).item()
    ratios = depth_ratios(problem.scene, tracks, z, inliers)
    return Candidate(cameras, points, inliers, start, share, *ratios)


def doubts(problem: Problem, best: Candidate) -> str:
    """Why a fit is not to be trusted, in words; empty if it is."""
    if best.share < LEAST_SHARE:
        return (
            f"only {best.share:.0%} of the observations fit the same cameras: moving things, or bad matches."
        )
    poor = [str(view + 1) for view, count in enumerate(best.inliers.sum(1).tolist()) if count < FEWEST]
    if poor:
        return f"of view {', '.join(poor)} fewer than {FEWEST} points fit. Leave it out."
    if problem.lens.free != "kept":
        flat = homography_share(problem.tracks, best.inliers, problem.scale * INLIER_PX)
        if flat > ONE_HOMOGRAPHY:
            return (
                f"one homography explains {flat:.0%} of the points of every pair of views: the cameras "
                "turned without moving, or everything lies in one plane, and nothing tells the focal "
                "lengths. Take pictures from different places, or give the lens: `with_intrinsics`, then "
                '`lens="kept"`.'
            )
    angle = widest_angles(best).median().item()
    if angle < LEAST_ANGLE:
        return (
            f"the cameras see the median point from directions only {angle:.2f}° apart: they turned without "
            "moving, and nothing says how far things are. Take pictures from different places."
        )
    if best.contradiction > CONTRADICTION:
        return (
            "the points fit cameras that contradict the predicted depth: things would be "
            f"{best.contradiction:.1f} times as far in one view as in another. There is too little parallax."
        )
    return ""


def widest_angles(best: Candidate) -> Tensor:
    """(n,) largest angle between two rays to each point that fits, degrees."""
    used = best.inliers.any(0)
    rays = best.points[used] - camera_center(best.cameras.cam_from_world)[:, None]  # (S, n, 3)
    rays = torch.nn.functional.normalize(rays, dim=-1)
    cosine = torch.einsum("sni,tni->nst", rays, rays)
    seen = best.inliers[:, used].T  # (n, S)
    cosine = cosine.masked_fill(~(seen[:, None] & seen[:, :, None]), 1.0)
    return cosine.flatten(1).amin(1).clamp(-1, 1).acos().rad2deg()


def carried_over(scene, tracks: Tracks, predicted: Pinholes, best: Candidate, lens: str, seconds: float):
    """The scene with the fit's cameras, its unit kept, and its depth and points brought to them."""
    cameras, points = best.cameras.cam_from_world, best.points
    ratio, count = best.ratio, best.count
    unit = ratio[count > 0].log().mean().exp() if count.any() else torch.tensor(1.0)
    ratio = (ratio / unit) ** (count / (count + TRUSTED))  # predicted depths agree between views: a prior
    points = transform_points(cameras[0], points) / unit
    cameras = compose(cameras, invert_rigid(cameras[0]))
    cameras[:, :, 3] /= unit
    first = scene.cam_from_world[0].double()  # stays where it is: the world's frame may be a known one
    points, cameras = transform_points(invert_rigid(first), points), compose(cameras, first)
    cameras[0] = first

    seen, points = tracks.seen, points.masked_fill(~best.inliers.any(0)[:, None], torch.nan)
    start, _ = consistent(tracks, predicted, torch.inf)
    before = errors(tracks, seen, start, predicted)[best.inliers].median().item()
    moved = replace(best.cameras, cam_from_world=cameras)
    after = errors(tracks, seen, points.nan_to_num(), moved)[best.inliers].median().item()
    report = Refinement(
        refined=True, reason="", matches=tracks.matches,
        tracks=tracks.pixels.masked_fill(~seen[..., None], torch.nan).float(), inliers=best.inliers,
        points=points.float(), error_before=before, error_after=after, start=best.start, lens=lens,
        radial=moved.radial, seconds=seconds,
    )  # fmt: skip
    changes = {
        "cam_from_world": cameras.float(),
        "intrinsics": moved.intrinsics.float(),
        "refinement": report,
    }
    if scene.depth is not None:
        changes["depth"] = scene.depth * ratio.float()[:, None, None]
    if scene.point_map is not None:
        changes["point_map"] = carried_points(scene, cameras.float(), ratio.float())
    return replace(scene, **changes)


def depth_ratios(scene, tracks: Tracks, z: Tensor, inliers: Tensor) -> tuple[Tensor, Tensor]:
    """Median of refined over predicted depth (S,), and how many points tell it (S,); 1 where none does."""
    found, count = torch.ones(len(scene), dtype=torch.float64), torch.zeros(len(scene))
    if scene.depth is None:
        return found, count
    for view, pixel_map in enumerate(scene.pixel_maps):
        depth = look_up(scene.depth[view], pixel_map.to_network(tracks.pixels[view].float()), 0.0)  # (N,)
        told = inliers[view] & (depth > 0)
        ratio = z[view, told] / depth[told].double()
        if len(ratio):
            found[view], count[view] = ratio.median(), len(ratio)
    return found, count


def carried_points(scene, cameras: Tensor, ratio: Tensor) -> Tensor:
    """The point map (S, h, w, 3) of every view moved with its camera, and scaled as its depth."""
    points = scene.point_map.flatten(1, 2)  # (S, h · w, 3)
    in_camera = ratio[:, None, None] * transform_points(scene.cam_from_world, points)
    return transform_points(invert_rigid(cameras), in_camera).view_as(scene.point_map)
