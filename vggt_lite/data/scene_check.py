"""`check_scene`: what is wrong with a scene folder, said so that it can be repaired.

Beyond files and shapes it looks at the numbers, and where depth, points or tracks say where surfaces are it
asks the decisive question of `consistency_check.py`: do the views agree on that?
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vggt_lite.data.consistency_check import CheckResult, judge
from vggt_lite.data.readers import open_scene
from vggt_lite.data.residuals import Geometry, SeenPoints, views_with_depth
from vggt_lite.data.scene_io import read_tracks
from vggt_lite.data.views import Views, whole

BORDER = 0.05  # of the side; the lens of a picture twice as large has its principal point there
MAX_CHECKED = 48  # views of a scene of another program; of more, so many are looked at, evenly spaced
FEWEST_TRACKS = 8  # that two views saw: fewer say nothing about cameras


@dataclass
class RawScene:
    """What was read of a scene in any format, and which file says so. None is what is not there."""

    problems: list[str]  # met while reading
    names: list[str]
    pictures: list[Path | None]  # None: it cannot be opened
    sizes: list[tuple[int, int]]  # (H, W) of each picture, or [] if unknown
    cameras_file: Path
    cam_from_world: Tensor | None  # (S, 3, 4)
    intrinsics: Tensor | None  # (S, 3, 3) pixels
    depth_files: list[Path] | None = None
    depth: list[np.ndarray | None] | None = None  # S × (H, W), 0 where a mask does not trust it
    tracks_file: Path | None = None
    tracks: Tensor | None = None  # (S, N, 2) pixels
    visibility: Tensor | None = None  # (S, N) bool
    points: Tensor | None = None  # (N, 3) world: what the tracks are tracks of
    text: str = "1 scene"  # what was looked at

    def geometry(self) -> Geometry:
        """Cameras, and trusted depth of the views that have it."""
        depth = [torch.zeros(size) for size in self.sizes]
        for view, values in enumerate(self.depth or []):
            if values is not None:
                depth[view] = torch.from_numpy(values)
        return Geometry(self.cam_from_world, self.intrinsics, depth)

    def seen_points(self) -> SeenPoints | None:
        """The points of a sparse model, or tracks, and where the views saw them; None if they are few."""
        if self.tracks is None or int((self.visibility.sum(0) > 1).sum()) < FEWEST_TRACKS:
            return None
        widths = torch.tensor(self.sizes)[:, 1]
        return SeenPoints(self.points, self.tracks, self.visibility, widths)

    @classmethod
    def of(cls, path: str | Path) -> "RawScene":
        """What can be read of a scene in any format."""
        try:
            return cls.of_views(open_scene(path))
        except (ValueError, FileNotFoundError) as error:
            return cls([str(error)], [], [], [], Path(path), None, None)

    @classmethod
    def of_views(cls, views: Views) -> "RawScene":
        """What a reader returned, pictures and depth opened, and the tracks of a scene folder."""
        count, text = len(views), cls.text
        if own := views.format == "scene folder":
            folder = views.cameras_file.parent
        else:
            views = views.choose(min(count, MAX_CHECKED))
            text = f"{views}" + (f"; looked at {MAX_CHECKED} of {count}" if count > MAX_CHECKED else "")
        problems, pictures, depth = [], [None] * len(views), [None] * len(views)
        for number, view in enumerate(views.views):
            try:
                view.open_image()
                pictures[number] = view.image
                if view.depth:
                    values, trusted = view.depth_in(whole(view.size))
                    depth[number] = (values * trusted).numpy()
            except (ValueError, FileNotFoundError) as error:
                problems.append(str(error))
        tracks_file = tracks = seen = points = None
        if views.points is not None:
            tracks_file, (tracks, seen, points) = views.points.file, views.tracks()
        elif own:
            try:
                tracks_file, (tracks, seen) = (
                    folder / "tracks.npz",
                    read_tracks(folder, count) or (None, None),
                )
            except ValueError as error:
                problems.append(str(error))
        return cls(
            problems, views.names, pictures, [view.size for view in views.views], views.cameras_file,
            views.cam_from_world.float(), views.intrinsics.float(),
            [view.depth and view.depth.file for view in views.views],
            depth if any(view.depth for view in views.views) else None,
            tracks_file, tracks, seen, points, text,
        )  # fmt: skip


def check_scene(folder: str | Path) -> list[str]:
    """All that is wrong with a scene in any format, each naming a file and a cure; [] if all is well."""
    return check_raw_scene(RawScene.of(folder))


def check_raw_scene(parts: RawScene) -> list[str]:
    """The questions of `check_scene`, put to what was read of a scene in whatever format."""
    return examine(parts).problems


def examine(parts: RawScene) -> CheckResult:
    """What is wrong, and what could not be told. Conventions are looked at if nothing else is wrong."""
    problems = list(parts.problems)
    if parts.cam_from_world is not None:
        problems += _cameras(parts)
    if parts.depth is not None:
        problems += _depths(parts)
    if parts.tracks is not None and parts.sizes:
        problems += _tracks(parts)
    if problems or parts.cam_from_world is None:
        return CheckResult(problems, [], [])
    return _conventions(parts)


def _conventions(parts: RawScene) -> CheckResult:
    """What depth says of the cameras; what the points of a sparse model say; else what tracks say."""
    path, geometry, seen = parts.cameras_file, parts.geometry(), parts.seen_points()
    results = [judge(path, geometry)] if len(views_with_depth(geometry)) > 1 else []
    if seen is not None and (seen.world is not None or not results or results[0].notes):
        results.append(judge(path, geometry, seen))
    if not results:
        note = (
            f"{path}: conventions were not checked: no depth, points or tracks say where surfaces are (it "
            f"takes depth in two views, or {FEWEST_TRACKS} tracks)."
        )
        return CheckResult([], [note], [])
    problems = [problem for result in results for problem in result.problems]
    notes = [note for result in results for note in result.notes]
    measured = [text for result in results for text in result.measured]
    if problems or not all(result.notes for result in results):
        notes = []  # something could tell
    mistake = next((result.mistake for result in results if result.mistake), None)
    return CheckResult(problems, notes, [] if problems else measured, mistake)


def _cameras(parts: RawScene) -> list[str]:
    path, found = parts.cameras_file, []
    for view, (camera, k) in enumerate(zip(parts.cam_from_world, parts.intrinsics, strict=True)):
        where = f"{path}: view {view} ({parts.names[view] if parts.names else '?'})"
        if not camera.isfinite().all() or not k.isfinite().all():
            found.append(f"{where} has numbers that are not finite: leave the view out.")
            continue
        rotation = camera[:, :3]
        off = (rotation @ rotation.T - torch.eye(3)).abs().max().item()
        if off > 1e-3:
            found.append(
                f"{where}: its rotation is not orthonormal (off by {off:.2g}). Take the nearest rotation "
                "(U Vᵀ of its SVD); a scale belongs into depth and translation."
            )
        elif torch.linalg.det(rotation) < 0:
            found.append(f"{where}: its rotation mirrors (determinant −1). Flip one axis of the source data.")
        found += [f"{where}: {text}" for text in _lens(k, parts.sizes[view] if parts.sizes else None)]
    return found


def _lens(k: Tensor, size: tuple[int, int] | None) -> list[str]:
    found = []
    if k[0, 0] <= 0 or k[1, 1] <= 0:
        found.append(f"focal lengths {k[0, 0]:g}, {k[1, 1]:g} must be positive pixels.")
    if (k[2] - torch.tensor([0.0, 0.0, 1.0])).abs().max() > 1e-6 or k[1, 0] != 0:
        found.append("intrinsics must be [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]; are they transposed?")
    if size is not None and not all(BORDER <= k[axis, 2] / size[1 - axis] <= 1 - BORDER for axis in (0, 1)):
        found.append(
            f"principal point ({k[0, 2]:g}, {k[1, 2]:g}) lies outside the image, {size[1]}×{size[0]} pixels, "
            "or at its border. Intrinsics must be in pixels of these images: scale them if the images were "
            "resized."
        )
    return found


def _depths(parts: RawScene) -> list[str]:
    found = []
    for path, depth in zip(parts.depth_files, parts.depth, strict=True):
        if depth is None:
            continue
        depth = torch.from_numpy(depth)
        if bad := int((~depth.isfinite()).sum()):
            found.append(f"{path}: {bad} values are not finite. Write 0 where there is no depth.")
        if negative := int((depth < 0).sum()):
            found.append(
                f"{path}: {negative} values are negative. Depth is z in front of the camera: flip the sign "
                "if the source looks along −z, and write 0 where there is none."
            )
        elif not (depth > 0).any():
            found.append(f"{path}: holds no depth at all. Remove the folder depths if there is none.")
    return found


def _tracks(parts: RawScene) -> list[str]:
    path, (height, width) = parts.tracks_file, parts.sizes[0]
    visible = parts.tracks[parts.visibility]  # (M, 2)
    if not visible.isfinite().all():
        return [f"{path}: some visible positions are not finite. Mark them invisible."]
    limit = torch.tensor(parts.sizes).flip(-1)[:, None].expand(parts.tracks.shape)[parts.visibility]  # (M, 2)
    outside = int((~((visible >= 0) & (visible <= limit)).all(-1)).sum())
    if not outside:
        return []
    return [
        f"{path}: {outside} of {len(visible)} visible positions lie outside the image. Tracks are (x, y) in "
        f"pixels of these images, {width}×{height}; mark what leaves the image invisible."
    ]
