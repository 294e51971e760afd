"""`Views`: what every reader returns. Cameras are ours; pictures and depth stay on disk, uncut."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import ExifTags, Image
from torch import Tensor

from vggt_lite.data.decode import to_rgb
from vggt_lite.data.pixel_map import PixelMap
from vggt_lite.geometry import project_points

MAX_TRACKS = 2048  # of a sparse model's points, those that most views see


@dataclass(frozen=True)
class View:
    """One picture, its camera, and how to read what belongs to it."""

    name: str  # plain and unique: names its files in a scene folder
    image: Path
    size: tuple[int, int]  # (H, W) of the picture that `intrinsics` are for
    cam_from_world: Tensor  # (3, 4) float64, OpenCV axes
    intrinsics: Tensor  # (3, 3) float64, pixels of the picture, centres at +0.5
    depth_file: Path | None = None
    read_depth: Callable[[Path], np.ndarray] | None = None  # → (h, w) z in the unit of translations, 0 = none
    mask_file: Path | None = None
    read_mask: Callable[[Path], np.ndarray] | None = None  # → (h, w) bool, True where depth may be trusted

    def __post_init__(self) -> None:
        if not all(0 < side < 1_000_000 for side in self.size):
            raise ValueError(
                f"{self.image}: a camera for {self.size[1]}×{self.size[0]} pixels cannot be: write it again."
            )

    def open_image(self) -> Image.Image:
        """The picture, 8-bit RGB.

        Raises:
            FileNotFoundError, ValueError: it cannot be read, lies on its side by its EXIF tag, or is not of
                the size its camera is for.
        """
        picture = to_rgb(self.image, str(self.image))
        with Image.open(self.image) as file:
            if file.getexif().get(ExifTags.Base.Orientation, 1) != 1:
                raise ValueError(
                    f"{self.image} carries an EXIF rotation, which most programs ignore when they find "
                    "cameras: remove the tag if the cameras are for the picture as stored."
                )
        if (picture.height, picture.width) != self.size:
            raise ValueError(
                f"{self.image} is {picture.width}×{picture.height} pixels, its camera is for "
                f"{self.size[1]}×{self.size[0]}: give the pictures that the cameras were made from."
            )
        return picture

    def depth_in(self, window: PixelMap) -> Tensor:
        """(H, W) float32 depth of the pixels of `window`, each that of the place its centre falls on.

        Where the mask says no, 0. Depth maps and masks may have fewer pixels than the picture.
        """
        depth = self._sampled(self.read_depth, self.depth_file, window).float()
        if self.read_mask is not None:
            depth = depth * self._sampled(self.read_mask, self.mask_file, window)
        return depth

    def _sampled(self, read: Callable[[Path], np.ndarray], path: Path, window: PixelMap) -> Tensor:
        values = torch.from_numpy(np.ascontiguousarray(read(path)))  # (h, w)
        (h, w), (height, width) = values.shape, self.size
        if abs(w * height - h * width) > max(height, width):  # a pixel of rounding is no other shape
            raise ValueError(
                f"{path} is {w}×{h} pixels, which has not the shape of its picture, {width}×{height}: "
                "cut both alike."
            )
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

    def __len__(self) -> int:
        return len(self.views)

    def __repr__(self) -> str:
        depth = sum(view.read_depth is not None for view in self.views)
        points = f", {len(self.points.world)} points" if self.points else ""
        return f"Views({self.format}: {len(self)} views, {depth} with depth{points})"

    @property
    def names(self) -> list[str]:
        return [view.name for view in self.views]

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
        if which is None or which == count:
            return self
        if isinstance(which, slice):
            chosen = list(range(count))[which]
        elif isinstance(which, int):
            chosen = (
                np.linspace(0, count - 1, min(which, count)).round().astype(int).tolist() if which > 0 else []
            )
        else:
            chosen = list(which)
        if not chosen or not all(-count <= index < count for index in chosen):
            raise ValueError(
                f"views={which} leaves none of the {count} views, or names others: try views={count}."
            )
        points = self.points
        if points is not None:
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


def whole(size: tuple[int, int]) -> PixelMap:
    """The map that changes nothing, for a picture of `size` (H, W)."""
    return PixelMap(size, size)
