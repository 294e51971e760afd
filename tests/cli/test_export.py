"""`vggt-lite export`: all formats of a saved result, or one line and nothing."""

import json

import numpy as np
import pytest

from tests.cli.test_commands import fails_in_one_line
from vggt_lite.cli import main
from vggt_lite.export import read_ply
from vggt_lite.inference import Reconstruction
from vggt_lite.synthetic import generate_scenes


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    batch = generate_scenes(1_000_008, 1, 2, 48, 64)
    return Reconstruction.from_batch(batch, names=["left.jpg", "right.jpg"]).save(
        tmp_path_factory.mktemp("saved") / "result"
    )


def test_every_format_has_its_place_and_keeps_the_names(result, tmp_path, capsys):
    pycolmap, trimesh = pytest.importorskip("pycolmap"), pytest.importorskip("trimesh")
    out = tmp_path / "out"
    which = "colmap,nerfstudio,glb,tum,ply"
    assert main(["export", str(result), "--to", which, "--out", str(out), "--text", "--mask-edges"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 5
    model = pycolmap.Reconstruction(out / "colmap" / "sparse" / "0")
    assert (out / "colmap" / "sparse" / "0" / "images.txt").is_file() and model.num_points3D() > 100
    assert sorted(image.name for image in model.images.values()) == ["left.jpg", "right.jpg"]
    frames = json.loads((out / "nerfstudio" / "transforms.json").read_text())["frames"]
    assert [frame["file_path"] for frame in frames] == ["images/left.jpg", "images/right.jpg"]
    assert len(np.loadtxt(out / "trajectory.txt")) == 2
    kept = Reconstruction.load(result).without_edges().valid.sum()
    assert kept < 2 * 48 * 64
    assert len(read_ply(out / "points.ply")) == kept
    assert len(trimesh.load(out / "scene.glb").geometry["points"].vertices) == kept


def test_a_folder_that_holds_another_result_is_refused_and_stays(result, tmp_path, capsys):
    assert main(["export", str(result), "--to", "ply", "--out", str(tmp_path / "ply")]) == 0
    capsys.readouterr()
    for folder in (result, tmp_path / "ply"):
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        line = fails_in_one_line(capsys, "export", result, "--to", "ply,tum", "--out", folder)
        assert "choose a new or empty folder" in line
        assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--to", "ply,obj"], "'obj' is none of colmap"),
        (["--to", ""], "'' is none of colmap"),
        (["--to", "ply", "--text"], "--text changes nothing"),
        (["--to", "ply", "--confidence", "96"], "from 0 to 95"),
    ],
)
def test_what_is_not_understood_is_refused(result, tmp_path, capsys, options, words):
    assert words in fails_in_one_line(capsys, "export", result, "--out", tmp_path / "out", *options)
    assert not list(tmp_path.iterdir())


def test_what_is_no_result_is_refused(tmp_path, capsys):
    assert "does not exist" in fails_in_one_line(
        capsys, "export", tmp_path / "x", "--to", "ply", "--out", tmp_path / "out"
    )
    assert not list(tmp_path.iterdir())
