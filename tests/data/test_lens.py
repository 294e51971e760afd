"""The focal length that a camera wrote into its pictures."""

import pytest
import torch
from PIL import ExifTags, Image

from vggt_lite.data import exif_intrinsics, load_images

BASE = ExifTags.Base
FILM = {BASE.FocalLengthIn35mmFilm: 36}  # on film 36 mm wide: as many pixels as the picture is wide
PLANE = {BASE.FocalLength: 5.0, BASE.FocalPlaneXResolution: 254.0, BASE.FocalPlaneResolutionUnit: 2}


def picture(path, tags: dict, orientation: int = 1, size=(60, 40)):
    """A JPEG of 60×40 stored pixels."""
    image, exif = Image.new("RGB", size, "gray"), Image.Exif()
    exif[BASE.Orientation] = orientation
    exif.get_ifd(ExifTags.IFD.Exif).update(tags)
    image.save(path, exif=exif)
    return path


def matrix(f: float, cx: float, cy: float) -> torch.Tensor:
    return torch.tensor([[f, 0, cx], [0, f, cy], [0, 0, 1.0]])


@pytest.mark.parametrize(
    ("tags", "options", "expected"),
    [
        (FILM, {}, (60, 30, 20)),
        (FILM, {"orientation": 6}, (60, 20, 30)),  # a turned picture has its sides exchanged, not its lens
        (FILM, {"size": (30, 20)}, (30, 15, 10)),
        (PLANE, {}, (50, 30, 20)),  # 254 pixels an inch: 10 a millimetre
        (PLANE | {BASE.FocalPlaneResolutionUnit: 3}, {}, (127, 30, 20)),  # 254 pixels a centimetre
        (PLANE | {BASE.ExifImageWidth: 60, BASE.ExifImageHeight: 40}, {"size": (30, 20)}, (25, 15, 10)),
        (FILM | PLANE, {}, (60, 30, 20)),
    ],
)
def test_the_lens_is_that_of_the_upright_photograph(tmp_path, tags, options, expected):
    path = picture(tmp_path / "a.jpg", tags, **options)
    found = exif_intrinsics([path])
    assert torch.allclose(found, matrix(*expected)[None], atol=1e-4)
    assert torch.equal(exif_intrinsics(load_images([path], size=14)), found)
    with Image.open(path) as image:
        assert torch.equal(exif_intrinsics(image), found)


def test_pictures_without_a_focal_length_are_named(tmp_path):
    picture(tmp_path / "1.jpg", FILM)
    picture(tmp_path / "2.jpg", {})
    picture(tmp_path / "3.jpg", {BASE.FocalLengthIn35mmFilm: 0, BASE.FocalLength: 5.0})
    picture(tmp_path / "4.jpg", PLANE | {BASE.FocalPlaneXResolution: 0.0})
    Image.new("RGB", (60, 40)).save(tmp_path / "5.png")
    with pytest.raises(
        ValueError, match=r"no focal length in the EXIF data of 2.jpg, 3.jpg, 4.jpg, 5.png: give"
    ):
        exif_intrinsics(tmp_path)
    with pytest.raises(ValueError, match="no focal length in the EXIF data of view_000: give"):
        exif_intrinsics(torch.zeros(3, 8, 8))
