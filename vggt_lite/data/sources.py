"""What the user gave → a list of `Photo`s, in order and with names. Nothing is decoded here."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageSequence
from torch import Tensor

from vggt_lite.data.decode import to_rgb

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".ppm", ".pgm", ".jp2"}
VIDEO_SUFFIXES = {".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv"}


@dataclass(frozen=True)
class Photo:
    """A picture that can be opened when it is needed; a file is read again each time."""

    name: str  # unique among its neighbours; a file's name where there is a file
    label: str  # how errors call it
    source: object  # path, PIL image, array or tensor: what `to_rgb` takes

    def open(self) -> Image.Image:
        """The upright picture at full size, 8-bit RGB."""
        return to_rgb(self.source, self.label)


def find_photos(source) -> list[Photo]:
    """One `Photo` per view.

    Args:
        source: a folder (pictures in natural order: 2.jpg before 10.jpg), a file, an animated GIF (its
            frames), a PIL image, an array or tensor (one picture, or a stack of them), or a list that
            mixes any of these single pictures.

    Raises:
        FileNotFoundError, ValueError: nothing there, or nothing usable; the message names it.
    """
    if isinstance(source, (str, Path)):
        return _from_path(Path(source).expanduser())
    if isinstance(source, (np.ndarray, Tensor)):
        items = list(source) if source.ndim == 4 else [source]
    elif isinstance(source, Image.Image):
        items = [source]
    elif isinstance(source, (dict, set)) or not hasattr(source, "__iter__"):
        raise ValueError(
            f"cannot read pictures from a {type(source).__name__}: give a folder, a file, a PIL image, an "
            "array, or a list of these."
        )
    else:
        items = list(source)
    if not items:
        raise ValueError("the list of pictures is empty: give at least one picture.")
    return _name_apart([_photo(item, number) for number, item in enumerate(items)])


def natural_order(path: Path) -> list:
    """A sort key under which view2.jpg comes before view10.jpg, whatever the case of its letters."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part)
            for part in re.split(r"(\d+)", path.name.lower())]  # fmt: skip


def list_images(folder: Path) -> list[Path]:
    """The pictures directly inside a folder, in natural order; hidden files are not pictures."""
    files = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file()]
    return sorted((p for p in files if not p.name.startswith(".")), key=natural_order)


def _from_path(path: Path) -> list[Photo]:
    if path.is_dir():
        files = list_images(path)
        if not files:
            raise ValueError(f"the folder {path} holds no pictures.{_what_is_there(path)}")
        return _name_apart([_photo(file, number) for number, file in enumerate(files)])
    if path.suffix.lower() in VIDEO_SUFFIXES:
        raise ValueError(
            f"{path} is a video. Turn it into pictures first, for example two a second with "
            f"`ffmpeg -i {path.name} -vf fps=2 frames/%04d.png`, and give the folder `frames`."
        )
    if path.suffix.lower() == ".gif" and path.is_file():
        return _gif_frames(path)
    return [_photo(path, 0)]


def _gif_frames(path: Path) -> list[Photo]:
    label, frames = str(path), []
    try:
        with Image.open(path) as film:
            frames = [frame.convert("RGBA") for frame in ImageSequence.Iterator(film)]
    except Exception:  # noqa: S110 - opened again as a single picture, which explains what is wrong
        pass
    if len(frames) < 2:
        return [_photo(path, 0)]
    return [
        Photo(f"{path.stem}_{number:03d}", f"frame {number} of {label}", frame)
        for number, frame in enumerate(frames)
    ]


def _photo(item, number: int) -> Photo:
    if isinstance(item, (str, Path)):
        return Photo(Path(item).name, str(item), item)
    file = getattr(item, "filename", "")
    name = Path(file).name if isinstance(file, (str, Path)) and file else f"view_{number:03d}"
    return Photo(name, f"image {number} ({file or type(item).__name__})", item)


def _name_apart(photos: list[Photo]) -> list[Photo]:
    """Give photographs that share a name a number in front, since results are filed by name."""
    counts = Counter(photo.name for photo in photos)
    return [
        photo if counts[photo.name] == 1 else Photo(f"{number:03d}_{photo.name}", photo.label, photo.source)
        for number, photo in enumerate(photos)
    ]


def _what_is_there(folder: Path) -> str:
    for inner in sorted(p for p in folder.iterdir() if p.is_dir()):
        if found := len(list_images(inner)):
            return f" {inner} has {found}: did you mean that one?"
    if any(p.suffix.lower() in (".heic", ".heif") for p in folder.iterdir()):
        return " Pillow cannot read its HEIC files: export them as JPEG."
    if any(p.suffix.lower() in VIDEO_SUFFIXES for p in folder.iterdir()):
        return " It holds a video: extract frames first (ffmpeg -i VIDEO -vf fps=2 frames/%04d.png)."
    return f" Readable suffixes: {', '.join(sorted(IMAGE_SUFFIXES))}."
