"""Your own scenes, scored: from folders to a report, with the frames that were taken."""

import json
import sys

import pytest

from tests.cli.test_commands import fails_in_one_line
from vggt_lite.cli.main import main
from vggt_lite.data import write_scene
from vggt_lite.evaluation import Report
from vggt_lite.evaluation.own_scenes import chosen_views
from vggt_lite.synthetic import generate_scenes


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("mine")
    for name, seed in (("attic", 7), ("cellar", 8)):
        write_scene(root / name, generate_scenes(seed, 1, 5, 64, 64), names=[f"{name}{k}" for k in range(5)])
    return root


def test_the_views_that_are_named_are_the_ones_that_were_taken(root):
    scene, names = chosen_views(root / "attic", 3, 64, 8, seed=0)
    whole = generate_scenes(7, 1, 5, 64, 64)
    taken = [int(name.removeprefix("attic")) for name in names]
    assert (scene.images[0] - whole.images[0, taken]).abs().max() < 0.01 and len(set(taken)) == 3


def test_a_folder_of_scenes_gets_the_report_of_generated_ones(root, tmp_path, capsys):
    out = tmp_path / "mine.json"
    command = ["evaluate", "--weights", "nano", "--data", "folder", "--root", str(root), "--views", "3"]
    assert main([*command, "--out", str(out), "--page", str(tmp_path / "mine.html")]) == 0
    printed = capsys.readouterr().out
    assert "| ATE" in printed and "| as it is | " in printed and "correlation" not in printed
    report = Report.load(out)
    assert [scene["name"] for scene in report.scenes] == ["attic", "cellar"]
    assert report.protocol["weights"]["file"] == "nano.safetensors"
    assert all(len(scene["frames"]) == 3 for scene in report.scenes)
    assert report["auc_30"] > 30 + report.constant["auc_30"]  # they are rooms of its own world
    assert report["depth_abs_rel"] < 0.6 * report.constant["depth_abs_rel"]
    assert sum(json.loads(out.read_text())["histograms"]["larger"]) == 2 * 3


def test_wrong_requests_say_what_would_be_right(root, tmp_path, capsys):
    def said(*arguments: str) -> str:
        return fails_in_one_line(capsys, "evaluate", "--weights", "nano", *arguments)

    assert "holds no scene" in said("--data", "folder", "--root", str(tmp_path))
    assert "--views" in said("--views", "1")
    assert "--scenes" in said("--scenes", "0")
    assert "--size" in said("--size", "60") and "56 and 64" in said("--size", "60")
    assert "--icp" in said("--photographs", "--icp", "0.1")
    assert main(["report", str(tmp_path / "none.json"), "--out", str(tmp_path / "p.html")]) == 2
    assert "none.json is no file" in capsys.readouterr().err


def test_a_missing_package_ends_in_a_sentence_that_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "skimage.data", None)
    assert main(["evaluate", "--weights", "nano", "--photographs"]) == 2
    assert "pip install scikit-image" in capsys.readouterr().err
