"""From any format that is read here to a `SceneBatch` and a scene folder; and the check of what was read."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from vggt_lite.data.folder import write_scene
from vggt_lite.data.pixel_map import PixelMap
from vggt_lite.data.readers.formats import open_scene
from vggt_lite.data.readers.views import View, Views, whole
from vggt_lite.data.scene_check import Readings, check_readings
from vggt_lite.geometry import unproject_depth
from vggt_lite.losses.scene_batch import SceneBatch

Which = int | slice | Sequence[int] | None
MAX_CHECKED = 48  # views


def import_scene(
    source: str | Path,
    folder: str | Path,
    size: int | tuple[int, int] | None = None,
    views: Which = None,
    overwrite: bool = False,
) -> Path:
    """Write a scene of any format that is read here as a scene folder of this package.

    Args:
        source: what `open_scene` takes.
        folder: a new or empty folder, or with `overwrite` one that holds a scene already.
        size: (H, W) of all views, one number for squares, or None: as they are; see `to_batch`.
        views: so many, evenly spaced; a slice; given numbers; or all.

    Raises:
        FileExistsError, FileNotFoundError, ValueError: naming the file and what to do about it.
    """
    chosen = open_scene(source).choose(views)
    about = {"units": chosen.units, "source": chosen.source, "license": chosen.license}
    return write_scene(folder, to_batch(chosen, size), names=chosen.names, overwrite=overwrite, **about)


def to_batch(
    views: Views, size: int | tuple[int, int] | None = None, zooms: Sequence[float] | None = None
) -> SceneBatch:
    """All views at one size, with B = 1; intrinsics, depth and tracks follow exactly.

    VGGT's cameras have their principal point in the middle. So the largest part of each picture that has
    the shape of `size` and the principal point in its middle is cut out and scaled.

    Args:
        views: what a reader returned.
        size: (H, W), one number for squares, or None: the pictures as they are, principal points too.
        zooms: one per view, with `size`: 1.25 cuts out 0.8 of what could be kept of each side.
    """
    if size is not None:
        size = (size, size) if isinstance(size, int) else tuple(size)
        zooms = [1.0] * len(views) if zooms is None else zooms
        windows = [centered_window(*both, size) for both in zip(views.views, zooms, strict=True)]
    else:
        windows = [whole(view.size) for view in views.views]
        if len(sizes := sorted({view.size for view in views.views})) > 1:
            found = ", ".join(f"{w}×{h}" for h, w in sizes)
            raise ValueError(
                f"the pictures differ in size ({found}): say to which they shall be cut, as size=224."
            )
    both = list(zip(views.views, windows, strict=True))
    images = torch.from_numpy(np.stack([_cut(view, window) for view, window in both]))
    depth = torch.stack([_depth(view, window) for view, window in both])
    cameras = views.cam_from_world.float()
    k = torch.stack([window.intrinsics_to_network(view.intrinsics) for view, window in both]).float()
    scene = {
        "images": images.permute(0, 3, 1, 2).contiguous().float() / 255,
        "depth": depth,
        "cam_from_world": cameras,
        "intrinsics": k,
        "point_map": unproject_depth(depth, k, cameras),
        "valid": depth > 0,
    }
    if views.points is not None:
        tracks, seen, _ = views.tracks()
        tracks = torch.stack([window.to_network(t) for window, t in zip(windows, tracks, strict=True)])
        limit = torch.tensor(depth.shape[:0:-1])  # (W, H)
        seen = seen & ((tracks >= 0) & (tracks <= limit)).all(-1)
        kept = seen.sum(0) > 1  # cutting may leave a point to one view
        if kept.any():
            scene |= {"tracks": tracks[:, kept], "track_visibility": seen[:, kept]}
    return SceneBatch(**{name: value[None] for name, value in scene.items()})


def centered_window(view: View, zoom: float, size: tuple[int, int]) -> PixelMap:
    """The largest window of a picture shaped as `size` (H, W) with the principal point in its middle.

    A `zoom` above 1 cuts out as much less, which gives a longer lens.
    """
    (height, width), (h, w) = view.size, size
    cx, cy = view.intrinsics[0, 2].item(), view.intrinsics[1, 2].item()
    across, down = 2 * min(cx, width - cx), 2 * min(cy, height - cy)  # what lies evenly around the centre
    if min(h, w) < 1 or across < 4 or down < 4:
        raise ValueError(
            f"{view.image}, {width}×{height}, cannot be cut to {w}×{h} around its principal point "
            f"({cx:g}, {cy:g}): see what `vggt-lite check-data` says of its intrinsics."
        )
    scale = zoom * max(w / across, h / down)
    return PixelMap(view.size, size, (scale, scale), (w / 2 - cx * scale, h / 2 - cy * scale))


def check_views(views: Views, most: int = MAX_CHECKED) -> list[str]:
    """The questions of `check_scene`, put to views of another format; [] if all is well.

    Args:
        views: what a reader returned; of more than `most`, so many evenly spaced are looked at.
    """
    return check_readings(readings_of_views(views, most))


def readings_of_views(views: Views, most: int = MAX_CHECKED) -> Readings:
    """What `check_readings` asks for; arguments as for `check_views`."""
    views = views.choose(min(len(views), most))
    problems, pictures, depth = [], [], []
    for view in views.views:
        pictures.append(None)
        depth.append(None)
        try:
            view.open_image()
            pictures[-1] = view.image
            depth[-1] = view.depth_in(whole(view.size)).numpy() if view.read_depth else None
        except (ValueError, FileNotFoundError) as error:
            problems.append(str(error))
    tracks = seen = points = None
    if views.points is not None:
        tracks, seen, points = views.tracks()
    return Readings(
        problems, views.names, pictures, [view.size for view in views.views], views.cameras_file,
        views.cam_from_world.float(), views.intrinsics.float(),
        depth_files=[view.depth_file for view in views.views],
        depth=depth if any(view.read_depth for view in views.views) else None,
        tracks_file=views.points.file if views.points else None,
        tracks=tracks, visibility=seen, points=points,
    )  # fmt: skip


def _cut(view: View, window: PixelMap) -> np.ndarray:
    """(H, W, 3) uint8 of the picture's window."""
    picture = view.open_image()
    (h, w), (sx, sy), (ox, oy) = window.network_size, window.scale, window.offset
    left, top, right, bottom = -ox / sx, -oy / sy, (w - ox) / sx, (h - oy) / sy
    box = (max(left, 0.0), max(top, 0.0), min(right, picture.width), min(bottom, picture.height))  # rounding
    return np.asarray(picture.resize((w, h), Image.Resampling.BICUBIC, box=box))


def _depth(view: View, window: PixelMap) -> torch.Tensor:
    if view.read_depth is None:
        return torch.zeros(window.network_size)
    return view.depth_in(window).nan_to_num(0.0, 0.0, 0.0)
