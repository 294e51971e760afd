"""`check_scene`: what is wrong with a scene folder, said so that it can be repaired.

Beyond files and shapes it looks at the numbers, and where depth, points or tracks say where surfaces are it
asks the decisive question of `consistency_check.py`: do the views agree on that?
"""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from vggt_lite.data.consistency_check import CheckResult, judge
from vggt_lite.data.readers import open_scene
from vggt_lite.data.residuals import Geometry, SeenPoints, views_with_depth
from vggt_lite.data.scene_io import read_tracks
from vggt_lite.data.views import Views

BORDER = 0.05  # of the side; the lens of a picture twice as large has its principal point there
MAX_CHECKED = 48  # views of a scene of another program; of more, so many are looked at, evenly spaced
FEWEST_TRACKS = 8  # that two views saw: fewer say nothing about cameras


@dataclass
class RawScene:
    """What was read of a scene in any format. Without `views` it could not be read at all."""

    views: Views | None
    problems: list[str]  # met while reading
    pictures: list[Path | None] = field(default_factory=list)  # None: it cannot be opened
    depth: list[Tensor | None] = field(default_factory=list)  # S × (H, W), 0 where a mask does not trust it
    tracks: SeenPoints | None = None  # or the points of a sparse model
    tracks_file: Path | None = None
    text: str = "1 scene"  # what was looked at

    @classmethod
    def of(cls, path: str | Path) -> "RawScene":
        """What can be read of a scene in any format: pictures, depth and tracks are opened."""
        try:
            views = open_scene(path)
        except (ValueError, FileNotFoundError) as error:
            return cls(None, [str(error)])
        if own := views.format == "scene folder":
            raw = cls(views, [])
        else:
            count, views = len(views), views.choose(min(len(views), MAX_CHECKED))
            limited = f"; looked at {MAX_CHECKED} of {count}" if count > MAX_CHECKED else ""
            raw = cls(views, [], text=f"{views}{limited}")
        for view in views.views:
            picture = depth = None
            try:
                view.open_image()
                picture = view.image
                if view.depth:
                    values, trusted = view.depth_in()
                    depth = values * trusted
            except (ValueError, FileNotFoundError) as error:
                raw.problems.append(str(error))
            raw.pictures.append(picture)
            raw.depth.append(depth)
        widths = torch.tensor([view.size[1] for view in views.views])
        try:
            if views.points is not None:
                tracks, seen, world = views.tracks()
                raw.tracks, raw.tracks_file = SeenPoints(world, tracks, seen, widths), views.points.file
            elif own and (stored := read_tracks(views.cameras_file.parent, len(views))):
                raw.tracks = SeenPoints(None, *stored, widths)
                raw.tracks_file = views.cameras_file.with_name("tracks.npz")
        except ValueError as error:
            raw.problems.append(str(error))
        return raw

    def geometry(self) -> Geometry:
        """Cameras, and trusted depth of the views that have it, float32."""
        pairs = zip(self.depth, self.views.views, strict=True)
        depth = [torch.zeros(view.size) if values is None else values for values, view in pairs]
        return Geometry(self.views.cam_from_world.float(), self.views.intrinsics.float(), depth)

    def seen_points(self) -> SeenPoints | None:
        """The points of a sparse model, or tracks, and where the views saw them; None if they are few."""
        few = self.tracks is None or int((self.tracks.visibility.sum(0) > 1).sum()) < FEWEST_TRACKS
        return None if few else self.tracks


def check_scene(folder: str | Path) -> list[str]:
    """All that is wrong with a scene in any format, each naming a file and a cure; [] if all is well."""
    return examine(RawScene.of(folder)).problems


def examine(raw: RawScene) -> CheckResult:
    """What is wrong, and what could not be told. Conventions are looked at if nothing else is wrong."""
    problems = list(raw.problems)
    if raw.views is not None:
        problems += _cameras(raw.views) + _depths(raw) + _tracks(raw)
    return CheckResult(problems, [], []) if problems else _conventions(raw)


def _conventions(raw: RawScene) -> CheckResult:
    """What depth says of the cameras; what the points of a sparse model say; else what tracks say."""
    path, geometry, seen = raw.views.cameras_file, raw.geometry(), raw.seen_points()
    results = [judge(path, geometry)] if len(views_with_depth(geometry)) > 1 else []
    if seen is not None and (seen.world is not None or not results or results[0].notes):
        results.append(judge(path, geometry, seen))
    if not results:
        note = (
            f"{path}: conventions were not checked: no depth, points or tracks say where surfaces are (it "
            f"takes depth in two views, or {FEWEST_TRACKS} tracks)."
        )
        return CheckResult([], [note], [])
    problems, notes, measured = (sum(lists, []) for lists in list(zip(*results, strict=True))[:3])
    if problems or not all(result.notes for result in results):
        notes = []  # something could tell
    mistake = next((result.mistake for result in results if result.mistake), None)
    return CheckResult(problems, notes, [] if problems else measured, mistake)


def _cameras(views: Views) -> list[str]:
    found = []
    for number, (view, name) in enumerate(zip(views.views, views.names, strict=True)):
        where = f"{views.cameras_file}: view {number} ({name})"
        camera, k = view.cam_from_world, view.intrinsics
        rotation = camera[:, :3]
        off = (rotation @ rotation.T - torch.eye(3)).abs().max().item()
        if off > 1e-3:
            found.append(
                f"{where}: its rotation is not orthonormal (off by {off:.2g}). Take the nearest rotation "
                "(U Vᵀ of its SVD); a scale belongs into depth and translation."
            )
        elif torch.linalg.det(rotation) < 0:
            found.append(f"{where}: its rotation mirrors (determinant −1). Flip one axis of the source data.")
        found += [f"{where}: {text}" for text in _lens(k.float(), view.size)]
    return found


def _lens(k: Tensor, size: tuple[int, int]) -> list[str]:
    found = []
    if (k[2] - torch.tensor([0.0, 0.0, 1.0])).abs().max() > 1e-6 or k[1, 0] != 0:
        found.append("intrinsics must be [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]; are they transposed?")
    if not all(BORDER <= k[axis, 2] / size[1 - axis] <= 1 - BORDER for axis in (0, 1)):
        found.append(
            f"principal point ({k[0, 2]:g}, {k[1, 2]:g}) lies outside the image, {size[1]}×{size[0]} pixels, "
            "or at its border. Intrinsics must be in pixels of these images: scale them as the images were."
        )
    return found


def _depths(raw: RawScene) -> list[str]:
    found = []
    for view, depth in zip(raw.views.views, raw.depth, strict=True):
        if depth is None:
            continue
        if bad := int((~depth.isfinite()).sum()):
            found.append(f"{view.depth.file}: {bad} values are not finite. Write 0 where there is no depth.")
        if negative := int((depth < 0).sum()):
            found.append(
                f"{view.depth.file}: {negative} values are negative. Depth is z in front of the camera: flip "
                "the sign if the source looks along −z, and write 0 where there is none."
            )
        elif not (depth > 0).any():
            found.append(f"{view.depth.file}: holds no depth at all. Remove all depth if there is none.")
    return found


def _tracks(raw: RawScene) -> list[str]:
    if raw.tracks is None:
        return []
    seen = raw.tracks.visibility
    visible = raw.tracks.tracks[seen]  # (M, 2)
    if not visible.isfinite().all():
        return [f"{raw.tracks_file}: some visible positions are not finite. Mark them invisible."]
    sizes = torch.tensor([view.size for view in raw.views.views]).flip(-1)  # (S, 2) width, height
    limit = sizes[:, None].expand(*seen.shape, 2)[seen]  # (M, 2)
    outside = int((~((visible >= 0) & (visible <= limit)).all(-1)).sum())
    if not outside:
        return []
    width, height = sizes[0].tolist()
    return [
        f"{raw.tracks_file}: {outside} of {len(visible)} visible positions lie outside the image. Tracks are "
        f"(x, y) in pixels of these images, {width}×{height}; mark what leaves the image invisible."
    ]
