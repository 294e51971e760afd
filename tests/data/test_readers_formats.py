"""Scenes in the formats of others: what was written in their layouts comes back, and mistakes are named."""

import gzip
import json
import re
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from tests.data.foreign import (
    H,
    S,
    W,
    observations,
    save_16_bit,
    truth,
    write_co3d,
    write_colmap,
    write_nerfstudio,
    write_vkitti2,
)
from vggt_lite.data import check_scene
from vggt_lite.data.readers import open_scene
from vggt_lite.data.readers.vkitti2 import read_vkitti2
from vggt_lite.data.scene_check import RawScene
from vggt_lite.data.views import to_batch

WRITERS = {
    "COLMAP text": lambda root, **options: write_colmap(root, binary=False, **options),
    "COLMAP binary": lambda root, **options: write_colmap(root, binary=True, **options),
    "nerfstudio": write_nerfstudio,
    "CO3Dv2": write_co3d,
    "CO3Dv2, older units": lambda root, **options: write_co3d(root, isotropic=False, **options),
    "Virtual KITTI 2": write_vkitti2,
}
CLOSE = {"nerfstudio": 0.00051, "CO3Dv2": 0.004, "CO3Dv2, older units": 0.004, "Virtual KITTI 2": 0.0051}
# for each format the axes that a wrong hand would write
WRONG_AXES = dict.fromkeys(WRITERS, (1, -1, -1)) | {"nerfstudio": (1, 1, 1)}
WRONG_AXES |= dict.fromkeys(("CO3Dv2", "CO3Dv2, older units"), (-1, 1, -1))


@pytest.mark.parametrize("name", WRITERS)
def test_a_scene_in_the_layout_of_others_comes_back(name, tmp_path):
    folder, want = WRITERS[name](tmp_path), truth()
    views = open_scene(folder)
    assert views.format == name.split(",")[0].removesuffix(" text").removesuffix(" binary")
    assert len(views) == S
    np.testing.assert_allclose(views.cam_from_world, want.cam_from_world[:, :3], atol=1e-9)
    np.testing.assert_allclose(views.intrinsics, want.intrinsics, atol=1e-9)
    for view, image, depth in zip(views.views, want.images, want.depth, strict=True):
        assert np.abs(np.asarray(view.open_image()).astype(float) - image).mean() < 2  # JPEG
        if name in CLOSE:
            got, trusted = (x.numpy() for x in view.depth_in())
            got = got * trusted
            depth = depth * (np.arange(W) < W - 6) if name.startswith("CO3D") else depth  # its mask
            assert np.abs(got - depth).max() < CLOSE[name]
            assert (got[:4, :10] == 0).all() and (got > 0).mean() > 0.8
        else:
            assert view.depth is None
    assert check_scene(folder) == []


@pytest.mark.parametrize("name", WRITERS)
def test_wrong_axes_are_found(name, tmp_path):
    folder = WRITERS[name](tmp_path, flip=WRONG_AXES[name])
    (problem,) = check_scene(folder)
    assert str(open_scene(folder).cameras_file) in problem and "the camera axes are OpenGL's" in problem


@pytest.mark.parametrize("binary", [False, True])
def test_points_of_a_colmap_model_become_tracks(binary, tmp_path):
    views, (world, pixels) = open_scene(write_colmap(tmp_path, binary)), observations()
    inside = ((pixels >= 0) & (pixels <= [W, H])).all(-1)  # (S, N)
    assert len(views.points.world) == len(world)
    tracks, seen, points = views.tracks()
    assert len(points) == (inside.sum(0) > 1).sum() > 20
    order = [np.abs(world - point.numpy()).sum(1).argmin() for point in points]
    np.testing.assert_allclose(tracks, pixels[:, order], atol=1e-3)
    assert (seen.numpy() == inside[:, order]).all()
    assert (seen.sum(0).diff() <= 0).all()  # best seen first
    assert views.choose([2, 0]).tracks()[0].shape[0] == 2
    assert views.tracks(most=3)[0].shape == (S, 3, 2)


def test_views_can_be_chosen(tmp_path):
    views = open_scene(write_nerfstudio(tmp_path))
    assert views.names == [f"frame_{view:05d}" for view in range(S)]
    assert views.choose(2).names == ["frame_00000", "frame_00003"]
    assert views.choose(slice(1, 3)).names == views.choose([1, 2]).names == ["frame_00001", "frame_00002"]
    assert len(views.choose(100)) == S
    for nothing in (0, slice(9, 10), [S]):
        with pytest.raises(ValueError, match=f"of the {S} views"):
            views.choose(nothing)


def test_nerfstudio_undoes_the_turn_of_the_world_and_takes_shared_numbers(tmp_path):
    folder = write_nerfstudio(tmp_path)
    content, k = json.loads((folder / "transforms.json").read_text()), truth().intrinsics[0]
    turn = np.array([[1.0, 0, 0, 0.1], [0, 0, 1, 0.2], [0, -1, 0, 0.3], [0, 0, 0, 1]])
    content |= {"applied_transform": turn[:3].tolist(), "depth_unit_scale_factor": 0.002}
    content |= {"fl_x": k[0, 0], "fl_y": k[1, 1], "cx": k[0, 2], "cy": k[1, 2]}
    np.save(folder / "depth" / "half.npy", np.full((H // 2, W // 2), 1500.0))
    for frame in content["frames"]:
        frame["transform_matrix"] = (turn @ frame["transform_matrix"]).tolist()
        frame["depth_file_path"] = "depth/half.npy"
        for key in ("fl_x", "fl_y", "cx", "cy"):
            del frame[key]
    (folder / "transforms.json").write_text(json.dumps(content))
    views = open_scene(folder / "transforms.json")
    np.testing.assert_allclose(views.cam_from_world, truth().cam_from_world[:, :3], atol=1e-9)
    np.testing.assert_allclose(views.intrinsics, truth().intrinsics, atol=1e-9)
    assert (views.views[0].depth_in()[0] - 3).abs().max() < 1e-6
    del content["fl_x"], content["fl_y"], content["w"], content["h"]  # as instant-ngp writes them
    content |= {
        "camera_angle_x": 2 * np.arctan(W / 2 / k[0, 0]),
        "camera_angle_y": 2 * np.arctan(H / 2 / k[1, 1]),
    }
    (folder / "transforms.json").write_text(json.dumps(content))
    np.testing.assert_allclose(open_scene(folder).intrinsics, truth().intrinsics, atol=1e-9)


def test_what_a_mask_hides_is_not_valid_and_is_not_checked(tmp_path):
    folder = write_nerfstudio(tmp_path)
    Image.fromarray(np.arange(W)[None].repeat(H, 0) > 20).save(folder / "mask.png")
    change_json(folder / "transforms.json", lambda content: content["frames"][0].update(mask_path="mask.png"))
    valid = to_batch(open_scene(folder)).valid[0]
    assert not valid[-1][:, :21].any() and valid[-1][:, 21:].float().mean() > 0.9
    assert valid[0][4:, :21].float().mean() > 0.9
    depth = RawScene.of(folder).depth[-1]
    assert (depth[:, :21] == 0).all() and (depth[:, 21:] > 0).float().mean() > 0.9


def test_one_sequence_and_one_camera_are_chosen(tmp_path):
    category = write_co3d(tmp_path).parent
    with pytest.raises(ValueError, match="holds 2 sequences: give one of their folders"):
        open_scene(category)
    assert len(open_scene(category / "10_20_30")) == S
    (category / "40_50_60").mkdir()
    with pytest.raises(ValueError, match="names no cameras of 40_50_60"):
        open_scene(category / "40_50_60")  # its frame has no camera
    variation = write_vkitti2(tmp_path)
    with pytest.raises(ValueError, match="Camera_1 holds no pictures: unpack"):
        read_vkitti2(variation / "frames" / "rgb" / "Camera_1")
    (variation / "frames/rgb/Camera_0").rename(variation / "frames/rgb/Camera_1")
    right = open_scene(variation / "frames" / "rgb" / "Camera_1")
    np.testing.assert_allclose(right.cam_from_world[:, 0, 3], truth().cam_from_world[:, 0, 3] - 0.53)
    assert right.views[0].depth is None  # only the left camera's is there


def change_json(path, change):
    packed = path.suffix == ".jgz"
    content = json.loads(gzip.decompress(path.read_bytes()) if packed else path.read_bytes())
    change(content)
    text = json.dumps(content).encode()
    path.write_bytes(gzip.compress(text) if packed else text)


def replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def cut(path, part=2):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // part])


def turn_over(path):
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.open(path).save(path, exif=exif)


def first_frame(**values):
    return lambda path: change_json(path, lambda content: content["frames"][0].update(values))


def last_frame(key, **values):
    return lambda path: change_json(path, lambda content: content[-1][key].update(values))


# name: (layout, file, what happens to it, what is said)
MISTAKES = {
    "distorted": (
        "COLMAP text",
        "sparse/0/cameras.txt",
        lambda path: replace(path, "PINHOLE", "OPENCV_FISHEYE"),
        "distorted. Run `colmap image_undistorter",
    ),
    "slightly distorted": (
        "COLMAP binary",
        "sparse/0/cameras.bin",
        lambda path: path.write_bytes(struct.pack("<QiiQQ4d", 1, 10, 2, W, H, 50, 32, 24, 0.1)),
        "undistort",
    ),
    "no camera for a picture": (
        "COLMAP text",
        "sparse/0/images.txt",
        lambda path: replace(path, " 11 walk/", " 77 walk/"),
        "has camera 77, which cameras lacks",
    ),
    "text cut": (
        "COLMAP text",
        "sparse/0/images.txt",
        lambda path: path.write_text("1 1 0 0"),
        "4 columns, not 10",
    ),
    "words": (
        "COLMAP text",
        "sparse/0/images.txt",
        lambda path: replace(path, "90 ", "90 north "),
        "are no numbers",
    ),
    "binary cut": ("COLMAP binary", "sparse/0/images.bin", cut, "ends in the middle"),
    "points cut": ("COLMAP binary", "sparse/0/points3D.bin", cut, "ends in the middle"),
    "a count beyond reason": (
        "COLMAP binary",
        "sparse/0/cameras.bin",
        lambda path: path.write_bytes(b"\xff" * 8),
        "ends in the middle",
    ),
    "a picture from elsewhere": (
        "COLMAP text",
        "sparse/0/images.txt",
        lambda path: replace(path, "walk/8.png", "../../8.png"),
        "not a file below",
    ),
    "no JSON": ("nerfstudio", "transforms.json", cut, "cannot be read as JSON"),
    "no frames": (
        "nerfstudio",
        "transforms.json",
        lambda path: path.write_text("{}"),
        "required field `frames`",
    ),
    "no matrix": (
        "nerfstudio",
        "transforms.json",
        first_frame(transform_matrix=None),
        "got `null` - at .*transform_matrix",
    ),
    "a flat matrix": (
        "nerfstudio",
        "transforms.json",
        first_frame(transform_matrix=[[1, 2], [3, 4]]),
        "length.* - at .*transform_matrix",
    ),
    "a number that is none": (
        "nerfstudio",
        "transforms.json",
        first_frame(fl_x=float("nan")),
        "fl_x.*finite",
    ),
    "bent": ("nerfstudio", "transforms.json", first_frame(k1=0.01), "no pinhole .*k1.*image_undistorter"),
    "fisheye": ("nerfstudio", "transforms.json", first_frame(camera_model="OPENCV_FISHEYE"), "no pinhole"),
    "a secret picture": (
        "nerfstudio",
        "transforms.json",
        first_frame(file_path="/etc/x.png"),
        "not a file below",
    ),
    "stretched world": (
        "nerfstudio",
        "transforms.json",
        lambda path: change_json(path, lambda c: c.update(applied_transform=(2 * np.eye(4)).tolist())),
        "no rotation",
    ),
    "no gzip": (
        "CO3Dv2",
        "frame_annotations.jgz",
        lambda path: path.write_bytes(b"{}"),
        "cannot be read as JSON",
    ),
    "half a gzip": ("CO3Dv2", "frame_annotations.jgz", cut, "cannot be read as JSON"),
    "unknown units": (
        "CO3Dv2",
        "frame_annotations.jgz",
        last_frame("viewpoint", intrinsics_format="mm"),
        "mm.* - at .*intrinsics_format",
    ),
    "no rotation": (
        "CO3Dv2",
        "frame_annotations.jgz",
        last_frame("viewpoint", R=None),
        "`null` - at .*viewpoint.R",
    ),
    "a frame without line": (
        "Virtual KITTI 2",
        "extrinsic.txt",
        cut,
        "18 numbers|has no line for rgb_",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_broken_file_is_named_with_its_cure(mistake, tmp_path):
    layout, file, spoil, message = MISTAKES[mistake]
    folder = WRITERS[layout](tmp_path)
    path = folder / file if (folder / file).exists() else folder.parent / file
    spoil(path)
    with pytest.raises(ValueError, match=f"(?s){re.escape(str(path))}.*({message})"):
        open_scene(folder)


# what only shows when pictures and depth are opened: (layout, file, what happens to it, what is said)
LATER_MISTAKES = {
    "picture of another size": (
        "nerfstudio",
        "images/frame_00001.png",
        lambda path: Image.new("RGB", (W, H + 2)).save(path),
        "64×50 pixels, its camera is for 64×48",
    ),
    "picture on its side": ("nerfstudio", "images/frame_00001.png", turn_over, "carries an EXIF rotation"),
    "depth missing": (
        "Virtual KITTI 2",
        "frames/depth/Camera_0/depth_00002.png",
        lambda path: path.unlink(),
        "does not exist",
    ),
    "8 bits": (
        "nerfstudio",
        "depth/2.png",
        lambda path: Image.new("L", (W, H)).save(path),
        "not one channel of 16",
    ),
    "depth of another shape": (
        "nerfstudio",
        "depth/2.png",
        lambda path: save_16_bit(path, np.ones((H, H))),
        "not the shape",
    ),
    "depth cut": ("CO3Dv2", "depths/frame000001.jpg.geometric.png", cut, "cannot be read"),
    "no depth at all": (
        "Virtual KITTI 2",
        "frames/depth/Camera_0/depth_00001.png",
        lambda path: save_16_bit(path, np.full((H, W), 65535)),
        "holds no depth at all",
    ),
}


@pytest.mark.parametrize("mistake", LATER_MISTAKES)
def test_the_check_names_a_broken_picture(mistake, tmp_path):
    layout, file, spoil, message = LATER_MISTAKES[mistake]
    folder = WRITERS[layout](tmp_path)
    spoil(folder / file)
    (problem,) = check_scene(folder)
    assert re.search(f"{re.escape(str(folder / file))}.*{message}", problem), problem


def test_centimetres_taken_for_millimetres_are_found(tmp_path):
    folder = write_nerfstudio(tmp_path, depth_unit_scale_factor=1.0)
    assert "depth is in thousandths" in check_scene(folder)[0]


def test_what_is_no_scene_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        open_scene(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no format that is known here.*COLMAP"):
        open_scene(tmp_path)
    torch.save({}, tmp_path / "transforms.json")  # a pickle under a harmless name
    with pytest.raises(ValueError, match="cannot be read as JSON"):
        open_scene(tmp_path)
