"""What the user gave → `Photo`s, in order and with names, and each of them → an upright 8-bit RGB image.

Everything a network sees goes through `to_rgb`, so that a file, a PIL image, an array and a tensor
with the same content give the same pixels. Colour profiles are not applied.
"""

import difflib
import re
import struct
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, ImageSequence, UnidentifiedImageError
from torch import Tensor

from vggt_lite.config import FRAMES_PER_SECOND
from vggt_lite.data.video import VIDEO_SUFFIXES, video_frames

FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF", "PPM", "JPEG2000")  # Pillow may start no other
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".ppm", ".pgm", ".jp2"}
MIN_SIDE = 4  # pixels; anything smaller is a mistake, not a photograph
MOST_FRAMES = 2000  # of an animation, or pages of a TIFF
FILMS = {".gif", ".webp", ".tif", ".tiff", ".png"}  # may hold several pictures
ALL_FRAMES = "for all of them give the file by itself, not in a list or a folder"
SOURCES = "a path, a PIL image, an array (H, W, 3) or a tensor (3, H, W)"


@dataclass(frozen=True)
class Photo:
    """A picture that can be opened when it is needed; a file is read again each time."""

    name: str  # unique among its neighbours; a file's name where there is a file
    label: str  # how errors call it
    source: object  # path, PIL image, array or tensor: what `to_rgb` takes

    def open(self) -> Image.Image:
        """The upright picture at full size, 8-bit RGB."""
        return to_rgb(self.source, self.label)


def find_photos(source, frames_per_second: float = FRAMES_PER_SECOND) -> list[Photo]:
    """One `Photo` per view. Nothing is decoded here but videos.

    Args:
        source: a folder (pictures in natural order: 2.jpg before 10.jpg), a file (all the
            frames of an animation or pages of a TIFF; of a video its sharpest frames), a PIL image, an array
            or tensor (one picture, or a stack of them), or a list that mixes any of these single pictures.
        frames_per_second: how many frames of a video; see `video_frames`.

    Raises:
        FileNotFoundError, ValueError: nothing there, or nothing usable; the message names it.
    """
    if isinstance(source, (str, Path)):
        items = _inside(Path(source).expanduser(), frames_per_second)
    elif isinstance(source, Image.Image) or (isinstance(source, (np.ndarray, Tensor)) and source.ndim != 4):
        items = [source]
    elif isinstance(source, (dict, set)) or not hasattr(source, "__iter__"):
        kind = type(source).__name__
        raise ValueError(f"cannot read pictures from a {kind}: give a folder, {SOURCES}, or a list.")
    else:
        items = list(source)
    if not items:
        raise ValueError("the list of pictures is empty: give at least one picture.")
    photos = [_photo(item, number) for number, item in enumerate(items)]
    counts = Counter(photo.name for photo in photos)  # results are filed by name: the same one gets a number
    return [
        photo if counts[photo.name] == 1 else replace(photo, name=f"{number:03d}_{photo.name}")
        for number, photo in enumerate(photos)
    ]


def natural_order(path: Path) -> list:
    """A sort key under which view2.jpg comes before view10.jpg, whatever the case of its letters."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def list_images(folder: Path) -> list[Path]:
    """The pictures directly inside a folder, in natural order; hidden files are not pictures."""
    files = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file()]
    return sorted((p for p in files if not p.name.startswith(".")), key=natural_order)


def _inside(path: Path, frames_per_second: float) -> list[Path | Photo]:
    """The pictures that a path stands for."""
    if path.is_dir():
        if files := list_images(path):
            return files
        raise ValueError(f"the folder {path} holds no pictures.{_what_is_there(path)}")
    if path.suffix.lower() in VIDEO_SUFFIXES:
        frames = video_frames(path, frames_per_second)
        return [Photo(frame.name, f"{frame.name} of {path}", frame.image) for frame in frames]
    if not path.is_file() or path.suffix.lower() not in FILMS:
        return [path]  # opened later, which says what is wrong
    with open_picture(path) as film:
        if (count := frame_count(film)) < 2:
            return [path]
        if count > MOST_FRAMES or count * film.width * film.height > Image.MAX_IMAGE_PIXELS:
            unpacked = f"{count} pictures of {film.width}×{film.height} pixels"
            raise ValueError(f"{path} unpacks to {unpacked}: extract some as files, and give their folder.")
        with _damage(str(path)):
            frames = [frame.convert("RGBA") for frame in ImageSequence.Iterator(film)]
    return [Photo(f"{path.stem}_{n:03d}", f"frame {n} of {path}", frame) for n, frame in enumerate(frames)]


def _photo(item, number: int) -> Photo:
    if isinstance(item, Photo):
        return item
    if isinstance(item, (str, Path)):
        return Photo(Path(item).name, str(item), item)
    file = getattr(item, "filename", "")
    name = Path(file).name if isinstance(file, (str, Path)) and file else f"view_{number:03d}"
    return Photo(name, f"image {number} ({file or type(item).__name__})", item)


def _what_is_there(folder: Path) -> str:
    inner = sorted(folder.iterdir())
    for path in inner:
        if path.is_dir() and (found := len(list_images(path))):
            return f" {path} has {found}: did you mean that one?"
    suffixes = {path.suffix.lower() for path in inner}
    if suffixes & {".heic", ".heif"}:
        return " Pillow cannot read its HEIC files: export them as JPEG."
    if suffixes & VIDEO_SUFFIXES:
        return " It holds a video: give that file."
    return f" Readable suffixes: {', '.join(sorted(IMAGE_SUFFIXES))}."


def to_rgb(source, label: str) -> Image.Image:
    """The upright picture in 8-bit RGB.

    EXIF rotation is applied, transparency is laid over white, 16-bit values are scaled (not clipped).

    Args:
        source: a path, a PIL image, an array (H, W), (H, W, 1|3|4) or a tensor (1|3|4, H, W); integers
            use their type's whole range (uint8, uint16), floats lie in [0, 1].
        label: how errors name the picture.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it cannot be read as a picture.
    """
    try:
        if isinstance(source, (str, Path)):
            with open_picture(source, label) as image:
                return _upright_rgb(image, label)
        if isinstance(source, Tensor):
            source = _channels_last(source, label)
        if isinstance(source, np.ndarray):
            source = _from_array(source, label)
        if isinstance(source, Image.Image):
            return _upright_rgb(source, label)
    except MemoryError as error:
        raise ValueError(f"{label} does not fit into memory: shrink it.") from error
    raise ValueError(f"{label} is a {type(source).__name__}: give {SOURCES}.")


def open_picture(path: str | Path, label: str | None = None) -> Image.Image:
    """A picture's file, opened: its size is known, its pixels are not yet unpacked.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it is no photograph, or unpacks to too much.
    """
    path, label = Path(path).expanduser(), label or str(path)
    if path.is_dir():
        raise ValueError(f"{label} is a folder: pass it by itself, not in a list, or list its pictures.")
    if not path.exists():
        names = [p.name for p in path.parent.iterdir() if p.is_file()] if path.parent.is_dir() else []
        close = difflib.get_close_matches(path.name, names, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise FileNotFoundError(f"{label} does not exist (looked in {path.parent.resolve()}).{hint}")
    if not path.is_file():
        raise ValueError(f"{label} is a pipe or a device: give a file.")
    if path.stat().st_size == 0:
        raise ValueError(f"{label} is empty (0 bytes): copy or download it again.")
    try:
        with warnings.catch_warnings():
            # Pillow warns from 89 million pixels; phones make 200. It still refuses twice its limit.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            Image.init()  # FORMATS, too, are known only then
            return Image.open(path, formats=FORMATS)
    except UnidentifiedImageError as error:
        raise ValueError(f"{label} is not a picture Pillow can read: convert it to JPEG or PNG.") from error
    except Image.DecompressionBombError as error:
        raise ValueError(
            f"{label} unpacks to more pixels than is safe ({error}): shrink it, or raise "
            "PIL.Image.MAX_IMAGE_PIXELS if you trust it."
        ) from error
    except Exception as error:  # a broken header can raise almost anything
        raise ValueError(f"{label} cannot be opened ({error}): copy or export it again.") from error


def frame_count(image: Image.Image) -> int:
    """How many pictures a file holds; the second one of a phone's JPEG (MPO) is a preview, not counted."""
    try:
        return 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    except Exception:  # the file is damaged after its first picture
        return 1


@contextmanager
def _damage(label: str) -> Iterator[None]:
    """What goes wrong while pixels are unpacked is a ValueError that names the picture."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # truncated or damaged data: OSError, SyntaxError, struct.error, ...
        raise ValueError(f"{label} is damaged ({error}): copy it again, or save it as PNG.") from error


def _upright_rgb(image: Image.Image, label: str) -> Image.Image:
    _check_size(image.width, image.height, label)
    if (count := frame_count(image)) > 1:
        warnings.warn(f"{label} holds {count} pictures: only the first is taken; {ALL_FRAMES}.", stacklevel=3)
    with _damage(label):
        image.load()
        image = _upright(image, label)
        if not image.mode.startswith(("I", "F")):
            if image.has_transparency_data:
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            return image.convert("RGB")
    values = np.asarray(image)
    if values.dtype.kind == "i":  # mode "I" has 32 bits, but is how some versions open 16-bit PNGs
        if values.min() < 0 or values.max() > 65535:
            raise ValueError(f"{label} has 32-bit values beyond 0 … 65535: save it with 8 or 16 bits.")
        values = values.astype(np.uint16)
    return _from_array(values, label).convert("RGB")


def _upright(image: Image.Image, label: str) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except (ValueError, TypeError, KeyError, SyntaxError, OSError, struct.error) as error:
        warnings.warn(f"{label}: unreadable EXIF data ({error}); taken as upright.", stacklevel=2)
        return image


def _from_array(array: np.ndarray, label: str) -> Image.Image:
    """An 8-bit image of an array (H, W), (H, W, 1|3|4)."""
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[-1] not in (1, 3, 4)):
        first = array.ndim == 3 and array.shape[0] in (1, 3, 4)
        hint = " It looks channels-first: use array.transpose(1, 2, 0)." if first else ""
        raise ValueError(f"{label} has shape {array.shape}: arrays are (H, W), (H, W, 1|3|4).{hint}")
    if isinstance(array, np.ma.MaskedArray) and array.mask.any():
        raise ValueError(f"{label} has masked values: fill them, with array.filled(0).")
    _check_size(array.shape[1], array.shape[0], label)
    if array.dtype.kind == "f":
        array = _float_to_8_bit(array, label)
    elif array.dtype.kind == "u" and array.dtype.itemsize == 2:
        array = np.round(array / np.float32(257)).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise ValueError(f"{label} has dtype {array.dtype}: use uint8, uint16 or floats in [0, 1].")
    grey = array.ndim == 3 and array.shape[-1] == 1
    return Image.fromarray(np.ascontiguousarray(array[..., 0] if grey else array))


def _float_to_8_bit(array: np.ndarray, label: str) -> np.ndarray:
    if bad := int((~np.isfinite(array)).sum()):
        raise ValueError(f"{label} has {bad} NaN or infinite values: replace them (numpy.nan_to_num).")
    low, high = float(array.min()), float(array.max())
    if low < -0.01 or high > 1.01:  # interpolation may overshoot a little
        cure = "divide by 255 or pass uint8" if 0 <= low and high <= 255.5 else "scale to that range first"
        raise ValueError(f"{label} has values from {low:g} to {high:g}: floats must lie in [0, 1]; {cure}.")
    return np.round(np.clip(array, 0, 1) * 255.0).astype(np.uint8)


def _channels_last(tensor: Tensor, label: str) -> np.ndarray:
    if tensor.ndim != 3 or tensor.shape[0] not in (1, 3, 4):
        hint = " Use tensor.permute(2, 0, 1)." if tensor.ndim == 3 and tensor.shape[-1] in (1, 3, 4) else ""
        raise ValueError(f"{label} has shape {tuple(tensor.shape)}: tensors are (3, H, W).{hint}")
    try:
        tensor = tensor.detach().cpu()
        return (tensor.float() if tensor.is_floating_point() else tensor).permute(1, 2, 0).numpy(force=True)
    except (RuntimeError, NotImplementedError, TypeError) as error:  # sparse, quantised, without data, …
        raise ValueError(f"{label} is not a plain tensor ({error}): give one with numbers.") from error


def _check_size(width: int, height: int, label: str) -> None:
    if min(width, height) < MIN_SIDE:
        raise ValueError(f"{label} is {width}×{height} pixels: too small; at least {MIN_SIDE} a side.")
