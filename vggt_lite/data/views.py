"""`Views`: one scene of any format, cameras ours, pictures and depth still on disk; `to_batch` reads them."""

import math
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import ExifTags, Image
from torch import Tensor

from vggt_lite.config import MAX_SIDE
from vggt_lite.data.pictures import open_picture, to_rgb
from vggt_lite.data.pixel_map import PixelMap
from vggt_lite.geometry import project_points, unproject_depth
from vggt_lite.losses.scene_batch import SceneBatch
from vggt_lite.utils.runtime import check_memory

MAX_TRACKS = 2048  # of a sparse model's points, those that most views see


class MapFile(NamedTuple):
    """A depth map or a mask on disk, and what reads it."""

    file: Path
    read: Callable[[Path], np.ndarray]  # → (h, w)


@dataclass(frozen=True)
class View:
    """One picture, its camera, and how to read what belongs to it."""

    image: Path
    size: tuple[int, int]  # (H, W) of the picture that `intrinsics` are for
    cam_from_world: Tensor  # (3, 4) float64, OpenCV axes
    intrinsics: Tensor  # (3, 3) float64, pixels of the picture, centres at +0.5
    depth: MapFile | None = None  # z in the unit of translations, 0 = none
    mask: MapFile | None = None  # True where depth may be trusted

    def __post_init__(self) -> None:
        if not all(0 < side < 1_000_000 for side in self.size):
            raise ValueError(f"{self.image}: its camera is for {self.size} pixels (H, W): write it again.")

    def camera_fault(self) -> str | None:
        """Why nothing can be computed with this camera in float32, if so."""
        camera, k = self.cam_from_world.float(), self.intrinsics.float()
        if not (camera.isfinite().all() and k.isfinite().all()):
            return "has numbers that are not finite"
        if k[0, 0] <= 0 or k[1, 1] <= 0:
            return f"has focal lengths {k[0, 0]:g}, {k[1, 1]:g}, which must be positive pixels"
        rows = F.normalize(camera[:, :3], dim=-1)
        if torch.linalg.det(rows).abs() < 1e-4:
            return "has no rotation, its matrix is singular"
        return None

    def open_image(self) -> Image.Image:
        """The picture, 8-bit RGB.

        Raises:
            FileNotFoundError, ValueError: it cannot be read, lies on its side by its EXIF tag, or is not of
                the size its camera is for.
        """
        picture = to_rgb(self.image, str(self.image))
        with open_picture(self.image) as file:
            if file.getexif().get(ExifTags.Base.Orientation, 1) != 1:
                raise ValueError(
                    f"{self.image}: carries an EXIF rotation, which most programs ignore: save it upright, "
                    "or only remove the tag if the cameras are for it as stored."
                )
        if (picture.height, picture.width) != self.size:
            found, (height, width) = f"{picture.width}×{picture.height} pixels", self.size
            told = f"its camera is for {width}×{height}: give the pictures that cameras were made from"
            raise ValueError(f"{self.image} is {found}, {told}.")
        return picture

    def depth_in(self, window: PixelMap | None = None) -> tuple[Tensor, Tensor]:
        """Depth (H, W) float32 on the pixels of `window`, and (H, W) bool, whether the mask trusts it.

        Each pixel takes the value at the place its centre falls on. Depth maps and masks may have fewer
        pixels than the picture. Without a depth map depth is 0; without a window it is the whole picture.
        """
        window = window or PixelMap(self.size, self.size)
        if self.depth is None:
            return torch.zeros(window.network_size), torch.zeros(window.network_size, dtype=torch.bool)
        depth = self._sampled(self.depth, window).float()
        trusted = torch.ones_like(depth).bool() if self.mask is None else self._sampled(self.mask, window)
        return depth, trusted

    def _sampled(self, stored: MapFile, window: PixelMap) -> Tensor:
        values = torch.from_numpy(np.ascontiguousarray(stored.read(stored.file)))  # (h, w)
        (h, w), (height, width) = values.shape, self.size
        if min(w, h) < 1 or abs(w * height - h * width) > max(
            height, width
        ):  # a pixel of rounding is no other shape
            shapes = f"{w}×{h} pixels, which is not the shape of its picture, {width}×{height}"
            raise ValueError(f"{stored.file} is {shapes}: cut both alike.")
        return sample(values, window)


@dataclass(frozen=True)
class SparsePoints:
    """The points of a sparse model, and where each view saw some of them."""

    world: Tensor  # (N, 3) float64
    ids: list[Tensor]  # per view (M,): which points it saw
    pixels: list[Tensor]  # per view (M, 2) float64 (x, y)
    file: Path  # that holds the pixels


@dataclass(frozen=True)
class Views:
    """The views of one scene, read from somebody's format."""

    format: str
    views: list[View]
    cameras_file: Path
    points: SparsePoints | None = None
    units: str = "scene units"
    source: str = ""
    license: str = ""

    def __post_init__(self) -> None:
        """Raises: ValueError: a picture stands there twice, or a camera that nothing can be computed with."""
        counts = Counter(view.image for view in self.views)
        twice = next((image for image, count in counts.items() if count > 1), None)
        if twice is not None:
            raise ValueError(f"{self.cameras_file} names a picture twice, {twice}: leave one of the two out.")
        for number, view in enumerate(self.views):
            if fault := view.camera_fault():
                where = f"view {number} ({view.image.stem})"
                raise ValueError(f"{self.cameras_file}: {where} {fault}: leave the view out, or mend it.")

    def __len__(self) -> int:
        return len(self.views)

    def __repr__(self) -> str:
        depth = sum(view.depth is not None for view in self.views)
        points = f", {len(self.points.world)} points" if self.points else ""
        return f"Views({self.format}: {len(self)} views, {depth} with depth{points})"

    @property
    def names(self) -> list[str]:
        """One per view: its file's, without suffix; with its folders or a number where two would be alike."""
        files = [view.image.with_suffix("") for view in self.views]
        shared = Path(os.path.commonpath([file.parent for file in files]))
        stems = [file.name for file in files]
        paths = ["_".join(file.relative_to(shared).parts) for file in files]
        numbered = [f"{number:04d}_{stem}" for number, stem in enumerate(stems)]
        return next(names for names in (stems, paths, numbered) if len(set(names)) == len(files))

    @property
    def cam_from_world(self) -> Tensor:
        """(S, 3, 4) float64."""
        return torch.stack([view.cam_from_world for view in self.views])

    @property
    def intrinsics(self) -> Tensor:
        """(S, 3, 3) float64, pixels of each view's own picture."""
        return torch.stack([view.intrinsics for view in self.views])

    def choose(self, which: int | slice | Sequence[int] | None) -> "Views":
        """Some of the views: so many, evenly spaced; a slice; given numbers; or, with None, all.

        Raises:
            ValueError: none would be left, or there is no such view.
        """
        count = len(self)
        if which is None:
            return self
        if isinstance(which, slice):
            chosen = list(range(count))[which]
        elif isinstance(which, int):
            chosen = np.linspace(0, count - 1, min(max(which, 0), count)).round().astype(int).tolist()
        else:
            chosen = list(which)
        if not chosen or not all(-count <= index < count for index in chosen):
            raise ValueError(f"views={which} leaves none of the {count} views, or names others: try {count}.")
        if points := self.points:
            ids, pixels = [points.ids[i] for i in chosen], [points.pixels[i] for i in chosen]
            points = replace(points, ids=ids, pixels=pixels)
        return replace(self, views=[self.views[i] for i in chosen], points=points)

    def tracks(self, most: int = MAX_TRACKS) -> tuple[Tensor, Tensor, Tensor]:
        """The points that at least two views saw, the best-seen first.

        Returns:
            tracks (S, N, 2) in pixels of each view's picture: where it saw the point, else where the point
            projects; visibility (S, N) bool; points (N, 3) world. All float32, N at most `most`.
        """
        world, ids = self.points.world, self.points.ids
        seen = torch.zeros(len(self), len(world), dtype=torch.bool)
        for view, which in enumerate(ids):
            seen[view, which] = True
        times = seen.sum(0)
        order = times.argsort(descending=True, stable=True)[:most]
        order = order[times[order] > 1]
        tracks, _ = project_points(world[order], self.cam_from_world, self.intrinsics)  # (S, N, 2)
        place = torch.full((len(world),), -1)
        place[order] = torch.arange(len(order))
        for view, (which, pixels) in enumerate(zip(ids, self.points.pixels, strict=True)):
            kept = place[which] >= 0
            tracks[view, place[which][kept]] = pixels[kept]
        return tracks.nan_to_num(0.0).float(), seen[:, order], world[order].float()


def sample(values: Tensor, window: PixelMap) -> Tensor:
    """Values that cover a whole picture → the window of it that `window` leads to, without blending.

    Args:
        values: (h, w), any number of pixels for the whole original picture.
        window: how the picture is scaled and cut.

    Returns:
        (H, W) of the window: each pixel takes the value its centre falls in, 0 outside the picture.
    """
    (height, width), (h, w) = window.original_size, values.shape
    per_pixel = (w / width / window.scale[0], h / height / window.scale[1])  # values per pixel of the window
    offset = tuple(-o * s for o, s in zip(window.offset, per_pixel, strict=True))
    return PixelMap(window.network_size, (h, w), per_pixel, offset).resample(values)


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

    Raises:
        ValueError: naming every file that is missing, unreadable or of a wrong size.
    """
    if size is not None:
        size = (size, size) if isinstance(size, int) else tuple(size)
        if not all(1 <= side <= MAX_SIDE for side in size):
            raise ValueError(f"size={size} must be 1 to {MAX_SIDE} pixels a side, for example 224.")
        zooms = [1.0] * len(views) if zooms is None else zooms
        windows = [centered_window(*both, size) for both in zip(views.views, zooms, strict=True)]
    else:
        windows = [PixelMap(view.size, view.size) for view in views.views]
        if len(sizes := sorted({view.size for view in views.views})) > 1:
            found = ", ".join(f"{w}×{h}" for h, w in sizes)
            raise ValueError(f"the pictures differ in size ({found}): say a common one, as size=224.")
    check_memory(sum(32 * math.prod(window.network_size) for window in windows), f"{len(views)} views")
    read, lenses, problems = [], [], []
    for view, window in zip(views.views, windows, strict=True):
        lenses.append(window.intrinsics_to_network(view.intrinsics))
        try:
            read.append((_cut(view, window), *view.depth_in(window)))
        except (ValueError, FileNotFoundError) as error:
            problems.append(str(error))
    if problems:
        raise ValueError(f"this {views.format} cannot be read as a scene:\n" + "\n".join(problems))
    images, depth, trusted = (torch.stack(x) for x in zip(*read, strict=True))  # (S, H, W, 3), two (S, H, W)
    depth = depth.nan_to_num(0.0, 0.0, 0.0)
    cameras, k = views.cam_from_world.float(), torch.stack(lenses).float()
    colors = images.permute(0, 3, 1, 2).contiguous().float() / 255
    points = unproject_depth(depth, k, cameras)
    scene = SceneBatch(colors, depth, cameras, k, points, (depth > 0) & trusted)
    if views.points is not None:
        tracks, seen, _ = views.tracks()
        tracks = torch.stack([window.to_network(t) for window, t in zip(windows, tracks, strict=True)])
        limit = torch.tensor(depth.shape[:0:-1])  # (W, H)
        seen = seen & ((tracks >= 0) & (tracks <= limit)).all(-1)
        kept = seen.sum(0) > 1  # cutting may leave a point to one view
        if kept.any():
            scene.tracks, scene.track_visibility = tracks[:, kept], seen[:, kept]
    return scene.apply(lambda x: x[None])


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


def _cut(view: View, window: PixelMap) -> Tensor:
    """(H, W, 3) uint8 of the picture's window."""
    picture = view.open_image()
    (h, w), (sx, sy), (ox, oy) = window.network_size, window.scale, window.offset
    left, top, right, bottom = -ox / sx, -oy / sy, (w - ox) / sx, (h - oy) / sy
    box = (max(left, 0.0), max(top, 0.0), min(right, picture.width), min(bottom, picture.height))  # rounding
    return torch.from_numpy(np.array(picture.resize((w, h), Image.Resampling.BICUBIC, box=box)))
