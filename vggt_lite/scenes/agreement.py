"""Do the views of a scene agree on where surfaces are? And if not: which mistake would explain it?

A surface seen in one view must land where the next view sees it. Wrong conventions fail that test in
typical ways, so common mistakes are tried out, and the one that explains the data is named.
"""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from vggt_lite.geometry import invert_rigid, project_points, unproject_depth

SAMPLES = 1000  # pixels tried per pair of views
CLOSE = 0.02  # what counts as agreement: share of the depth, or of the image's width
MAX_PAIRS = 16
CLEARLY = 0.1  # a mistake is named if without it so much more of the points agree


class Geometry(NamedTuple):
    """What is said of where surfaces are: S cameras, and what they see."""

    cam_from_world: Tensor  # (S, 3, 4)
    intrinsics: Tensor  # (S, 3, 3)
    depth: list[Tensor]  # S × (H, W); views may differ in size

    @classmethod
    def of(cls, cam_from_world: Tensor, intrinsics: Tensor, depth, masks) -> "Geometry":
        """From S arrays (H, W) of depth, or None, and S of masks, or None."""
        depth = [torch.from_numpy(d) for d in depth or []]
        if depth and masks is not None:
            depth = [d * torch.from_numpy(m) for d, m in zip(depth, masks, strict=True)]
        return cls(cam_from_world, intrinsics, depth)


class SeenPoints(NamedTuple):
    """Points of a sparse model: N of them, seen in S views."""

    world: Tensor  # (N, 3)
    tracks: Tensor  # (S, N, 2) pixels (x, y) where they were seen
    visibility: Tensor  # (S, N) bool
    widths: Tensor  # (S,) of the pictures, pixels


class Mistake(NamedTuple):
    """A common mistake, and the scene without it."""

    text: str
    share: float  # of the points that agree without it
    mended: Geometry


def views_agree(path: Path, given: Geometry) -> list[str]:
    """[] if surfaces seen in one view lie where others see them, else what would explain it.

    Args:
        path: the file that holds the cameras, for the message.
        given: what the scene says; every view has depth.
    """
    share, landed = _matching(given)
    if mistake := likely_mistake(given):
        return [
            f"{path}: the views agree on {100 * share:.0f} % of their surface points as it is, on "
            f"{100 * mistake.share:.0f} % if {mistake.text}"
        ]
    if landed > 0.05 and share < 0.3 * landed:
        return [
            f"{path}: the views agree on {100 * share:.0f} % of their surface points. Check that "
            "depths and translations have one unit, and the order of the views."
        ]
    return []


def points_agree(path: Path, given: Geometry, seen: SeenPoints) -> list[str]:
    """[] if points lie where the views saw them, else what would explain it. Needs no depth.

    Args:
        path: the file that holds the cameras, for the message.
        given: S cameras; its depth is not looked at.
        seen: the points, and where the views saw them.
    """
    share = points_that_fit(given, seen)
    text = f"{path}: {100 * share:.0f} % of the points lie where the views saw them"
    if mistake := likely_mistake(given, seen):
        return [f"{text} as it is, {100 * mistake.share:.0f} % if {mistake.text}"]
    if share < 0.5:
        return [f"{text}. Check that cameras and points are of one model, and the order of the views."]
    return []


def likely_mistake(given: Geometry, seen: SeenPoints | None = None) -> Mistake | None:
    """The common mistake that explains the scene, if it clearly does.

    Args:
        given: what the scene says; without `seen`, every view has depth.
        seen: judge by these points instead of by depth.
    """

    def score(geometry: Geometry) -> float:
        return _matching(geometry)[0] if seen is None else points_that_fit(geometry, seen)

    found = [Mistake(text, score(mended), mended) for text, mended in _common_mistakes(given).items()]
    best = max(found, key=lambda mistake: mistake.share)
    return best if best.share > score(given) + CLEARLY else None


def points_that_fit(given: Geometry, seen: SeenPoints) -> float:
    """Share of the sightings that lie where the point projects."""
    pixels, z = project_points(seen.world, given.cam_from_world, given.intrinsics)  # (S, N, 2), (S, N)
    off = (pixels - seen.tracks).norm(dim=-1) / seen.widths[:, None]
    return ((off < CLOSE) & (z > 0))[seen.visibility].float().mean().item()


def _common_mistakes(given: Geometry) -> dict[str, Geometry]:
    """What people do to their data → what it would be without."""
    cameras, inverted = given.cam_from_world, invert_rigid(given.cam_from_world)[:, :3]
    flip = torch.tensor([1.0, -1.0, -1.0])[:, None]  # OpenGL's camera looks along −z with y up

    def scaled(factor: float) -> Tensor:
        return torch.cat([cameras[..., :3], cameras[..., 3:] * factor], dim=-1)

    poses = {
        "the matrices are world_from_cam: invert them (geometry.invert_rigid).": inverted,
        "the camera axes are OpenGL's: negate the second and third row.": flip * cameras,
        'the matrices are OpenGL\'s world_from_cam: use convert_cameras(…, "opengl_world_from_cam", '
        '"opencv_cam_from_world").': flip * inverted,
        "depth is in thousandths of the translations' unit (mm and m?): divide it by 1000.": scaled(1000),
        "translations are in thousandths of the depth's unit (mm and m?): divide them by 1000.": scaled(
            0.001
        ),
    }
    mended = {text: given._replace(cam_from_world=cameras) for text, cameras in poses.items()}

    pairs = list(zip(given.depth, given.intrinsics[: len(given.depth)], strict=True))
    ends = [unproject_depth(torch.ones_like(d), k, torch.eye(3, 4)) for d, k in pairs]  # z = 1
    mended["depth is the distance along the ray: divide by the length of each pixel's ray of z = 1."] = (
        given._replace(depth=[d / end.norm(dim=-1) for d, end in zip(given.depth, ends, strict=True)])
    )
    swapped = given.intrinsics.clone()
    swapped[:, 0, 0], swapped[:, 1, 1] = given.intrinsics[:, 1, 1], given.intrinsics[:, 0, 0]
    mended["the two focal lengths are swapped: fx stands first."] = given._replace(intrinsics=swapped)
    return mended


def _matching(given: Geometry) -> tuple[float, float]:
    """Share of one view's surface points that another view sees at the same depth; share that lands."""
    cameras, intrinsics, depth = given
    agreed = tried = landed = 0
    pairs = [(i, i + 1) for i in range(len(depth) - 1)] + [(0, j) for j in range(2, len(depth))]
    for i, j in pairs[:MAX_PAIRS]:
        seen = unproject_depth(depth[i], intrinsics[i], cameras[i])[depth[i] > 0]
        points = seen[:: max(1, len(seen) // SAMPLES)]
        pixels, z = project_points(points, cameras[j], intrinsics[j])
        height, width = depth[j].shape
        inside = (z > 0) & (pixels >= 0).all(-1) & (pixels < torch.tensor([width, height])).all(-1)
        column, row = pixels[inside].long().unbind(-1)
        there = depth[j][row, column]
        agreed += int(((z[inside] - there).abs() < CLOSE * there).sum())
        landed += int(inside.sum())
        tried += len(points)
    return agreed / max(tried, 1), landed / max(tried, 1)
