"""Photographs → the network's input, and the exact map back (`load_images`).

The network takes views of one common size, in whole patches. Three rules get there:

    crop    scale to `size` wide; keep the middle `size` rows if that is too high
    pad     scale the longer side to `size`; fill up to a square with white
    square  fill up to a square with black, then scale to `size` × `size`

They equal the released loaders pixel by pixel on ordinary files (tests/golden/png). Where those drop
transparency, ignore EXIF rotation or clip 16 bits, this one does not.

Source: the data loading of the VGGT release (arXiv:2503.11651).
"""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vggt_lite.config import DEFAULT_MODE, FRAMES_PER_SECOND, MAX_SIDE, MODES
from vggt_lite.config_fields import check_multiple
from vggt_lite.data.pictures import Photo, find_photos
from vggt_lite.data.pixel_map import PixelMap
from vggt_lite.utils.runtime import check_memory

DISPLAY_SIDE = 1024  # pixels; larger photographs are kept at this size for drawing
MAX_CROPPED = 20  # crop mode refuses a picture of which it would keep less than 1/20
MAX_CANVAS = 13_000  # pixels; square mode works on a canvas as large as the longer side
CURE = 'Use mode="pad", or cut it into pieces.'
Fit = tuple[Image.Image, PixelMap]  # a picture on its way to the network's size, and where its pixels went


@dataclass
class ImageBatch:
    """S views, ready for the network, and how they came from their photographs."""

    images: Tensor  # (S, 3, H, W) float32 in [0, 1]
    pixel_maps: list[PixelMap]
    photos: list[Photo]
    pictures: list[Tensor]  # each (H, W, 3) uint8: the upright photograph, at most DISPLAY_SIDE pixels a side

    @property
    def names(self) -> list[str]:
        return [photo.name for photo in self.photos]

    def valid_mask(self) -> Tensor:
        """(S, H, W) bool: True where a pixel shows the photograph, False on padding."""
        return torch.stack([pixel_map.valid_mask() for pixel_map in self.pixel_maps])

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        height, width = self.images.shape[-2:]
        names = ", ".join(self.names[:4]) + (", …" if len(self) > 4 else "")
        return f"ImageBatch({len(self)} views of {height}×{width}: {names})"


def load_images(
    source,
    mode: str = DEFAULT_MODE,
    size: int = 518,
    patch_size: int = 14,
    frames_per_second: float = FRAMES_PER_SECOND,
) -> ImageBatch:
    """Read photographs and bring them to one size in whole patches.

    Args:
        source: a folder, a file, a video, a PIL image, an array (H, W, 3), a tensor (3, H, W), or a list that
            mixes them; see `find_photos` and `to_rgb` for what each may be.
        mode: one of `MODES`, see above.
        size: width (crop) or longer side (pad, square) of the network's input, pixels.
        patch_size: pixels per patch side; not used by "square".
        frames_per_second: how many frames of a video; see `video_frames`.

    Returns:
        An `ImageBatch`. Views that still differ in height (crop) are centred on white, with a warning.

    Raises:
        FileNotFoundError, ValueError: naming the picture and what to do about it.
    """
    if mode not in MODES:
        raise ValueError(f'mode={mode!r}: choose "crop", "pad" or "square".')
    if not 1 <= size <= MAX_SIDE or patch_size < 1:
        limits = f"must be positive, size at most {MAX_SIDE}, for example 518 and 14"
        raise ValueError(f"size={size} and patch_size={patch_size} {limits}.")
    if mode != "square":
        check_multiple("size", size, patch_size)
    photos = find_photos(source, frames_per_second)
    check_memory(15 * len(photos) * size**2, f"{len(photos)} pictures of size={size}")  # 8 bits, then floats
    fits, pictures = [], []
    for photo in photos:  # opened once: a file that changes meanwhile cannot give two different pictures
        image = photo.open()
        fits.append(_fit(image, mode, size, patch_size, photo.label))
        image.thumbnail((DISPLAY_SIDE, DISPLAY_SIDE), Image.Resampling.BICUBIC)
        pictures.append(torch.from_numpy(np.array(image)))
    fits = _to_common_size(fits)
    inputs = np.stack([np.asarray(picture) for picture, _ in fits])  # (S, H, W, 3)
    images = torch.from_numpy(inputs).permute(0, 3, 1, 2).contiguous().float() / 255
    return ImageBatch(images, [pixel_map for _, pixel_map in fits], photos, pictures)


def scaled_size(width: int, height: int, mode: str, size: int, patch_size: int) -> tuple[int, int]:
    """(width, height) to scale a photograph to: one side is `size`, the other whole patches.

    Python's round is part of the rule: halves go to the even number of patches. The result may be 0
    for a picture more than twice `size / patch_size` times as long as wide.
    """
    if mode == "crop" or width >= height:
        return size, round(height * (size / width) / patch_size) * patch_size
    return round(width * (size / height) / patch_size) * patch_size, size


def _fit(image: Image.Image, mode: str, size: int, patch_size: int, label: str) -> Fit:
    """One picture of the network's input, and its map."""
    width, height = image.size
    fit = image, PixelMap((height, width), (height, width))
    if mode == "square":
        side = max(width, height)
        if side > MAX_CANVAS or min(width, height) * size < side:
            raise ValueError(f"{label} is {width}×{height} pixels: square mode cannot fit that. {CURE}")
        return _scale(*_center(*fit, side, side, "black"), size, size)
    new_width, new_height = scaled_size(width, height, mode, size, patch_size)
    if not new_width or not new_height:
        raise ValueError(
            f"{label} is {width}×{height} pixels: its short side would be less than half a patch. "
            f"Cut it into pieces at most {size // patch_size} times as long as wide."
        )
    if new_height > MAX_CROPPED * size:
        kept = f"crop mode would keep only {size} of {new_height} rows"
        raise ValueError(f"{label} is {width}×{height} pixels: {kept}. {CURE}")
    fit = _scale(*fit, new_width, new_height)
    return _center(*fit, size, size) if mode == "pad" else _center(*fit, new_width, min(new_height, size))


def _scale(image: Image.Image, pixel_map: PixelMap, width: int, height: int) -> Fit:
    scaled = image.resize((width, height), Image.Resampling.BICUBIC)
    return scaled, pixel_map.then((height, width), (width / image.width, height / image.height))


def _center(image: Image.Image, pixel_map: PixelMap, width: int, height: int, color: str = "white") -> Fit:
    """The middle of a picture on the middle of a canvas: cut off where it is too large, else filled up."""
    left, top = int((width - image.width) / 2), int((height - image.height) / 2)
    canvas = Image.new("RGB", (width, height), color)
    canvas.paste(image, (left, top))
    return canvas, pixel_map.then((height, width), offset=(left, top))


def _to_common_size(fits: list[Fit]) -> list[Fit]:
    """The smaller pictures centred on white canvases of the largest size, with a warning."""
    sizes = {picture.size for picture, _ in fits}
    if len(sizes) == 1:
        return fits
    width, height = max(w for w, _ in sizes), max(h for _, h in sizes)
    found = ", ".join(f"{h}×{w}" for h, w in sorted((h, w) for w, h in sizes))
    said = f"the views differ in size after scaling ({found}); each is centred on white, {height}×{width}."
    warnings.warn(f"{said} valid_mask() marks the photographs.", stacklevel=3)
    return [_center(*fit, width, height) for fit in fits]
