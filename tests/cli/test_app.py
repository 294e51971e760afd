"""What the app does with photographs, without its page; tests/browser/test_app.py drives the page."""

import re
import socket
import sys
import time
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.cli.test_commands import fails_in_one_line
from vggt_lite.cli.app import is_loopback
from vggt_lite.cli.app_work import (
    BLACK,
    EDGES,
    LEFT_OUT,
    RESULT,
    WHITE,
    Job,
    Session,
    Settings,
    figure,
    find_uploads,
    plain,
    reconstruct,
    without,
    write_files,
)
from vggt_lite.cli.export import FILES
from vggt_lite.inference import Reconstruction
from vggt_lite.inference.memory_estimate import MemoryEstimate
from vggt_lite.synthetic import generate_scenes


@pytest.fixture(scope="module")
def uploads(tmp_path_factory):
    """Three photographs of a generated room, each in a folder of its own, as Gradio keeps uploads."""
    pictures = generate_scenes(1_000_003, 1, 3, 48, 64).images[0]
    paths = []
    for number, picture in enumerate(pictures):
        paths.append(tmp_path_factory.mktemp(f"upload{number}") / f"view{number}.png")
        Image.fromarray((picture.permute(1, 2, 0) * 255).byte().numpy()).save(paths[-1])
    return paths


@pytest.fixture
def settings(tmp_path):
    return Settings(str(tmp_path), "nano", False, torch.device("cpu"), 3, 10**6, 60.0)


@pytest.fixture(scope="module")
def scene(uploads, tmp_path_factory):
    folder = tmp_path_factory.mktemp("app")
    settings = Settings(str(folder), "nano", False, torch.device("cpu"), 3, 10**6, 60.0)
    return reconstruct(uploads[::-1], [], "nano", "crop", 2.0, settings, print)[0]


def write(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).write_bytes(content)
    return folder / name


def test_photographs_become_a_scene_in_natural_order_and_the_estimate_is_told_first(uploads, settings):
    told = []
    scene, estimate = reconstruct(uploads[::-1], [], "nano", "crop", 2.0, settings, told.append)
    assert scene.names == ["view0.png", "view1.png", "view2.png"]
    assert told == ["loading nano", estimate]
    assert re.fullmatch(r"3 views of 64×48 pixels: about \d+ seconds?", estimate)
    assert not list(Path(settings.folder).iterdir()), "nothing stays behind"


def test_of_a_long_pass_the_memory_is_told_too(uploads, settings, monkeypatch):
    memory = MemoryEstimate(10**6, {"depth_head": 2 * 10**6})  # the count itself takes seconds
    monkeypatch.setattr("vggt_lite.cli.app_work.LONG", 0.0)
    monkeypatch.setattr("vggt_lite.cli.app_work.estimate_memory", lambda *_, **__: memory)
    _, estimate = reconstruct(uploads[:1], [], "nano", "crop", 2.0, settings, print)
    assert estimate.startswith("1 view of 64×48 pixels: about ") and estimate.endswith(f", {memory}")


def test_a_mask_is_found_by_its_photographs_name(uploads, settings, tmp_path_factory):
    folder, mask = tmp_path_factory.mktemp("masks"), np.full((48, 64), 255, np.uint8)
    mask[:, :32] = 0
    paths = [folder / path.name for path in uploads]
    for path in paths:
        Image.fromarray(mask).save(path)
    scene, _ = reconstruct(uploads, paths, "nano", "crop", 2.0, settings, print)
    assert not scene.valid[:, :, :32].any() and scene.valid[:, :, 32:].all()
    with pytest.raises(FileNotFoundError, match="has no mask for view2.png"):
        reconstruct(uploads, paths[:2], "nano", "crop", 2.0, settings, print)


def test_one_picture_is_a_scene_that_cannot_be_refined(uploads, settings):
    scene, _ = reconstruct(uploads[:1], [], "nano", "crop", 2.0, settings, print)
    assert len(scene) == 1
    with pytest.raises(ValueError, match="refining needs two or more views"):
        scene.refine()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("notes.jpg", b"no picture", "notes.jpg is not a picture Pillow can read"),
        ("cut.png", None, "cut.png is damaged"),
        ("empty.png", b"", "empty.png is empty"),
        ("film.mp4", b"no film", "film.mp4 is no video that can be read"),
        ("film.gif", b"GIF89a", "film.gif"),
    ],
)
def test_a_bad_upload_is_named_as_the_user_names_it(
    uploads, settings, tmp_path_factory, name, content, words
):
    if content is None:
        content = uploads[0].read_bytes()[:800]
    path = write(tmp_path_factory.mktemp("bad"), name, content)
    with pytest.raises(ValueError) as caught:
        reconstruct([path], [], "nano", "crop", 2.0, settings, print)
    text = plain(caught.value, [path])
    assert text.startswith(words) and str(path.parent) not in text


def test_limits_are_kept_before_anything_is_decoded(uploads, settings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("limits")
    junk = write(folder, "junk.jpg", b"no picture")
    with pytest.raises(ValueError, match="there are no photographs yet"):
        find_uploads([], 2.0, settings)
    with pytest.raises(ValueError, match="there are 4 views, and 3 are allowed"):
        find_uploads([*uploads, junk], 2.0, settings)
    large = write(folder, "large.jpg", bytes(10**6))
    with pytest.raises(ValueError, match="have 1 MB together, and 1 MB are allowed"):
        find_uploads([*uploads[:2], large], 2.0, replace(settings, most_bytes=10**6))
    with pytest.raises(ValueError, match="walk.mp4 is a video: give it by itself"):
        find_uploads([uploads[0], write(folder, "walk.mp4", b"")], 2.0, settings)


def test_an_animation_counts_as_its_frames(settings, tmp_path_factory):
    path = tmp_path_factory.mktemp("film") / "film.gif"
    frames = [Image.new("L", (64, 48), 60 * n) for n in range(4)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    with pytest.raises(ValueError, match="there are 4 views, and 3 are allowed"):
        find_uploads([path], 2.0, settings)


def test_in_a_network_only_offered_weights_are_loaded(uploads, settings):
    assert settings.choices == ["nano", "tiny"]
    with pytest.raises(ValueError, match="this app offers nano, tiny"):
        reconstruct(uploads, [], "/etc/passwd", "crop", 2.0, settings, print)
    allowed = replace(settings, any_weights=True)
    with pytest.raises((ValueError, OSError), match="passwd"):
        reconstruct(uploads, [], "/etc/passwd", "crop", 2.0, allowed, print)


def test_the_slider_and_what_is_left_out_change_the_figure(scene, monkeypatch):
    for name in ("VGGT_LITE_FAST", "VGGT_LITE_MAX_POINTS"):  # or figures have few points
        monkeypatch.delenv(name, raising=False)
    every = len(figure(scene, 0, []).data[0].x)
    assert len(figure(scene, 50, []).data[0].x) == pytest.approx(every / 2, abs=2)
    assert len(figure(scene, 0, [EDGES]).data[0].x) == without(scene, [EDGES]).valid.sum() < every


def test_a_black_and_a_white_background_are_left_out():
    pixels = np.full((2, 48, 64, 3), 128, np.uint8)
    pixels[:, :12] = 0
    pixels[:, 40:] = 255
    pixels[:, 20, :, 0] = 0  # dark in one channel is a colour
    scene = Reconstruction.from_batch(generate_scenes(1_000_003, 1, 2, 48, 64))
    scene = replace(scene, images=list(torch.from_numpy(pixels)))
    there = scene.valid.sum()
    black, both = without(scene, [BLACK]), without(scene, list(LEFT_OUT[1:]))
    assert not black.valid[:, :12].any() and torch.equal(black.valid[:, 12:], scene.valid[:, 12:])
    assert not both.valid[:, 40:].any() and torch.equal(both.valid[:, 12:40], scene.valid[:, 12:40])
    assert without(scene, [WHITE]).valid[:, :12].any() and scene.valid.sum() == there


def test_all_formats_come_in_one_archive(scene, settings):
    pytest.importorskip("pycolmap"), pytest.importorskip("trimesh")
    session = Session(scene)
    path = write_files(session, [RESULT, *FILES], 50, [EDGES], settings)
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        assert {f"{RESULT}/index.html", f"{RESULT}/arrays.npz", "scene.glb", "trajectory.txt"} < set(names)
        assert {"colmap/sparse/0/cameras.bin", "nerfstudio/transforms.json", "points.ply"} < set(names)
        cloud = archive.read("points.ply")
    count = int(cloud.split(b"element vertex ")[1].split(b"\n")[0])
    assert count == pytest.approx(without(scene, [EDGES]).valid.sum() / 2, abs=2)
    assert [child.name for child in Path(settings.folder).iterdir()] == [session.folder.name]


def test_files_need_a_scene_and_a_format(scene, settings):
    with pytest.raises(ValueError, match="no scene yet"):
        write_files(Session(), [RESULT], 0, [], settings)
    with pytest.raises(ValueError, match="no format is chosen"):
        write_files(Session(scene), [], 0, [], settings)


def test_a_session_forgets_scene_uploads_and_files(scene, settings, tmp_path_factory):
    upload = write(tmp_path_factory.mktemp("upload"), "a.png", b"1")
    session = Session(scene, uploads={upload})
    made = write_files(session, ["ply"], 0, [], settings)
    assert made.is_file()
    session.forget()
    assert session == Session() and not made.exists() and not upload.exists()
    session.forget()  # twice is no error: cleared, then expired


def test_a_job_is_stopped_as_by_ctrl_c_and_takes_its_thread_along(uploads, settings):
    cleaned = []

    def endless():
        try:
            while True:
                time.sleep(0.01)
        finally:
            cleaned.append(True)

    job = Job(endless, print)
    job.start()
    job.stop()
    job.join(10)
    assert not job.is_alive() and cleaned and job.result is None
    assert plain(job.error, []) == "stopped."
    job.stop()  # of a thread that is gone: nothing happens


def test_a_jobs_notes_are_told_and_kept_and_warnings_are_as_before():
    told, before = [], warnings.showwarning

    def call():
        warnings.warn("it will take about 3 minutes", stacklevel=1)
        return 1

    job = Job(call, told.append)
    job.start()
    job.join()
    assert job.result == 1 and told == job.notes == ["it will take about 3 minutes"]
    assert warnings.showwarning is before


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("192.168.1.5", False),
     ("my-machine", False)],
)  # fmt: skip
def test_only_loopback_is_this_computer_alone(host, local):
    assert is_loopback(host) == local


def test_a_port_that_is_taken_and_a_missing_gradio_are_told_in_one_line(capsys, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        line = fails_in_one_line(capsys, "app", "--port", taken.getsockname()[1])
    assert "Choose another --port" in line
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.delitem(sys.modules, "vggt_lite.cli.app_page", raising=False)
    assert "pip install 'vggt-lite[app]'" in fails_in_one_line(capsys, "app", "--port", 0)
