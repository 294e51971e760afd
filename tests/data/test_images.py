"""Photographs in: the released loader's pixels, an exact way back, and errors that name the file."""

import io
import math
import re
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.golden.loader import metadata
from vggt_lite.data import load_images
from vggt_lite.data.pictures import find_photos

PNG = Path(__file__).parents[1] / "golden" / "png"
GOLDEN = metadata("functions")["preprocess"]
CASES = [key for key in GOLDEN if key != "batch_crop"]
MODES = {"crop": ("crop", 518), "pad": ("pad", 518), "square224": ("square", 224)}


def as_bytes(image: torch.Tensor) -> bytes:
    return (image * 255).round().byte().numpy().tobytes()


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def nano(source, mode="crop"):
    return load_images(source, mode, size=64, patch_size=8)


# --- equal to the released loaders --------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_every_pixel_equals_the_released_loader(case):
    name, rule = case.split(".")
    mode, size = MODES[rule]
    batch = load_images(PNG / f"{name}.png", mode, size)
    assert list(batch.images.shape) == GOLDEN[case]["shape"]
    assert zlib.crc32(as_bytes(batch.images[0])) == GOLDEN[case]["crc32"]
    expected = torch.from_numpy(np.array(Image.open(PNG / f"{case}.png"))).permute(2, 0, 1).float() / 255
    assert torch.equal(batch.images[0], expected)


@pytest.mark.parametrize("case", [case for case in CASES if "coords" in GOLDEN[case]])
def test_the_square_loader_puts_the_photograph_where_the_release_does(case):
    x1, y1, x2, y2, width, height = GOLDEN[case]["coords"]
    pixel_map = load_images(PNG / f"{case.split('.')[0]}.png", "square", 224).pixel_maps[0]
    corners = pixel_map.to_network(np.array([[0, 0], [width, height]]))
    np.testing.assert_allclose(corners, [[x1, y1], [x2, y2]], atol=1e-4)


def test_views_of_different_height_are_centred_on_white_with_a_warning():
    golden = GOLDEN["batch_crop"]
    with pytest.warns(UserWarning, match="differ in size.*518×518"):
        batch = load_images([PNG / f"{name}.png" for name in golden["order"]])
    assert list(batch.images.shape) == golden["shape"]
    assert [zlib.crc32(as_bytes(image)) for image in batch.images] == golden["crc32_each"]
    for image, mask in zip(batch.images, batch.valid_mask(), strict=True):
        assert (image[:, ~mask] == 1).all()
    assert batch.valid_mask()[1].all() and not batch.valid_mask()[0].all()


# --- what may be given --------------------------------------------------------------------------


def test_the_same_picture_in_every_form_gives_the_same_pixels(tmp_path):
    rgb = picture(40, 60)
    Image.fromarray(rgb).save(tmp_path / "a.png")
    forms = [
        tmp_path / "a.png",
        str(tmp_path / "a.png"),
        Image.fromarray(rgb),
        rgb,
        rgb.astype(np.uint16) * 257,
        rgb / 255.0,
        torch.from_numpy(rgb).permute(2, 0, 1) / 255,
        torch.from_numpy(rgb).permute(2, 0, 1),
    ]
    images = nano(forms).images
    assert all(torch.equal(image, images[0]) for image in images)


def test_a_folder_is_read_in_natural_order_and_skips_what_is_no_picture(tmp_path):
    for name in ("view10.png", "view2.PNG", "View1.jpg", "notes.txt", "._view3.jpg"):
        Image.fromarray(picture(16, 16)).save(tmp_path / name, format="PNG")
    assert nano(tmp_path).names == ["View1.jpg", "view2.PNG", "view10.png"]


def test_a_stack_of_arrays_and_an_animated_gif_are_several_views(tmp_path):
    frames = [picture(20, 30, seed) for seed in range(3)]
    assert len(nano(np.stack(frames))) == 3
    images = [Image.fromarray(frame) for frame in frames]
    images[0].save(tmp_path / "walk.gif", save_all=True, append_images=images[1:])
    assert nano(tmp_path / "walk.gif").names == ["walk_000", "walk_001", "walk_002"]


def test_files_of_the_same_name_get_different_names(tmp_path):
    for folder in ("left", "right"):
        (tmp_path / folder).mkdir()
        Image.fromarray(picture(16, 16)).save(tmp_path / folder / "0.png")
    assert nano([tmp_path / "left/0.png", tmp_path / "right/0.png"]).names == ["000_0.png", "001_0.png"]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "PA"])
def test_transparency_shows_white(mode, tmp_path):
    image = Image.fromarray(np.full((16, 16, 4), (200, 10, 10, 0), np.uint8))
    if mode == "P":  # a palette whose only colour is transparent
        image = Image.new("P", (16, 16), 0)
        image.putpalette([200, 10, 10])
        image.save(tmp_path / "a.png", transparency=0)
        image = Image.open(tmp_path / "a.png")
    elif mode == "LA":
        image = image.convert("LA")
    elif mode == "PA":
        image = Image.new("P", (16, 16)).convert("PA")
        image.putalpha(0)
    assert image.mode == mode
    assert (nano(image).images == 1).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "I;16"])
def test_a_grey_ramp_stays_a_grey_ramp_in_every_colour_mode(mode, tmp_path):
    ramp = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (64, 1))
    image = (
        Image.fromarray(ramp.astype(np.uint16) * 257)
        if mode == "I;16"
        else Image.fromarray(ramp).convert(mode)
    )
    if mode == "P":
        image = Image.fromarray(ramp).convert("P")
    path = tmp_path / ("ramp.tif" if mode in ("CMYK", "YCbCr") else "ramp.png")
    image.save(path)
    with Image.open(path) as stored:
        assert stored.mode == mode
    got = nano(path).images[0].mean(1)  # (3, W): columns
    want = torch.from_numpy(ramp[0] / 255).float()
    assert (got - want).abs().max() < (0.6 if mode == "1" else 0.02)
    assert got[:, :8].mean() < 0.1 and got[:, -8:].mean() > 0.9  # 16 bits are scaled, not clipped to white


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied_and_the_map_speaks_of_the_upright_picture(orientation, tmp_path):
    upright = np.zeros((32, 64, 3), np.uint8)
    upright[:16, :16] = 255  # white corner, top left
    undo = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_90",
            7: "TRANSVERSE", 8: "ROTATE_270"}  # fmt: skip
    stored = Image.fromarray(upright)
    if orientation > 1:
        stored = stored.transpose(Image.Transpose[undo[orientation]])
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "phone.png", exif=exif)
    batch = nano(tmp_path / "phone.png")
    assert batch.pixel_maps[0].original_size == (32, 64)
    assert batch.images[0, :, 2:12, 2:12].mean() > 0.99 and batch.images[0, :, 20:, :].mean() < 0.01
    assert np.array_equal(batch.photos[0].open(), upright)


# --- the way back -------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["crop", "pad", "square"])
@pytest.mark.parametrize("size", [(49, 74), (100, 60), (64, 64), (37, 211)])
def test_points_and_intrinsics_return_exactly(mode, size):
    pixel_map = nano(picture(*size), mode).pixel_maps[0]
    points = torch.rand(20, 2, dtype=torch.float64) * 100
    torch.testing.assert_close(pixel_map.to_original(pixel_map.to_network(points)), points)
    np.testing.assert_allclose(pixel_map.to_network(pixel_map.to_original(points.numpy())), points.numpy())
    k = torch.tensor([[70.0, 0, 31], [0, 80, 22], [0, 0, 1]], dtype=torch.float64)
    back = pixel_map.intrinsics_to_original(pixel_map.intrinsics_to_network(k))
    torch.testing.assert_close(back, k)
    ray = torch.tensor([0.2, -0.1, 1.0], dtype=torch.float64)
    pixel = pixel_map.to_network((k @ ray)[:2])
    torch.testing.assert_close((pixel_map.intrinsics_to_network(k) @ ray)[:2], pixel)


@pytest.mark.parametrize("mode", ["crop", "pad", "square"])
@pytest.mark.parametrize("size", [(90, 150), (150, 90), (150, 70)])
def test_a_bright_dot_is_found_where_the_map_says(mode, size):
    rgb = np.zeros((*size, 3), np.uint8)
    row, column = size[0] // 2 + 7, size[1] // 2 - 9
    rgb[row - 3 : row + 4, column - 3 : column + 4] = 255
    batch = load_images(rgb, mode, size=98)
    light = batch.images[0].mean(0) * batch.valid_mask()[0]
    y, x = torch.meshgrid(*(torch.arange(n) + 0.5 for n in light.shape), indexing="ij")
    found = torch.stack([(light * x).sum(), (light * y).sum()]) / light.sum()
    expected = batch.pixel_maps[0].to_network(torch.tensor([column + 0.5, row + 0.5]))
    assert (found - expected).abs().max() < 0.3


def test_the_mask_marks_the_photograph_and_nothing_else():
    batch = nano(np.zeros((30, 60, 3), np.uint8), "pad")
    assert torch.equal(batch.valid_mask()[0], (batch.images[0] == 0).all(0))
    assert batch.valid_mask()[0].sum() == 32 * 64
    square = load_images(np.full((30, 60, 3), 255, np.uint8), "square", 64)
    assert square.images[0][:, square.valid_mask()[0]].mean() > 0.97


def test_resampling_returns_a_map_to_original_pixels():
    batch = nano(picture(40, 20), "pad")  # 32 wide, centred in 64
    column = torch.arange(64.0).expand(64, 64)
    there = batch.pixel_maps[0].resample(column)
    assert there.shape == (40, 20)
    want = torch.floor(
        batch.pixel_maps[0].to_network(torch.stack([torch.arange(20) + 0.5, torch.zeros(20)], -1))
    )
    assert torch.equal(there[7], want[:, 0])
    cropped = nano(picture(200, 20), "crop").pixel_maps[0].resample(torch.ones(64, 64), fill=-1)
    assert cropped[0, 0] == -1 and cropped[100, 10] == 1


def test_small_models_follow_the_same_rules():
    batch = nano(picture(49, 74))
    assert batch.images.shape == (1, 3, round(49 * (64 / 74) / 8) * 8, 64)
    assert load_images(picture(1000, 30000)).images.shape == (1, 3, 14, 518)  # the flattest that still works


# --- errors that name the picture ---------------------------------------------------------------


def jpeg(**options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture(200, 300)).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def png(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


def bomb() -> bytes:
    """A PNG that claims 60,000 × 60,000 pixels."""
    data = bytearray(png(8, 8))
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


BAD_FILES = {
    "text.jpg": (b"I am not a picture, only called one.", "not a picture.*convert it"),
    "truncated.jpg": (jpeg()[:2000], "damaged.*truncated"),
    "header_only.jpg": (jpeg()[:20], "not a picture|damaged|cannot be opened"),
    "truncated.png": (png(300, 300)[:80], "damaged|not a picture|cannot be opened"),
    "empty.jpg": (b"", "0 bytes"),
    "one.png": (png(1, 1), "1×1 pixels: too small"),
    "panorama.png": (png(30_000, 100), "30000×100 pixels.*Cut it into pieces"),
    "stripe.png": (png(30_000, 1), "30000×1 pixels: too small"),
    "bomb.png": (bomb(), "more pixels than is safe.*MAX_IMAGE_PIXELS"),
}


@pytest.mark.parametrize("mode", ["crop", "pad", "square"])
@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_named_with_what_to_do(name, mode, tmp_path):
    content, message = BAD_FILES[name]
    (tmp_path / name).write_bytes(content)
    Image.fromarray(picture(32, 32)).save(tmp_path / "good.png")
    if mode == "square" and name == "panorama.png":
        message = "30000×100 pixels: square mode cannot"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=f"{re.escape(str(tmp_path / name))}.*({message})"):
            load_images([tmp_path / "good.png", tmp_path / name], mode)
        with pytest.raises(ValueError, match=re.escape(name)):
            load_images(tmp_path, mode)  # the same from a folder


def test_a_missing_file_is_named_and_a_similar_one_suggested(tmp_path):
    Image.fromarray(picture(32, 32)).save(tmp_path / "IMG_001.png")
    with pytest.raises(FileNotFoundError, match=r"IMG_001\.jpg does not exist.*Did you mean IMG_001\.png"):
        load_images([tmp_path / "IMG_001.jpg"])
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        load_images(tmp_path / "nowhere")


def test_an_empty_list_and_an_empty_folder_say_what_to_give(tmp_path):
    with pytest.raises(ValueError, match="empty: give at least one"):
        load_images([])
    with pytest.raises(ValueError, match=f"{re.escape(str(tmp_path))} holds no pictures"):
        load_images(tmp_path)
    (tmp_path / "images").mkdir()
    Image.fromarray(picture(32, 32)).save(tmp_path / "images" / "a.png")
    with pytest.raises(ValueError, match="images has 1: did you mean"):
        load_images(tmp_path)
    with pytest.raises(ValueError, match="images is a folder: pass it by itself"):
        load_images([tmp_path / "images"])


def test_a_folder_with_a_video_says_to_give_the_file(tmp_path):
    (tmp_path / "walk.mp4").write_bytes(b"...")
    with pytest.raises(ValueError, match="holds no pictures. It holds a video: give that file"):
        load_images(tmp_path)


BAD_ARRAYS = {
    "NaN": (np.where(np.arange(192).reshape(8, 8, 3) == 5, np.nan, 0.5), "1 NaN or infinite"),
    "0 … 255 in floats": (picture(8, 8).astype(np.float32), r"floats must lie in \[0, 1\]; divide by 255"),
    "-1 … 1": (np.linspace(-1, 1, 192).reshape(8, 8, 3), r"from -1 to 1.*\[0, 1\]"),
    "int64": (picture(8, 8).astype(np.int64), "dtype int64: use uint8"),
    "bool": (np.ones((8, 8, 3), bool), "dtype bool: use uint8"),
    "text": (np.full((8, 8, 3), "a"), "dtype <U1: use uint8"),
    "channels first": (np.zeros((3, 8, 8), np.uint8), r"transpose\(1, 2, 0\)"),
    "two channels": (np.zeros((8, 8, 2), np.uint8), r"shape \(8, 8, 2\)"),
    "flat": (np.zeros(64, np.uint8), r"shape \(64,\)"),
    "no pixels": (np.zeros((0, 8, 3), np.uint8), "8×0 pixels: too small"),
    "tensor, channels last": (torch.zeros(8, 8, 3), r"permute\(2, 0, 1\)"),
    "tensor, NaN": (torch.full((3, 8, 8), torch.nan), "192 NaN"),
    "tensor, 0 … 255": (torch.full((3, 8, 8), 200.0), "divide by 255"),
    "a number": (7, "image 1 .*int.*give a path"),
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_a_bad_array_is_named_by_its_place_in_the_list(case):
    array, message = BAD_ARRAYS[case]
    with pytest.raises(ValueError, match=f"image 1 .*{message}|{message}") as error:
        nano([picture(16, 16), array])
    assert str(error.value).startswith("image 1 ")


def test_wrong_arguments_name_the_rule():
    with pytest.raises(ValueError, match='mode=\'stretch\': choose "crop", "pad" or "square"'):
        load_images(picture(16, 16), mode="stretch")
    with pytest.raises(ValueError, match="size=100 is not a multiple of patch_size=14.*98 and 112"):
        load_images(picture(16, 16), size=100)
    with pytest.raises(ValueError, match="int: give a folder"):
        load_images(5)
    with pytest.raises(ValueError, match='image 0 .*crop mode would keep only 64 of 2560 rows.*mode="pad"'):
        nano(picture(400, 10))


def test_photographs_are_decoded_only_when_asked_for(tmp_path):
    Image.fromarray(picture(16, 16)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"broken")
    photos = find_photos(tmp_path)
    assert [photo.name for photo in photos] == ["a.png", "b.png"]
    assert photos[0].open().size == (16, 16)
    assert math.isclose(photos[0].open().getpixel((3, 4))[0], picture(16, 16)[4, 3, 0])
