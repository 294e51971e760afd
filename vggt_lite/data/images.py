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

from vggt_lite.config import DEFAULT_MODE, MODES
from vggt_lite.data.pixel_map import PixelMap
from vggt_lite.data.sources import Photo, find_photos

DISPLAY_SIDE = 1024  # pixels; larger photographs are kept at this size for drawing
MAX_CROPPED = 20  # crop mode refuses a picture of which it would keep less than 1/20
MAX_CANVAS = 13_000  # pixels; square mode works on a canvas as large as the longer side


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

    def original(self, view: int) -> Tensor:
        """(H, W, 3) uint8: the upright photograph at full size, read again from its source."""
        return torch.from_numpy(np.array(self.photos[view].open()))

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        height, width = self.images.shape[-2:]
        names = ", ".join(self.names[:4]) + (", …" if len(self) > 4 else "")
        return f"ImageBatch({len(self)} views of {height}×{width}: {names})"


def load_images(source, mode: str = DEFAULT_MODE, size: int = 518, patch_size: int = 14) -> ImageBatch:
    """Read photographs and bring them to one size in whole patches.

    Args:
        source: a folder, a file, a PIL image, an array (H, W, 3), a tensor (3, H, W), or a list that
            mixes them; see `find_photos` and `to_rgb` for what each may be.
        mode: one of `MODES`, see above.
        size: width (crop) or longer side (pad, square) of the network's input, pixels.
        patch_size: pixels per patch side; not used by "square".

    Returns:
        An `ImageBatch`. Views that still differ in height (crop) are centred on white, with a warning.

    Raises:
        FileNotFoundError, ValueError: naming the picture and what to do about it.
    """
    if mode not in MODES:
        raise ValueError(f'mode={mode!r}: choose "crop", "pad" or "square".')
    if size < 1 or patch_size < 1:
        raise ValueError(f"size={size} and patch_size={patch_size} must be positive, for example 518 and 14.")
    if mode != "square" and size % patch_size:
        below = size - size % patch_size
        raise ValueError(
            f"size={size} is not a multiple of patch_size={patch_size}; nearest that fit: "
            f"{below or patch_size} and {below + patch_size}."
        )
    photos = find_photos(source)
    fits, pictures = [], []
    for photo in photos:  # opened once: a file that changes meanwhile cannot give two different pictures
        image = photo.open()
        fits.append(_fit(image, mode, size, patch_size, photo.label))
        image.thumbnail((DISPLAY_SIDE, DISPLAY_SIDE), Image.Resampling.BICUBIC)
        pictures.append(torch.from_numpy(np.array(image)))
    inputs, pixel_maps = _to_common_size(fits)
    images = torch.from_numpy(np.stack(inputs)).permute(0, 3, 1, 2).contiguous()  # (S, 3, H, W)
    return ImageBatch(images.float() / 255, list(pixel_maps), photos, pictures)


def scaled_size(width: int, height: int, mode: str, size: int, patch_size: int) -> tuple[int, int]:
    """(width, height) to scale a photograph to: one side is `size`, the other whole patches.

    Python's round is part of the rule: halves go to the even number of patches. The result may be 0
    for a picture more than twice `size / patch_size` times as long as wide.
    """
    if mode == "crop" or width >= height:
        return size, round(height * (size / width) / patch_size) * patch_size
    return round(width * (size / height) / patch_size) * patch_size, size


def _fit(
    image: Image.Image, mode: str, size: int, patch_size: int, label: str
) -> tuple[np.ndarray, PixelMap]:
    """One picture (h, w, 3) uint8 of the network's input, and its map."""
    if mode == "square":
        return _fit_square(image, size, label)
    width, height = image.size
    new_width, new_height = scaled_size(width, height, mode, size, patch_size)
    if not new_width or not new_height:
        raise ValueError(
            f"{label} is {width}×{height} pixels: scaled to {size}, its short side is less than half a "
            f"patch of {patch_size}. Cut it into pieces at most {size // patch_size} times as long as wide."
        )
    if new_height > MAX_CROPPED * size:
        raise ValueError(
            f"{label} is {width}×{height} pixels: crop mode would keep only {size} of {new_height} rows. "
            'Use mode="pad", or cut it into pieces.'
        )
    scaled = np.asarray(image.resize((new_width, new_height), Image.Resampling.BICUBIC))
    pixel_map = PixelMap((height, width), (new_height, new_width), (new_width / width, new_height / height))
    if mode == "pad":
        return _on_white(scaled, pixel_map, (size, size))
    if new_height > size:
        top = (new_height - size) // 2
        return scaled[top : top + size], pixel_map.shifted(0, -top, (size, new_width))
    return scaled, pixel_map


def _fit_square(image: Image.Image, size: int, label: str) -> tuple[np.ndarray, PixelMap]:
    width, height = image.size
    side = max(width, height)
    if side > MAX_CANVAS or min(width, height) * size < side:
        raise ValueError(
            f"{label} is {width}×{height} pixels: square mode cannot fit that into {size}×{size}. "
            'Use mode="pad", or cut it into pieces.'
        )
    left, top = (side - width) // 2, (side - height) // 2
    canvas = Image.new("RGB", (side, side), "black")
    canvas.paste(image, (left, top))
    scaled = np.asarray(canvas.resize((size, size), Image.Resampling.BICUBIC))
    scale = size / side
    return scaled, PixelMap((height, width), (size, size), (scale, scale), (left * scale, top * scale))


def _on_white(picture: np.ndarray, pixel_map: PixelMap, size: tuple[int, int]) -> tuple[np.ndarray, PixelMap]:
    """Centre a picture (h, w, 3) on a white canvas of size (H, W)."""
    (height, width), (h, w) = size, picture.shape[:2]
    top, left = (height - h) // 2, (width - w) // 2
    canvas = np.full((height, width, 3), 255, dtype=np.uint8)
    canvas[top : top + h, left : left + w] = picture
    return canvas, pixel_map.shifted(left, top, size)


def _to_common_size(
    fits: list[tuple[np.ndarray, PixelMap]],
) -> tuple[tuple[np.ndarray, ...], tuple[PixelMap, ...]]:
    """All pictures and all maps, the smaller pictures centred on white canvases of the largest size."""
    sizes = [picture.shape[:2] for picture, _ in fits]
    if len(set(sizes)) > 1:
        height, width = max(h for h, _ in sizes), max(w for _, w in sizes)
        found = ", ".join(f"{h}×{w}" for h, w in sorted(set(sizes)))
        warnings.warn(
            f"the views differ in size after scaling ({found}); each is centred on white, "
            f"{height}×{width}. valid_mask() marks the photographs.",
            stacklevel=3,
        )
        fits = [_on_white(picture, pixel_map, (height, width)) for picture, pixel_map in fits]
    pictures, pixel_maps = zip(*fits, strict=True)
    return pictures, pixel_maps
