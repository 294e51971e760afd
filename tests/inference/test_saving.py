"""A reconstruction in a folder: whole or not at all, the same when read, one cloud in page and file."""

import base64
import json
import os
import re
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import vggt_lite.viz
from tests.inference.oracle import Oracle, pictures, report
from vggt_lite.export.ply import read_ply
from vggt_lite.geometry import Similarity, matrix_from_quat_xyzw
from vggt_lite.inference import Reconstruction, reconstruct
from vggt_lite.inference.known import moved
from vggt_lite.inference.refine import Refinement

pytestmark = pytest.mark.filterwarnings("ignore:the views differ in size")


def test_a_saved_reconstruction_comes_back_the_same(scene, page, tmp_path):
    assert scene.save(tmp_path / "out") == tmp_path / "out"
    back = Reconstruction.load(tmp_path / "out")
    assert back.names == scene.names and back.pixel_maps == scene.pixel_maps
    for name, value in vars(scene).items():
        got = getattr(back, name)
        if isinstance(value, torch.Tensor):
            assert torch.equal(got, value) and got.dtype == value.dtype, name
    assert all(torch.equal(a, b) for a, b in zip(back.images, scene.images, strict=True))
    assert repr(back) == repr(scene)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "SHA256SUMS",
        "arrays.npz",
        "images",
        "index.html",
        "points.ply",
        "scene.json",
    ]


def test_saving_replaces_only_on_request_and_only_its_own(scene, page, tmp_path, monkeypatch):
    scene.save(tmp_path / "out")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        scene.save(tmp_path / "out")
    scene.names[0] = "renamed"
    scene.save(tmp_path / "out", overwrite=True)
    assert Reconstruction.load(tmp_path / "out").names[0] == "renamed"

    def fail(scene, path, **_):
        raise RuntimeError("disk full")

    monkeypatch.setattr(vggt_lite.viz, "write_html", fail)
    scene.names[0] = "half"
    with pytest.raises(RuntimeError, match="disk full"):
        scene.save(tmp_path / "out", overwrite=True)
    assert Reconstruction.load(tmp_path / "out").names[0] == "renamed"  # the earlier result is whole
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").write_bytes(b"1")
    with pytest.raises(FileExistsError, match="photos holds other files"):
        scene.save(tmp_path / "photos", overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "photos"]


def test_loading_something_else_says_so(scene, page, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        Reconstruction.load(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="holds no saved reconstruction"):
        Reconstruction.load(tmp_path)
    scene.save(tmp_path / "out")
    (tmp_path / "out" / "arrays.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match="out is damaged.*save the reconstruction again"):
        Reconstruction.load(tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("colors", np.zeros((3, 64, 64, 3))), ("depth", np.zeros((3, 8, 8), np.float32)),
     ("tracks", np.zeros((3, 2), np.float32)), ("intrinsics", np.zeros((2, 3, 3), np.float32))],
)  # fmt: skip
def test_arrays_that_do_not_fit_are_refused_when_they_are_loaded(scene, page, tmp_path, name, wrong):
    scene.save(tmp_path / "out")
    with np.load(tmp_path / "out" / "arrays.npz") as file:
        arrays = dict(file)
    np.savez(tmp_path / "out" / "arrays.npz", **{**arrays, name: wrong})
    with pytest.raises(ValueError, match=f"out is damaged .{name} is "):
        Reconstruction.load(tmp_path / "out")
    np.savez(tmp_path / "out" / "arrays.npz", **{key: arrays[key] for key in arrays if key != "valid"})
    with pytest.raises(ValueError, match="out is damaged .*valid"):
        Reconstruction.load(tmp_path / "out")


def same(a, b) -> bool:
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a.nan_to_num(-1), b.nan_to_num(-1))
    return a == b or a != a and b != b


def test_the_report_of_a_refinement_and_masks_come_back_the_same(scene, page, tmp_path):
    masks = [
        torch.rand(size, generator=torch.Generator().manual_seed(1)) > 0.3 for size in scene.original_sizes
    ]
    scene = replace(scene, refinement=report(scene)).with_masks(masks)
    scene.save(tmp_path / "out")
    back = Reconstruction.load(tmp_path / "out")
    assert all(map(torch.equal, back.masks, masks)) and torch.equal(back.valid, scene.valid)
    for name, value in vars(scene.refinement).items():
        assert same(value, getattr(back.refinement, name)), name
    assert str(back.refinement) == str(scene.refinement)
    refused = Refinement(False, "too few points", {(0, 2): 3})
    replace(scene, refinement=refused).save(tmp_path / "other")
    assert all(
        map(same, vars(Reconstruction.load(tmp_path / "other").refinement).values(), vars(refused).values())
    )


def test_a_folder_of_before_there_were_reports_and_masks_still_opens(scene, page, tmp_path):
    scene.made = {"weights": "mine"}
    scene.save(tmp_path / "out")
    assert Reconstruction.load(tmp_path / "out").made == {"weights": "mine"}
    contents = json.loads((tmp_path / "out" / "scene.json").read_text())
    del contents["made"]
    assert set(contents) == {"format", "version", "about", "views"}
    (tmp_path / "out" / "scene.json").write_text(json.dumps(contents))
    back = Reconstruction.load(tmp_path / "out")
    assert back.refinement is None and back.masks is None and back.made == {}


def bomb(folder) -> None:
    """Two kilobytes, of which the header says that they are 4 TB of zeros."""
    header = np.lib.format.header_data_from_array_1_0(np.zeros(1, np.float32)) | {"shape": (3, 10**12)}
    with zipfile.ZipFile(folder / "arrays.npz", "a", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("extras.bomb.npy", "w") as file:
            np.lib.format.write_array_header_1_0(file, header)
            file.write(bytes(10**6))


def edit(change):
    def act(folder) -> None:
        contents = json.loads((folder / "scene.json").read_text(encoding="utf-8"))
        change(contents)
        (folder / "scene.json").write_text(json.dumps(contents), encoding="utf-8")

    return act


def put_link(folder) -> None:
    (folder / "images" / "000.png").unlink()
    Image.new("RGB", (90, 60), "red").save(folder.parent / "secret.png")
    (folder / "images" / "000.png").symlink_to(folder.parent / "secret.png")


def put_pipe(name: str):
    def act(folder) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return act


def arrays_changed(change):
    def act(folder) -> None:
        with np.load(folder / "arrays.npz") as file:
            arrays = dict(file)
        change(arrays)
        np.savez(folder / "arrays.npz", **arrays)

    return act


def without(name: str):
    return arrays_changed(lambda arrays: arrays.pop(name))


def shortened(name: str):
    return arrays_changed(lambda arrays: arrays.update({name: arrays[name][1:]}))


DAMAGE = {
    "a pipe for arrays": put_pipe("arrays.npz"),
    "a pipe for a picture": put_pipe("images/001.png"),
    "a pipe for scene.json": put_pipe("scene.json"),
    "an npz bomb": bomb,
    "a link out of the folder": put_link,
    "a picture of another format": lambda f: Image.new("RGB", (9, 6)).save(f / "images" / "001.png", "GIF"),
    "a picture too large": lambda f: Image.new("RGB", (9000, 6)).save(f / "images" / "001.png"),
    "a picture that is missing": lambda f: (f / "images" / "002.png").unlink(),
    "no view": edit(lambda c: c.update(views=[])),
    "one view less": edit(lambda c: c["views"].pop()),
    "views that are numbers": edit(lambda c: c.update(views=[1, 2, 3])),
    "a name that is a list": edit(lambda c: c["views"][0].update(name=["x"])),
    "no pixel map": edit(lambda c: c["views"][0].pop("pixel_map")),
    "a size of text": edit(lambda c: c["views"][0]["pixel_map"].update(original_size=["a", "b"])),
    "a size below 0": edit(lambda c: c["views"][0]["pixel_map"].update(original_size=[-1, 5])),
    "scale 0": edit(lambda c: c["views"][0]["pixel_map"].update(scale=[0.0, 1.0])),
    "scale NaN": edit(lambda c: c["views"][0]["pixel_map"].update(scale=[float("nan"), 1.0])),
    "another network size": edit(lambda c: c["views"][0]["pixel_map"].update(network_size=[8, 8])),
    "brackets": lambda f: (f / "scene.json").write_text("[" * 100_000),
    "no arrays": lambda f: (f / "arrays.npz").unlink(),
    "no report for its arrays": edit(lambda c: c.pop("refinement")),
    "a report without its number": edit(lambda c: c["refinement"].pop("seconds")),
    "matches of a view that is not there": edit(lambda c: c["refinement"].update(matches=[[0, 3, 20]])),
    "no tracks for the report": without("refinement.tracks"),
    "fewer points than tracks": shortened("refinement.points"),
    "no masks": lambda f: (f / "masks" / "001.png").unlink(),
    "a mask of another size": lambda f: Image.new("1", (9, 6)).save(f / "masks" / "001.png"),
    "a mask too large": lambda f: Image.new("1", (9000, 6)).save(f / "masks" / "001.png"),
}


@pytest.mark.skipif(os.name != "posix", reason="links and pipes of POSIX")
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_folder_is_refused_when_it_is_loaded(scene, page, tmp_path, damage):
    masks = [torch.ones(size, dtype=torch.bool) for size in scene.original_sizes]
    replace(scene, refinement=report(scene), masks=masks).save(tmp_path / "out")
    Reconstruction.load(tmp_path / "out")
    DAMAGE[damage](tmp_path / "out")
    with pytest.raises(ValueError, match="out is damaged|out holds no saved") as fault:
        Reconstruction.load(tmp_path / "out")
    assert damage != "an npz bomb" or "GB of memory" in str(fault.value)  # before it is unpacked


def test_a_folder_reads_no_picture_outside_itself(scene, page, tmp_path):
    scene.save(tmp_path / "out")
    Image.new("RGB", (90, 60), "red").save(tmp_path / "secret.png")
    contents = tmp_path / "out" / "scene.json"
    contents.write_bytes(contents.read_bytes().replace(b"images/000.png", b"../secret.png"))
    assert torch.equal(Reconstruction.load(tmp_path / "out").images[0], scene.images[0])


def test_a_tilde_means_the_home_folder(scene, page, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert scene.save("~/out") == tmp_path / "out" and (tmp_path / "out" / "points.ply").is_file()


# --- one cloud in page and file ---------------------------------------------------------------------


def shown_by_the_page(folder) -> tuple[np.ndarray, str]:
    """(M, 3) points that index.html draws when it is opened, found as its script does, and their source."""
    text = (folder / "index.html").read_text(encoding="utf-8")
    start = int(re.search(r'type="range"[^>]* value="(\d+)"', text)[1])
    source = re.search(r'<option value="(\w+)"', text)[1]
    block = re.search(r'<script type="application/json">(.*?)</script>', text, re.DOTALL)[1]
    cloud = json.loads(block)["figures"][0]["clouds"][source]
    axes = [np.frombuffer(base64.b64decode(cloud[axis]), "<f4") for axis in "xyz"]
    rank = np.frombuffer(base64.b64decode(cloud["rank"]), "u1")
    return np.stack(axes, axis=1)[rank >= start], source


@pytest.mark.parametrize("source", [None, "depth", "point_map"])
@pytest.mark.parametrize("percentile", [0, 30])
def test_the_point_file_holds_what_the_page_shows(tmp_path, monkeypatch, source, percentile):
    monkeypatch.setenv("VGGT_LITE_MAX_POINTS", "500")  # of 8,000: both draw the same sample
    points = torch.rand(3, 64, 64, 3, generator=torch.Generator().manual_seed(1))
    scene = reconstruct(Oracle(point_map=points), pictures())
    scene.save(tmp_path / "out", source=source, confidence_percentile=percentile)
    shown, shown_source = shown_by_the_page(tmp_path / "out")
    assert shown_source == (source or "depth") and 0 < len(shown) <= 500
    np.testing.assert_array_equal(read_ply(tmp_path / "out" / "points.ply"), shown)


def test_a_scene_in_a_known_world_is_drawn_from_its_first_camera(scene, tmp_path):
    turn = matrix_from_quat_xyzw(torch.tensor([0.3, -0.5, 0.2, 0.7]))
    world = Similarity(torch.tensor(1.0), turn, torch.tensor([4.0, -2.0, 7.0]))
    scene.save(tmp_path / "own")
    moved(scene, world).save(tmp_path / "known")
    pages = [shown_by_the_page(tmp_path / name)[0] for name in ("own", "known")]
    np.testing.assert_allclose(*pages, atol=1e-5)
    points = [read_ply(tmp_path / name / "points.ply") for name in ("own", "known")]
    assert torch.allclose(world.apply(points[0]), points[1], atol=1e-5)  # a file keeps the scene's world


def test_a_source_or_a_share_that_cannot_be_is_refused(scene, page, tmp_path):
    with pytest.raises(ValueError, match="source='lidar'.*'depth', 'point_map'"):
        scene.save(tmp_path / "out", source="lidar")
    with pytest.raises(ValueError, match="confidence_percentile=96 must lie in 0 … 95"):
        scene.save(tmp_path / "out", confidence_percentile=96)
    assert not list(tmp_path.iterdir())
