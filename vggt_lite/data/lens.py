"""The focal length that a camera wrote into its pictures (EXIF), as a first guess of the lens."""

import math
from pathlib import Path

import torch
from PIL import ExifTags, Image
from torch import Tensor

from vggt_lite.data.images import ImageBatch
from vggt_lite.data.parse import pinhole
from vggt_lite.data.pictures import Photo, find_photos, open_picture

DIAGONAL_35 = math.hypot(36, 24)  # mm, of 35 mm film
UNITS = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}  # FocalPlaneResolutionUnit → mm
TURNED = (5, 6, 7, 8)  # EXIF orientations under which width and height change places


def exif_intrinsics(source) -> Tensor:
    """Intrinsics of photographs, from their EXIF data: a prior, some per cent off.

    FocalLengthIn35mmFilm counts along the diagonal, as CIPA defines it; where it is missing, FocalLength with
    FocalPlaneXResolution. Pixels are square and the principal point is the picture's centre: a picture that
    was cropped after it was taken has another lens than its EXIF data say.

    Args:
        source: an `ImageBatch`, or what `load_images` takes. Only files and PIL images can have EXIF data.

    Returns:
        (S, 3, 3) float32, pixels of the upright original photographs, as `Reconstruction.with_intrinsics`
        takes them.

    Raises:
        ValueError: naming the pictures that do not say their focal length.
    """
    photos = source.photos if isinstance(source, ImageBatch) else find_photos(source)
    found = [_intrinsics(photo) for photo in photos]
    if missing := [photo.name for photo, k in zip(photos, found, strict=True) if k is None]:
        listed = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        raise ValueError(
            f"no focal length in the EXIF data of {listed}: give the files as the camera wrote them, or "
            "the intrinsics as numbers."
        )
    return torch.stack(found)


def _intrinsics(photo: Photo) -> Tensor | None:
    if isinstance(photo.source, (str, Path)):
        with open_picture(photo.source, photo.label) as image:
            return _intrinsics_of(image)
    return _intrinsics_of(photo.source) if isinstance(photo.source, Image.Image) else None


def _intrinsics_of(image: Image.Image) -> Tensor | None:
    try:
        exif = image.getexif()
        focal = _focal(exif.get_ifd(ExifTags.IFD.Exif), *image.size)
    except Exception:  # damaged EXIF data can raise almost anything, and then say nothing
        return None
    if not 0 < focal < math.inf:
        return None
    width, height = image.size
    if exif.get(ExifTags.Base.Orientation) in TURNED:
        width, height = height, width
    return pinhole(focal, focal, width / 2, height / 2).float()


def _focal(tags: dict, width: int, height: int) -> float:
    """Focal length in pixels; 0 or NaN where the tags do not say it."""
    base = ExifTags.Base
    if (film := float(tags.get(base.FocalLengthIn35mmFilm, 0))) > 0:
        return film / DIAGONAL_35 * math.hypot(width, height)
    millimetres = float(tags.get(base.FocalLength, 0))
    unit = UNITS[int(tags.get(base.FocalPlaneResolutionUnit, 2))]
    taken = max(int(tags.get(base.ExifImageWidth, 0)), int(tags.get(base.ExifImageHeight, 0)))
    shrunk = max(width, height) / taken if taken else 1.0  # the resolution is that of the picture as taken
    return millimetres * float(tags.get(base.FocalPlaneXResolution, 0)) / unit * shrunk
