"""A scene on disk: what is written comes back, and what is wrong is named with its file."""

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

from vggt_lite.config import VARIED_SCENES
from vggt_lite.data import check_scene, read_scene, write_scene
from vggt_lite.data.scene_io import read_info
from vggt_lite.geometry import invert_rigid, unproject_depth
from vggt_lite.losses import SceneBatch
from vggt_lite.synthetic import generate_scenes

S, H, W, N = 4, 48, 64, 5


def orbit(view: int) -> torch.Tensor:
    """(3, 4) cam_from_world of a camera inside the room, looking at its centre from a circle."""
    angle = 0.5 * view
    center = torch.tensor([np.sin(angle) * 1.2, -0.3, -np.cos(angle) * 1.2], dtype=torch.float32)
    forward = -center / center.norm()
    right = torch.linalg.cross(torch.tensor([0.0, 1.0, 0.0]), forward)
    right = right / right.norm()
    rotation = torch.stack([right, torch.linalg.cross(forward, right), forward])
    return torch.cat([rotation, -(rotation @ center)[:, None]], dim=-1)


def room(half=(2.0, 1.5, 2.5), focal=(50.0, 50.0)) -> SceneBatch:
    """Views inside an empty box: where each ray leaves it is known exactly."""
    cameras = torch.stack([orbit(view) for view in range(S)])  # (S, 3, 4)
    k = torch.tensor([[focal[0], 0, W / 2], [0, focal[1], H / 2], [0, 0, 1]]).expand(S, 3, 3).clone()
    ends = unproject_depth(torch.ones(S, H, W), k, cameras)  # (S, H, W, 3)
    centers = invert_rigid(cameras)[:, None, None, :3, 3]
    rays = ends - centers  # one unit of z long
    depth = ((rays.sign() * torch.tensor(half) - centers) / rays).amin(-1)  # (S, H, W)
    points = centers + rays * depth[..., None]
    scene = SceneBatch(
        images=points.movedim(-1, 1).sin() * 0.5 + 0.5,
        depth=depth,
        cam_from_world=cameras,
        intrinsics=k,
        point_map=points,
        valid=torch.ones(S, H, W, dtype=torch.bool),
        tracks=torch.rand(S, N, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([W, H]),
        track_visibility=torch.arange(S * N).reshape(S, N) % 3 > 0,
    )
    scene.depth[0, :5], scene.valid[0, :5] = 0, False
    return scene.apply(lambda x: x[None])


@pytest.fixture
def folder(tmp_path):
    return write_scene(tmp_path / "scene", room(), units="metres", source="made here", license="CC0-1.0")


def change(path, **arrays):
    """Replace arrays of an npz file by functions of themselves."""
    with np.load(path) as file:
        old = dict(file)
    np.savez(path, **{name: arrays[name](value) if name in arrays else value for name, value in old.items()})


def test_a_scene_comes_back_as_it_was_written(folder):
    want, got = room(), read_scene(folder)
    for name in ("depth", "valid", "cam_from_world", "intrinsics", "tracks", "track_visibility"):
        assert torch.equal(getattr(got, name), getattr(want, name)), name
    assert (got.images - want.images).abs().max() <= 0.51 / 255
    torch.testing.assert_close(got.point_map[got.valid], want.point_map[want.valid], atol=1e-5, rtol=0)
    info = read_info(folder)
    assert (info.units, info.source, info.license) == ("metres", "made here", "CC0-1.0")
    assert info.images == ["000.png", "001.png", "002.png", "003.png"]
    assert check_scene(folder) == []


def test_cameras_and_pictures_alone_are_a_scene(folder):
    for part in ("depths", "masks"):
        for file in (folder / part).iterdir():
            file.unlink()
        (folder / part).rmdir()
    for file in ("tracks.npz", "scene.json"):
        (folder / file).unlink()
    (folder / "images/003.png").rename(folder / "images/20.png")  # natural order puts it last
    Image.open(folder / "images/001.png").save(folder / "images/001.jpg", quality=95)
    (folder / "images/001.png").unlink()
    scene = read_scene(folder)
    assert not scene.valid.any() and scene.tracks is None
    assert (scene.images[0, 1] - room().images[0, 1]).abs().mean() < 0.02
    assert check_scene(folder) == []


def test_nothing_is_half_written_and_nothing_foreign_is_replaced(folder, tmp_path):
    with pytest.raises(FileExistsError, match="overwrite=True"):
        write_scene(folder, room())
    write_scene(folder, room(), overwrite=True)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="home holds other files"):
        write_scene(tmp_path / "home", room(), overwrite=True)
    broken = room()
    broken.track_visibility = None  # fails after images and cameras were written
    with pytest.raises(AttributeError):
        write_scene(folder, broken, overwrite=True)
    assert check_scene(folder) == []  # the earlier scene is untouched
    assert sorted(p.name for p in tmp_path.iterdir()) == ["home", "scene"]


def test_of_several_scenes_one_must_be_chosen(tmp_path):
    two = SceneBatch.cat([room(), room()])
    with pytest.raises(ValueError, match="holds 2 scenes"):
        write_scene(tmp_path / "a", two)
    assert len(read_scene(write_scene(tmp_path / "a", two.scene(1)))) == 1


# name: (what happens to the folder, file named, cure)
FILE_MISTAKES = {
    "no cameras": (lambda f: (f / "cameras.npz").unlink(), "cameras.npz", "is missing: it must hold"),
    "an image is missing": (lambda f: (f / "images/002.png").unlink(), "images/002.png", "does not exist"),
    "an image is no picture": (lambda f: (f / "images/002.png").write_text("?"), "images/002.png", "convert"),
    "another size": (
        lambda f: Image.new("RGB", (W, H - 1)).save(f / "images/001.png"),
        "images/001.png",
        "64×47 pixels, its camera is for 64×48",
    ),
    "a camera too few": (
        lambda f: change(f / "cameras.npz", cam_from_world=lambda x: x[:-1]),
        "cameras.npz",
        r"cam_from_world is float32 \(3, 3, 4\).*S = 4",
    ),
    "wrong key": (
        lambda f: np.savez(f / "cameras.npz", extrinsics=np.eye(4)),
        "cameras.npz",
        "lacks .*extrinsics",
    ),
    "pickled objects": (
        lambda f: np.savez(f / "cameras.npz", cam_from_world=np.array([{}]), intrinsics=np.eye(3)),
        "cameras.npz",
        "numbers only, no objects",
    ),
    "broken archive": (lambda f: (f / "cameras.npz").write_bytes(b"PK"), "cameras.npz", "cannot be read"),
    "depth missing": (lambda f: (f / "depths/001.npz").unlink(), "depths/001.npz", "is missing"),
    "depth of another size": (
        lambda f: change(f / "depths/001.npz", depth=lambda x: x[:, ::2]),
        "depths/001.npz",
        "32×48 pixels, .* 64×48",
    ),
    "mask missing": (lambda f: (f / "masks/003.png").unlink(), "masks/003.png", "does not exist"),
    "tracks of other views": (
        lambda f: change(f / "tracks.npz", tracks=lambda x: x[1:]),
        "tracks.npz",
        r"tracks is float32 \(3, 5, 2\).*S = 4",
    ),
    "not JSON": (lambda f: (f / "scene.json").write_text("{"), "scene.json", "cannot be read as JSON"),
    "names with folders": (
        lambda f: (f / "scene.json").write_text('{"images": ["../../secret.png"]}'),
        "scene.json",
        "without folders",
    ),
    "no pictures": (lambda f: (f / "scene.json").write_text('{"images": []}'), "images", "holds no pictures"),
}


@pytest.mark.parametrize("mistake", FILE_MISTAKES)
def test_reading_and_checking_name_the_broken_file(mistake, folder):
    spoil, file, cure = FILE_MISTAKES[mistake]
    spoil(folder)
    message = f"{re.escape(str(folder / file))}.*{cure}"
    assert any(re.search(message, problem) for problem in check_scene(folder)), check_scene(folder)
    with pytest.raises(ValueError, match=message):
        read_scene(folder)


def spoil_view(value):
    def spoil(array):
        array = array.copy()
        array[2] = value(array[2])
        return array

    return spoil


NUMBER_MISTAKES = {
    "not finite": (
        "cameras.npz",
        {"cam_from_world": spoil_view(lambda x: x * np.nan)},
        r"view 2 \(002\).*finite",
    ),
    "scaled": ("cameras.npz", {"cam_from_world": spoil_view(lambda x: x * 1.1)}, "not orthonormal"),
    "mirrored": (
        "cameras.npz",
        {"cam_from_world": spoil_view(lambda x: x * [[-1], [1], [1]])},
        "determinant −1",
    ),
    "other pixels": (
        "cameras.npz",
        {"intrinsics": lambda x: x * [[4], [4], [1]]},
        r"\(128, 96\).*scale them",
    ),
    "half the size": ("cameras.npz", {"intrinsics": lambda x: x * [[2], [2], [1]]}, "at its border"),
    "transposed": ("cameras.npz", {"intrinsics": lambda x: x.swapaxes(1, 2)}, "transposed"),
    "no focal length": ("cameras.npz", {"intrinsics": lambda x: x * [[0], [1], [1]]}, "must be positive"),
    "depth not finite": ("depths/001.npz", {"depth": lambda x: np.where(x > 2, np.inf, x)}, "Write 0"),
    "depth negative": ("depths/001.npz", {"depth": lambda x: -x}, "negative.*flip the sign"),
    "no depth": ("depths/001.npz", {"depth": lambda x: 0 * x}, "no depth at all"),
    "tracks in other pixels": ("tracks.npz", {"tracks": lambda x: x * 4}, r"outside the image.*64×48"),
    "tracks not finite": ("tracks.npz", {"tracks": lambda x: x * np.nan}, "Mark them invisible"),
    "world_from_cam": (
        "cameras.npz",
        {"cam_from_world": lambda x: invert_rigid(torch.from_numpy(x))[:, :3].numpy()},
        "are world_from_cam: invert",
    ),
    "OpenGL axes": ("cameras.npz", {"cam_from_world": lambda x: x * [[1], [-1], [-1]]}, "axes are OpenGL"),
    "OpenGL world_from_cam": (
        "cameras.npz",
        {"cam_from_world": lambda x: invert_rigid(torch.from_numpy(x * [[1], [-1], [-1]]))[:, :3].numpy()},
        "OpenGL's world_from_cam",
    ),
    "metres and millimetres": (
        "cameras.npz",
        {"cam_from_world": lambda x: x * [1, 1, 1, 1000]},
        "translations are in thousandths",
    ),
    "views in another order": (
        "cameras.npz",
        {"cam_from_world": lambda x: x[[2, 0, 3, 1]]},
        "order of the views",
    ),
}


@pytest.mark.parametrize("mistake", NUMBER_MISTAKES)
def test_numbers_that_cannot_be_right_are_noticed(mistake, folder):
    file, changes, cure = NUMBER_MISTAKES[mistake]
    change(folder / file, **changes)
    problems = check_scene(folder)
    assert problems and re.search(f"{re.escape(str(folder / file))}.*{cure}", problems[0]), problems


def test_depths_in_millimetres_are_recognised(folder):
    for file in (folder / "depths").iterdir():
        change(file, depth=lambda x: x * 1000)
    assert "depth is in thousandths" in check_scene(folder)[0]


def test_depth_along_the_ray_is_recognised(tmp_path):
    scene = room()
    ends = unproject_depth(torch.ones_like(scene.depth), scene.intrinsics, torch.eye(3, 4))
    scene.depth = scene.depth * ends.norm(dim=-1)
    assert "distance along the ray" in check_scene(write_scene(tmp_path / "scene", scene))[0]


def test_swapped_focal_lengths_are_recognised(tmp_path):
    scene = room(focal=(50.0, 70.0))
    assert not check_scene(write_scene(tmp_path / "right", scene))
    scene.intrinsics[..., 0, 0], scene.intrinsics[..., 1, 1] = 70.0, 50.0
    assert "focal lengths are swapped" in check_scene(write_scene(tmp_path / "wrong", scene))[0]


def test_generated_scenes_raise_no_alarm(tmp_path):
    for seed in range(1_000_000, 1_000_008):
        scene = generate_scenes(seed, 1, 4, 48, 64, config=VARIED_SCENES if seed % 2 else None)
        assert not check_scene(write_scene(tmp_path / str(seed), scene))


def test_a_rotated_photograph_is_pointed_out(folder):
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.open(folder / "images/001.png").save(folder / "images/001.png", exif=exif)
    assert "001.png: carries an EXIF rotation" in check_scene(folder)[0]


def test_a_missing_folder_is_an_answer_of_the_checker_and_an_error_of_the_reader(tmp_path):
    assert "nowhere does not exist" in check_scene(tmp_path / "nowhere")[0]
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        read_scene(tmp_path / "nowhere")


def test_scene_json_is_plain_json(folder):
    assert json.loads((folder / "scene.json").read_text(encoding="utf-8"))["format"] == "vggt_lite.scene"
