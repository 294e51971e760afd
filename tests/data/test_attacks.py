"""Files that lie: each is refused with words within the limits, and what is taken can be computed with."""

import gzip
import itertools
import json
import multiprocessing
import os
import re
import resource
import shutil
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.data import attacks
from tests.data.foreign import write_co3d, write_colmap, write_nerfstudio, write_vkitti2
from vggt_lite.config import SceneConfig
from vggt_lite.data import check_scene, import_scene, load_images, write_scene
from vggt_lite.data.pictures import find_photos
from vggt_lite.data.readers import open_scene
from vggt_lite.synthetic import generate_scenes
from vggt_lite.synthetic.prerender import ShardReader, render_ahead

EVERY = 400  # of so many cases made by rule one is tried here
FILES = [(layout, name) for layout, (_, names) in attacks.LAYOUTS.items() for name in names]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("layout, name", FILES)
def test_a_scene_with_one_thing_wrong_is_refused_with_words_or_taken_soundly(layout, name, tmp_path):
    folder = attacks.LAYOUTS[layout][0](tmp_path)
    file = folder / name
    right = file.read_bytes()
    assert attacks.fault(folder, tmp_path / "right") is None
    for what, spoil in itertools.islice(attacks.attacks(file), len(name), None, EVERY):
        spoil(file)
        assert attacks.fault(folder, tmp_path / "out") is None, what
        file.write_bytes(right)
        shutil.rmtree(tmp_path / "out", ignore_errors=True)


# --- said twice, or impossible ------------------------------------------------------------------


def double_line(file: str):
    def spoil(folder: Path) -> None:
        lines = (folder / file).read_text().splitlines()
        (folder / file).write_text("\n".join([*lines, lines[-1]]))

    return spoil


def change_frame(**values):
    def spoil(folder: Path) -> None:
        content = json.loads((folder / "transforms.json").read_text())
        content["frames"][0].update(values)
        (folder / "transforms.json").write_text(json.dumps(content))

    return spoil


def change_viewpoint(**values):
    def spoil(folder: Path) -> None:
        file = folder.parent / "frame_annotations.jgz"
        content = json.loads(gzip.decompress(file.read_bytes()))
        content[-1]["viewpoint"].update(values)
        file.write_bytes(gzip.compress(json.dumps(content).encode()))

    return spoil


def one_name(folder: Path) -> None:
    file = folder / "sparse/0/images.bin"
    file.write_bytes(re.sub(rb"walk/\d+\.png", b"walk/9.png", file.read_bytes()))


def focal_of_a_line(folder: Path) -> None:
    file = folder / "sparse/0/cameras.txt"
    file.write_text(re.sub(r"PINHOLE 64 48 \S+", "PINHOLE 64 48 1e300", file.read_text(), count=1))


def another_lens(folder: Path) -> None:
    file = folder / "sparse/0/cameras.txt"
    file.write_text(file.read_text() + "\n10 PINHOLE 64 48 70 70 32 24")


SINGULAR = [[1, 0, 0], [0, 0, 0], [0, 0, 1]]
IMPOSSIBLE = {  # name: (writer, what is changed, what is said)
    "COLMAP: one name for all": (lambda root: write_colmap(root, True), one_name, "image walk/9.png .*twice"),
    "COLMAP: a camera with two lenses": (
        lambda root: write_colmap(root, False),
        another_lens,
        "camera 10 .*twice",
    ),
    "COLMAP: a point twice": (
        lambda root: write_colmap(root, False),
        double_line("sparse/0/points3D.txt"),
        "point .* twice",
    ),
    "COLMAP: focal length 1e300": (lambda root: write_colmap(root, False), focal_of_a_line, "finite"),
    "nerfstudio: a picture twice": (
        write_nerfstudio,
        change_frame(file_path="images/frame_00000.png"),
        "twice, .*frame_00000.png",
    ),
    "nerfstudio: 1e300": (
        write_nerfstudio,
        change_frame(transform_matrix=[[1e300] * 4] * 4),
        "transform_matrix.*finite",
    ),
    "nerfstudio: no angle": (
        write_nerfstudio,
        change_frame(fl_x=None, camera_angle_x=0),
        "camera_angle_x.*radians",
    ),
    "nerfstudio: an angle of 4": (write_nerfstudio, change_frame(fl_x=None, camera_angle_x=4.0), "radians"),
    "CO3D: singular": (write_co3d, change_viewpoint(R=SINGULAR), "singular"),
    "CO3D: no focal length": (write_co3d, change_viewpoint(focal_length=[0.0, 1.0]), "focal lengths 0"),
    "Virtual KITTI 2: a frame twice": (write_vkitti2, double_line("intrinsic.txt"), "frame 3 a second time"),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_what_is_said_twice_or_cannot_be_is_refused_and_named(case, tmp_path):
    writer, spoil, message = IMPOSSIBLE[case]
    folder = writer(tmp_path / "theirs")
    spoil(folder)
    if "frame twice" in case:  # of the other camera: it may stand there, and is not asked for
        assert check_scene(folder) == []
        file = folder / "intrinsic.txt"
        file.write_text(file.read_text() + "\n" + file.read_text().splitlines()[-3])
    with pytest.raises(ValueError, match=message):
        open_scene(folder)
    (problem,) = check_scene(folder)
    assert re.search(message, problem)
    with pytest.raises(ValueError, match=message):
        import_scene(folder, tmp_path / "ours")
    assert not (tmp_path / "ours").exists()


def test_tracks_that_are_no_numbers_where_nothing_is_seen_do_not_matter(tmp_path):
    scene = generate_scenes(1_000_000, 1, 3, 32, 32, num_tracks=40)
    scene.track_visibility[:, 1, :5] = False
    scene.tracks[:, 1, :5] = torch.nan
    folder = write_scene(tmp_path / "scene", scene)
    assert check_scene(folder) == []
    scene.track_visibility[:, 1, :5] = True
    assert "not finite" in check_scene(write_scene(folder, scene, overwrite=True))[0]


# --- too large, or endless ----------------------------------------------------------------------


def said_within_limits(work: Callable[[], object], gigabytes: float = 1.0, seconds: float = 5.0) -> str:
    """What some work returns or raises in a child process that may take so much more memory, and time."""

    def child(pipe) -> None:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + int(gigabytes * 2**30),) * 2)
        start = time.process_time()
        try:
            said = str(work())
        except (ValueError, FileNotFoundError) as error:
            said = str(error)
        pipe.send((said, time.process_time() - start))

    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=child, args=(there,))
    process.start()
    process.join(timeout=60)
    assert process.exitcode == 0
    said, took = here.recv()
    assert took < seconds
    return said


def write_gif(path: Path, frames: int, side: int) -> None:
    """A GIF that says it has so many frames; each is a few bytes."""
    head = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    frame = (
        b"\x21\xf9\x04\0\x0a\0\0\0" + b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\0"
    )
    path.write_bytes(head + frame * frames + b";")


def write_pages(path: Path, count: int, side: int) -> None:
    pages = [Image.new("1", (side, side)) for _ in range(count)]
    pages[0].save(path, save_all=True, append_images=pages[1:], compression="group4")


LINUX = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="limits memory as Linux does")
FILM_BOMBS = {
    "400 frames of 6000²": ("film.gif", lambda path: write_gif(path, 400, 6000)),
    "100,000 frames of 8²": ("film.gif", lambda path: write_gif(path, 100_000, 8)),
    "3 pages of 9000²": ("pages.tif", lambda path: write_pages(path, 3, 9000)),
}


@LINUX
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("bomb", FILM_BOMBS)
def test_many_frames_are_refused_before_they_are_unpacked(bomb, tmp_path):
    name, write = FILM_BOMBS[bomb]
    write(tmp_path / name)
    assert re.search(
        f"{name} unpacks to .* pictures", said_within_limits(lambda: load_images(tmp_path / name))
    )


JSON_BOMBS = {
    "100,000 brackets": b"[" * 100_000,
    "100,000 brackets inside": b'{"frames": ' + b"[" * 100_000,
    "much that nobody asked for": b'{"frames": [], "x": [' + b"[]," * 20_000_000 + b"[]]}",
    "much, and NaN": b'{"frames": NaN, "x": [' + b"[]," * 20_000_000 + b"[]]}",
}


@LINUX
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("bomb", JSON_BOMBS)
def test_json_takes_no_memory_that_its_schema_does_not_ask_for(bomb, tmp_path):
    (tmp_path / "transforms.json").write_bytes(JSON_BOMBS[bomb])
    said = said_within_limits(lambda: open_scene(tmp_path))
    assert "transforms.json cannot be read as JSON" in said


@LINUX
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_packed_json_unpacks_to_no_more_than_text_of_numbers_would(tmp_path):
    folder = write_co3d(tmp_path)
    (tmp_path / "apple" / "frame_annotations.jgz").write_bytes(gzip.compress(b" " * 200_000_000, 1))
    assert re.search("annotations.jgz .* unpack to more than", said_within_limits(lambda: open_scene(folder)))


@LINUX
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("name", ["cameras.bin", "images.bin", "points3D.bin"])
def test_counts_and_sizes_of_binary_files_are_held_against_each_other(name, tmp_path):
    path = write_colmap(tmp_path, binary=True) / "sparse/0" / name
    for size, head in ((1 << 40, b""), (1 << 28, struct.pack("<Q", 1 << 60))):  # files of holes
        with path.open("wb") as file:
            file.write(head)
            file.truncate(size)
        assert str(path) in said_within_limits(lambda: open_scene(tmp_path))


def test_only_the_arrays_that_are_asked_for_are_unpacked(tmp_path):
    folder = write_scene(tmp_path / "scene", generate_scenes(1_000_000, 1, 2, 16, 16))
    with zipfile.ZipFile(folder / "cameras.npz", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("junk.npy", b"not even an array")
    assert check_scene(folder) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names")
def test_a_pipe_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "transforms.json")
    os.mkfifo(tmp_path / "photo.jpg")
    start = time.perf_counter()
    with pytest.raises(ValueError, match="transforms.json .*pipe"):
        open_scene(tmp_path / "transforms.json")
    with pytest.raises(ValueError, match="photo.jpg is a pipe"):
        load_images([tmp_path / "photo.jpg"])
    folder = write_scene(tmp_path / "scene", generate_scenes(1_000_000, 1, 2, 16, 16))
    for name in ("scene.json", "cameras.npz", "depths/000.npz", "images/000.png"):
        right = (folder / name).rename(tmp_path / "right")
        os.mkfifo(folder / name)
        assert any(name in problem and "pipe" in problem for problem in check_scene(folder)), name
        right.rename(folder / name)
    assert time.perf_counter() - start < 3


# --- pictures -----------------------------------------------------------------------------------


def test_no_format_that_starts_a_program_is_opened(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n"
    )
    with pytest.raises(ValueError, match="photo.jpg is not a picture"):
        load_images(tmp_path / "photo.jpg")


@pytest.mark.parametrize("kind, suffix", [("WEBP", "webp"), ("TIFF", "tif"), ("PNG", "png"), ("GIF", "gif")])
def test_several_frames_or_pages_are_several_views_or_there_is_a_word(kind, suffix, tmp_path):
    frames = [Image.new("RGB", (64, 48), color) for color in ("red", "green", "blue")]
    path = tmp_path / f"film.{suffix}"
    frames[0].save(path, kind, save_all=True, append_images=frames[1:], lossless=True)
    photos = find_photos(path)
    assert [photo.name for photo in photos] == ["film_000", "film_001", "film_002"]
    assert [np.asarray(photo.open())[9, 9].argmax() for photo in photos] == [0, 1, 2]
    with pytest.warns(UserWarning, match=r"film.* holds 3 pictures: only the first"):
        assert len(load_images([path], size=64, patch_size=8)) == 1


def test_one_large_picture_is_no_film(tmp_path):
    path = tmp_path / "phone.png"
    Image.new("1", (12_000, 9_000)).save(path)
    assert len(load_images(path, size=64, patch_size=8)) == 1
    wide = np.arange(1 << 16, dtype=np.uint16).reshape(256, 256)
    want = np.round(np.arange(1 << 16) / 257).reshape(256, 256)
    assert (np.asarray(find_photos(wide)[0].open())[..., 0] == want).all()


def test_a_phones_preview_is_no_second_photograph(tmp_path, recwarn):
    frames = [Image.new("RGB", (64, 48), color) for color in ("red", "green")]
    frames[0].save(tmp_path / "phone.jpg", "MPO", save_all=True, append_images=frames[1:])
    assert len(load_images(tmp_path, size=64, patch_size=8)) == 1 and not recwarn.list


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF", "PPM", "JPEG2000"])
def test_a_damaged_picture_is_taken_or_named(kind, tmp_path):
    path = tmp_path / "photo.gif"
    path.write_bytes(attacks.picture_bytes(kind))
    load_images(path, size=64, patch_size=8)
    for what, spoil in itertools.islice(attacks.byte_attacks(path), 0, None, 17):
        path.write_bytes(attacks.picture_bytes(kind))
        spoil(path)
        try:
            load_images(path, size=64, patch_size=8)
        except ValueError as error:
            assert "photo.gif" in str(error), what


NO_PICTURES = {
    "masked": (np.ma.masked_equal(np.zeros((8, 8, 3), np.uint8), 0), "masked"),
    "sparse": (torch.zeros(3, 8, 8).to_sparse(), "not a plain tensor"),
    "without data": (torch.zeros(3, 8, 8, device="meta"), "not a plain tensor"),
    "complex": (torch.zeros(3, 8, 8, dtype=torch.complex64), "dtype complex64"),
}


@pytest.mark.parametrize("case", NO_PICTURES)
def test_arrays_without_plain_numbers_are_refused(case):
    with pytest.raises(ValueError, match=f"image 0 .*{NO_PICTURES[case][1]}"):
        load_images([NO_PICTURES[case][0]], size=64, patch_size=8)


def test_a_tensor_that_is_only_marked_as_negated_is_its_numbers():
    view = torch.complex(torch.zeros(3, 8, 8), torch.full((3, 8, 8), -0.5)).conj().imag
    assert view.is_neg()
    assert torch.allclose(load_images(view, size=8, patch_size=8).images, torch.tensor(0.5), atol=1 / 255)


def test_sizes_beyond_reason_are_refused_before_work(tmp_path):
    folder = write_nerfstudio(tmp_path / "theirs")
    for size in (0, 14 * 10**6, 10**30):
        with pytest.raises(ValueError, match=f"size={size} "):
            load_images(np.zeros((8, 8, 3), np.uint8), size=size)
        with pytest.raises(ValueError, match="pixels a side"):
            import_scene(folder, tmp_path / "ours", size)
    with pytest.raises(MemoryError, match="10000 pictures of size=4088 need about .* GB"):
        load_images([np.zeros((8, 8, 3), np.uint8)] * 10_000, size=4088)
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "thesis.txt").write_text("years")
    (folder / "transforms.json").unlink()
    with pytest.raises(FileExistsError, match="holds other files"):  # said first
        import_scene(folder, tmp_path / "ours")
    for request in ({"num_scenes": 10**6}, {"num_views": 0}, {"size": 0}, {"num_scenes": 0}, {"size": 10**6}):
        asked = {"num_scenes": 2, "num_views": 2, "size": 16} | request
        if request != {"num_scenes": 10**6}:
            with pytest.raises(ValueError, match=next(iter(request)).replace("size", "height")):
                render_ahead(tmp_path / "ahead", SceneConfig(), **asked)
            assert not (tmp_path / "ahead").exists()
        with pytest.raises((ValueError, MemoryError)):
            generate_scenes(
                0, asked["num_scenes"], asked["num_views"], asked["size"] * 256, asked["size"] * 256
            )


# --- scenes rendered ahead ----------------------------------------------------------------------


def test_shards_and_index_are_checked_before_use(tmp_path):
    folder, config = tmp_path / "a", SceneConfig()
    render_ahead(folder, config, 3, 2, 16, shard_scenes=2)
    render_ahead(tmp_path / "b", config, 3, 2, 16, first_seed=5, shard_scenes=2)
    shard = folder / "scenes_00001.safetensors"
    right, index = shard.read_bytes(), (folder / "index.json").read_text()
    for content in (right[:-100], right[:50], b"", (tmp_path / "b" / shard.name).read_bytes()):
        shard.write_bytes(content)
        for use in (ShardReader, lambda folder: render_ahead(folder, config, 3, 2, 16, shard_scenes=2)):
            with pytest.raises(ValueError, match="scenes_00001.safetensors cannot be read as a shard"):
                use(folder)
    shard.write_bytes(right)
    for old, new, where in (('"num_views": 2', '"num_views": "2"', "num_views"), ("{", "[", "JSON")):
        (folder / "index.json").write_text(index.replace(old, new, 1))
        with pytest.raises(ValueError, match=f"index.json.*{where}"):
            ShardReader(folder)
    (folder / "index.json").write_text(index)
    assert ShardReader(folder).num_scenes == 3
