"""`vggt-lite verify`: what it runs, what it says, and its exit code."""

import json

import pytest
import torch

from tests.parity.stand_in import forget, install
from vggt_lite import NANO, VGGT, VGGT_1B
from vggt_lite.cli.main import main
from vggt_lite.evaluation.examples import ALIGNED, Example
from vggt_lite.parity import deterministic_model
from vggt_lite.parity import verify as verify_module
from vggt_lite.parity.checks import verify_golden
from vggt_lite.parity.golden import GOLDEN_TINY
from vggt_lite.parity.table import Row, Table
from vggt_lite.parity.verify import Verification, lacking_memory, measure, pictures, verify
from vggt_lite.pretrained import save_weights

SMALL = NANO.with_(vit_depth=1, dim=32, dense_dims=(8, 8, 8, 8), dense_dim=8, track_depth=1)


@pytest.fixture(autouse=True)
def a_plain_machine(monkeypatch):
    """No package `vggt`, no weights in a cache, one quick golden case."""
    forget(monkeypatch)
    monkeypatch.setattr(verify_module, "find_cached", lambda name: None)
    monkeypatch.setattr(
        verify_module, "verify_golden", lambda which, device: verify_golden("tiny", device, ["native"])
    )


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    model = VGGT(SMALL)
    with torch.no_grad():
        model.camera_head.pose_branch.fc2.bias[6:] = 0.25
    save_weights(model, tmp_path / "small.safetensors")
    return tmp_path / "small.safetensors"


def test_anywhere_it_checks_the_golden_numbers_and_says_what_it_left_out(tmp_path, capsys):
    assert main(["verify", "--device", "cpu", "--out", str(tmp_path / "report.json")]) == 0
    said = capsys.readouterr().out
    assert "golden numbers, tiny" in said and "nothing is off" in said
    assert "--weights facebook/VGGT-1B" in said and "pip install git" in said
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["passed"] and report["device"] == "cpu" and len(report["tables"]) == 2
    assert {"torch", "numpy", "python", "vggt_lite"} <= report["versions"].keys() and report["hardware"]
    assert report["tables"][0]["rows"][0].keys() >= {
        "stage",
        "max_abs",
        "relative",
        "tolerance",
        "ok",
        "case",
    }


def test_a_stage_that_is_off_is_named_and_the_exit_code_is_1(monkeypatch, capsys):
    from vggt_lite.model import Block

    whole = Block.forward
    monkeypatch.setattr(Block, "forward", lambda self, x, *rest: 1.001 * whole(self, x, *rest))
    assert main(["verify", "--device", "cpu"]) == 1
    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert last.startswith("OFF: golden numbers, tiny") and "native/vit.norm" in last


def test_real_weights_are_measured_on_scenes_with_known_truth(weights, capsys):
    pytest.importorskip("skimage")
    before = weights.read_bytes()
    done = verify(weights=weights, device="cpu")
    assert set(done.figures) == {"generated scene", "Motorcycle photographs"}
    assert done.figures["Motorcycle photographs"][ALIGNED].keys() == {"model", "constant depth"}
    assert done.first_failure is None and "small.safetensors" in done.tables[-1].title
    assert "constant depth" in capsys.readouterr().out and weights.read_bytes() == before


def test_released_weights_that_see_no_depth_are_a_fault(monkeypatch):
    def blind(model):
        return Example(None, None, {ALIGNED: {"model": 0.4, "constant depth": 0.2}}, "metres")

    monkeypatch.setattr(verify_module, "motorcycle", blind)
    monkeypatch.setattr(verify_module, "held_out_scene", blind)
    for dim, fault in ((NANO.dim, None), (VGGT_1B.dim, "off by 40 %, no better than a constant")):
        done = Verification(torch.device("cpu"), say=lambda _: None)
        model = VGGT(SMALL)
        model.config = SMALL.with_(dim=dim)
        measure(model, done)
        assert done.first_failure is None if fault is None else fault in done.first_failure


def test_the_official_package_is_compared_where_it_is_installed(monkeypatch, tmp_path, capsys):
    install(monkeypatch, tmp_path, GOLDEN_TINY, wrong="agg.frame.1")
    done = verify(device="cpu", config=GOLDEN_TINY)
    assert [table.ok for table in done.tables[-2:]] == [False, True]
    assert "side by side" in done.first_failure and "agg.frame.1" in done.first_failure
    assert capsys.readouterr().out.strip().splitlines()[-1] == f"OFF: {done.first_failure}"


def test_real_weights_of_the_official_size_are_compared_side_by_side(monkeypatch, tmp_path):
    install(monkeypatch, tmp_path, GOLDEN_TINY)
    save_weights(deterministic_model(GOLDEN_TINY), tmp_path / "official.safetensors")
    before = (tmp_path / "official.safetensors").read_bytes()
    monkeypatch.setattr(verify_module, "measure", lambda *_: None)
    done = verify(weights=tmp_path / "official.safetensors", device="cpu", config=GOLDEN_TINY)
    assert done.first_failure is None and done.tables[-1].about["weights"] == "given"
    # the parameters are the file, mapped: nudging them must not reach it
    assert (tmp_path / "official.safetensors").read_bytes() == before


def test_a_broken_package_and_missing_memory_are_notes_not_failures(monkeypatch, tmp_path):
    monkeypatch.setattr(verify_module, "golden_tables", lambda *_, **__: None)
    install(monkeypatch, tmp_path, GOLDEN_TINY)
    monkeypatch.setattr(verify_module, "available_memory", lambda device: 10**6)
    done = verify(device="cpu", config=GOLDEN_TINY)
    assert done.first_failure is None and "0.0 GB are free" in done.notes[-1]
    (tmp_path / "vggt" / "models" / "vggt.py").write_text("import a_module_nobody_has\n")
    forget(monkeypatch)
    assert "a_module_nobody_has" in verify(device="cpu", config=GOLDEN_TINY).notes[-1]


def test_what_cannot_be_done_is_one_line_and_exit_code_2(monkeypatch, tmp_path, capsys):
    def line(*arguments) -> str:
        assert main(["verify", *arguments]) == 2
        lines = [text for text in capsys.readouterr().err.splitlines() if text.startswith("vggt-lite")]
        assert len(lines) == 1
        return lines[0]

    monkeypatch.setattr(
        verify_module, "verify_precision", lambda *_: Table("half", [Row("vit.norm", 0, 0, None, True)])
    )
    assert "no-such-device" in line("--device", "no-such-device")
    assert "nowhere.pt" in line("--device", "cpu", "--weights", str(tmp_path / "nowhere.pt"))
    monkeypatch.setattr(verify_module, "available_memory", lambda device: 10**9)
    assert "7.5 GB of memory" in line("--device", "cpu", "--full")
    monkeypatch.setattr("vggt_lite.parity.golden.FOLDER", tmp_path)
    assert "tiny.safetensors is missing" in line("--device", "cpu")


def test_without_the_golden_files_given_weights_are_still_measured(monkeypatch, tmp_path, weights):
    monkeypatch.setattr("vggt_lite.parity.golden.FOLDER", tmp_path)
    done = verify(weights=weights, device="cpu")
    assert "tiny.safetensors is missing" in done.notes[0] and done.figures


def test_photographs_of_a_folder_are_taken_but_not_too_many(tmp_path):
    from PIL import Image

    for k in range(6):
        Image.new("RGB", (90, 60), (40 * k, 10, 10)).save(tmp_path / f"{k}.png")
    notes = []
    images, points = pictures(SMALL, tmp_path, notes.append)
    assert images.shape == (4, 3, 40, 64) and points.shape == (16, 2) and "6 pictures" in notes[0]
    assert pictures(SMALL.with_(heads=("depth",)), tmp_path, notes.append)[1] is None


def test_full_size_needs_room(monkeypatch):
    monkeypatch.setattr(verify_module, "available_memory", lambda device: 12 * 10**9)
    assert lacking_memory(VGGT_1B, torch.device("cpu")) is None
    assert "15.1 GB" in lacking_memory(VGGT_1B, torch.device("cpu"), times=3)
