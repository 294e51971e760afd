"""Do the views of a scene agree on where surfaces are? And if not: which mistake would explain it?

A surface seen in one view must land where the next view sees it; without depth, the rays of a track must
meet. Wrong conventions fail that test in typical ways, so common mistakes are tried out, and the one that
explains the data is named.
"""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from vggt_lite.data.triangulate import triangulate
from vggt_lite.geometry import invert_rigid, project_points, unproject_depth

SAMPLES = 1000  # pixels tried per pair of views
CLOSE = 0.02  # what counts as agreement: share of the depth, or of the image's width
MAX_PAIRS = 16
MOSTLY = 0.7  # and if points or tracks then mostly agree


class Geometry(NamedTuple):
    """What is said of where surfaces are: S cameras, and what they see."""

    cam_from_world: Tensor  # (S, 3, 4)
    intrinsics: Tensor  # (S, 3, 3)
    depth: list[Tensor]  # S × (H, W), 0 = none; views may differ in size


class SeenPoints(NamedTuple):
    """N points and where S views saw them: those of a sparse model, or tracks, which are sightings only."""

    world: Tensor | None  # (N, 3); None: wherever their sightings put them
    tracks: Tensor  # (S, N, 2) pixels (x, y) where they were seen
    visibility: Tensor  # (S, N) bool
    widths: Tensor  # (S,) of the pictures, pixels


class Mistake(NamedTuple):
    """A common mistake, and the scene without it."""

    text: str
    share: float  # of the points that agree without it
    mended: Geometry


class Verdict(NamedTuple):
    """What is wrong, and what could not be told."""

    problems: list[str]
    notes: list[str]


class Words(NamedTuple):
    """How to speak of a test, and how sure it must be."""

    result: str
    other: str  # the result if something were otherwise
    advice: str  # what to look at when no mistake explains it
    clearly: float  # a mistake is named if without it so much more agrees
    least: float  # share, of what could agree, below which something is wrong even if no mistake explains it


DEPTH = Words(
    "the views agree on {:.0f} % of their surface points", "on {:.0f} %",
    "Check that depths and translations have one unit, and the order of the views.", 0.1, 0.3,
)  # fmt: skip
POINTS = Words(
    "{:.0f} % of the points lie where the views saw them", "{:.0f} %",
    "Check that cameras and points are of one model, and the order of the views.", 0.1, 0.5,
)  # fmt: skip
TRACKS = Words(  # rays meet by chance more easily than surfaces
    "{:.0f} % of the tracks' positions can be images of one point each", "{:.0f} %",
    "Check that the tracks are in pixels of these pictures, and the order of the views.", 0.15, 0.3,
)  # fmt: skip


def judge(path: Path, given: Geometry, seen: SeenPoints | None = None) -> Verdict:
    """Whether surfaces seen in one view lie where others see them, and if not, what would explain it.

    Where cameras taken for `world_from_cam`, or for OpenGL's, would do as well, a note says so: the views
    stand too close together, or hardly see the same.

    Args:
        path: the file that holds the cameras, for the message.
        given: what the scene says; without `seen`, two views at least have depth.
        seen: judge by these points instead of by depth.
    """
    words = _words(seen)
    share, possible = _agreement(given, seen)
    text = f"{path}: {words.result.format(100 * share)}"
    if mistake := likely_mistake(given, seen):
        other = words.other.format(100 * mistake.share)
        return Verdict([f"{text} as it is, {other} if {mistake.text}"], [])
    if possible > 0.05 and share < words.least * possible:
        return Verdict([f"{text}. {words.advice}"], [])
    rival = _best(_other_poses(given), given, seen)
    if rival.share > share - words.clearly:
        other, what = words.other.format(100 * rival.share), rival.text.split(":")[0]
        return Verdict([], [f"{text}, and {other} if {what}: conventions could not be told."])
    return Verdict([], [])


def likely_mistake(given: Geometry, seen: SeenPoints | None = None) -> Mistake | None:
    """The common mistake that explains the scene, if it clearly does; arguments as for `judge`."""
    common = _other_poses(given) | _swapped_lens(given)
    if seen is None or seen.world is not None:  # tracks alone have no unit
        common = _other_poses(given) | _other_units(given) | _along_the_ray(given) | _swapped_lens(given)
    best, words = _best(common, given, seen), _words(seen)
    explains = seen is None or best.share > MOSTLY  # of depth that hardly overlaps, little can agree
    return best if explains and best.share > _agreement(given, seen)[0] + words.clearly else None


def _words(seen: SeenPoints | None) -> Words:
    return DEPTH if seen is None else TRACKS if seen.world is None else POINTS


def _best(mended: dict[str, Geometry], given: Geometry, seen: SeenPoints | None) -> Mistake:
    found = [Mistake(text, _agreement(other, seen)[0], other) for text, other in mended.items()]
    return max(found, key=lambda mistake: mistake.share)


def _agreement(given: Geometry, seen: SeenPoints | None) -> tuple[float, float]:
    """Share of what was tried that agrees; share that could."""
    return _matching(given) if seen is None else (points_that_fit(given, seen), 1.0)


def points_that_fit(given: Geometry, seen: SeenPoints) -> float:
    """Share of the sightings that lie where the point projects, or can if only sightings are known."""
    counted = seen.visibility
    if seen.world is None:
        counted = counted & (counted.sum(0) > 1)  # one sighting can always be that of a point
    # Close rays meet anywhere, even behind the cameras: what fits a point at infinity is no contradiction
    worlds = [places(given, seen)] + ([places(given, seen, far=True)] if seen.world is None else [])
    fits = torch.stack([_sightings_that_fit(given, seen, world) & counted for world in worlds])  # (…, S, N)
    return fits.sum(1).amax(0).sum().item() / max(counted.sum().item(), 1)


def _sightings_that_fit(given: Geometry, seen: SeenPoints, world: Tensor) -> Tensor:
    """(S, N) bool."""
    pixels, z = project_points(world, given.cam_from_world, given.intrinsics)  # (S, N, 2), (S, N)
    off = (pixels - seen.tracks).norm(dim=-1) / seen.widths[:, None]
    return (off < CLOSE) & (z > 0)


def places(given: Geometry, seen: SeenPoints, far: bool = False) -> Tensor:
    """Where the points are, (N, 3) world: as stated, or as these cameras triangulate them."""
    if seen.world is not None:
        return seen.world
    return triangulate(seen.tracks, seen.visibility, given.cam_from_world, given.intrinsics, far)


def _other_poses(given: Geometry) -> dict[str, Geometry]:
    """What the cameras may be taken for by mistake → the scene if that is what they are."""
    cameras, inverted = given.cam_from_world, invert_rigid(given.cam_from_world)[:, :3]
    flip = torch.tensor([1.0, -1.0, -1.0])[:, None]  # OpenGL's camera looks along −z with y up
    poses = {
        "the matrices are world_from_cam: invert them (geometry.invert_rigid).": inverted,
        "the camera axes are OpenGL's: negate the second and third row.": flip * cameras,
        'the matrices are OpenGL\'s world_from_cam: use convert_cameras(…, "opengl_world_from_cam", '
        '"opencv_cam_from_world").': flip * inverted,
    }
    return {text: given._replace(cam_from_world=cameras) for text, cameras in poses.items()}


def _other_units(given: Geometry) -> dict[str, Geometry]:
    rotation, shift = given.cam_from_world[..., :3], given.cam_from_world[..., 3:]
    units = {
        "depth is in thousandths of the translations' unit (mm and m?): divide it by 1000.": 1000,
        "translations are in thousandths of the depth's unit (mm and m?): divide them by 1000.": 0.001,
    }
    scaled = {text: torch.cat([rotation, shift * factor], dim=-1) for text, factor in units.items()}
    return {text: given._replace(cam_from_world=cameras) for text, cameras in scaled.items()}


def _along_the_ray(given: Geometry) -> dict[str, Geometry]:
    pairs = zip(given.depth, given.intrinsics, strict=True)
    ends = [unproject_depth(torch.ones_like(d), k, torch.eye(3, 4)) for d, k in pairs]  # z = 1
    z = [d / end.norm(dim=-1) for d, end in zip(given.depth, ends, strict=True)]
    text = "depth is the distance along the ray: divide by the length of each pixel's ray of z = 1."
    return {text: given._replace(depth=z)}


def _swapped_lens(given: Geometry) -> dict[str, Geometry]:
    k = given.intrinsics.clone()
    k[:, 0, 0], k[:, 1, 1] = given.intrinsics[:, 1, 1], given.intrinsics[:, 0, 0]
    return {"the two focal lengths are swapped: fx stands first.": given._replace(intrinsics=k)}


def _matching(given: Geometry) -> tuple[float, float]:
    """Share of one view's surface points that another view sees at the same depth; share that lands there."""
    cameras, intrinsics, depth = given
    agreed = tried = landed = 0
    able = views_with_depth(given)
    pairs = list(zip(able, able[1:], strict=False)) + [(able[0], other) for other in able[2:]]
    for i, j in pairs[:MAX_PAIRS]:
        seen = unproject_depth(depth[i], intrinsics[i], cameras[i])[depth[i] > 0]
        points = seen[:: max(1, len(seen) // SAMPLES)]
        pixels, z = project_points(points, cameras[j], intrinsics[j])
        height, width = depth[j].shape
        inside = (z > 0) & (pixels >= 0).all(-1) & (pixels < torch.tensor([width, height])).all(-1)
        column, row = pixels[inside].long().unbind(-1)
        there = depth[j][row, column]
        agreed += int(((z[inside] - there).abs() < CLOSE * there).sum())
        landed += int((there > 0).sum())
        tried += len(points)
    return agreed / max(tried, 1), landed / max(tried, 1)


def views_with_depth(given: Geometry) -> list[int]:
    """Those that have any: two at least are needed to judge by depth."""
    return [view for view, depth in enumerate(given.depth) if (depth > 0).any()]
