"""What the command line refuses, in one line that names the option, before anything is written."""

import io
import json
import re
import sys

import pytest
import torch
from PIL import Image

from tests.cli.test_commands import OPTIONS, SMALL, fails_in_one_line
from vggt_lite import VGGT
from vggt_lite.cli import evaluate, main, report
from vggt_lite.pretrained import save_weights
from vggt_lite.utils import files
from vggt_lite.viz.style import max_points

EVALUATE = ("evaluate", "--weights", "nano", "--scenes", "2", "--views", "2", "--size", "16")
NUMBERS = {  # what has the option: its name, whether it may be a fraction
    ("evaluate",): {"--scenes": False, "--views": False, "--size": False, "--icp": True},
    ("scenes", "ahead", "--out", "x"): {"--count": False, "--views": False, "--size": False, "--seed": False},
    ("reconstruct", "x", "--out", "x"): {"--size": False, "--confidence": False},
    ("train", "--out", "x"): {"--max-minutes": True},
    ("fine-tune", "x", "--out", "x"): {
        "--steps": False, "--images": False, "--size": False, "--accumulation": False, "--adapters": False,
        "--learning-rate": True, "--rehearsal": True, "--max-minutes": True, "--seed": False,
    },
}  # fmt: skip
ABSURD = ("-1", "1" + "0" * 30, "nan", "inf", "-inf", "x", "", "1" + "0" * 5000, "１.5.2")


@pytest.mark.parametrize(
    ("command", "option", "fraction"),
    [(command, *pair) for command, options in NUMBERS.items() for pair in options.items()],
)
def test_a_number_that_makes_no_sense_is_refused_by_its_name(
    command, option, fraction, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    may_be_zero = ("--confidence", "--adapters", "--rehearsal", "--max-minutes", "--seed")
    zero = () if option in may_be_zero else ("0",)
    for value in (*ABSURD, *zero, *(() if fraction else ("1.5",))):
        line = fails_in_one_line(capsys, *command, f"{option}={value}")
        assert option in line and len(line) < 200, value
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("what", ["sheet", "folders", "ahead"])
def test_scenes_that_fit_into_no_memory_are_refused_before_anything_is_written(
    what, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("vggt_lite.utils.runtime.available_memory", lambda device: 10**9)
    out = tmp_path / ("x.png" if what == "sheet" else "x")
    line = fails_in_one_line(capsys, "scenes", what, "--out", out, "--size", "4096", "--views", "16")
    assert "GB" in line and "4096" in line and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "where",
    [
        (),
        ("--photographs",),
        ("--refine",),
        *(("--data", name) for name in (*evaluate.DATA_SETS, evaluate.OWN)),
    ],
)
def test_an_option_that_would_change_nothing_is_refused(where, tmp_path, capsys):
    given = {"kind": "tiny", "scenes": "2", "views": "2", "size": "16", "seed": "1", "mode": "pad",
             "queries": "strided", "icp": "0.1"}  # fmt: skip
    scored = {(): "generated scenes", ("--refine",): "--refine or --classical"}
    known = evaluate.COUNTS[scored.get(where) or where[-1]]
    root = ("--root", tmp_path) if "--data" in where else ()
    for option in given.keys() - known:
        line = fails_in_one_line(capsys, "evaluate", *where, *root, f"--{option}", given[option])
        assert f"--{option} would change nothing" in line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("import", "x", "--out", "o", "--size", "99999999999"), "--size"),
     (("import", "x", "--out", "o", "--size", "0x5"), "--size"),
     (("import", "x", "--out", "o", "--size", "5x5x5"), "--size"),
     (("import", "x", "--out", "o", "--views", "0"), "--views"),
     (("import", "x", "--out", "o", "--views=-3"), "--views"),
     (("import", "x", "--out", "o", "--views", "1:2:0"), "--views"),
     (("import", "x", "--out", "o", "--views", "1:2:3:4"), "--views"),
     (("fine-tune", "x", "--out", "o", "--rehearsal", "0.5"), "--rehearse FOLDER"),
     (("report", "x.json", "x.json", "--out", "o.html"), "named twice"),
     (("verify", "--images", "nowhere"), "nowhere"), (("train", "nobodys", "--out", "o"), "nobodys"),
     (("reconstruct", "x", "--out", "o", "--query", "a,b"), "--query")],
)  # fmt: skip
def test_other_requests_that_cannot_be_met_are_refused(arguments, said, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert said in fails_in_one_line(capsys, *arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["many", "-1", "", "1e3", "9" * 30])
def test_a_wrong_number_of_points_names_its_variable(text, monkeypatch):
    monkeypatch.setenv("VGGT_LITE_MAX_POINTS", text)
    with pytest.raises(ValueError, match="VGGT_LITE_MAX_POINTS"):
        max_points()


def test_points_of_a_head_that_is_not_there_are_refused_before_the_work(tmp_path, capsys, monkeypatch):
    torch.manual_seed(0)
    save_weights(VGGT(SMALL.with_(heads=("camera", "depth"))), tmp_path / "two.safetensors")
    Image.new("RGB", (64, 64)).save(tmp_path / "x.png")
    place = ("--out", tmp_path / "out", "--weights", tmp_path / "two.safetensors")
    line = fails_in_one_line(capsys, "reconstruct", tmp_path / "x.png", *place, "--points-from", "point_map")
    assert "lack the head 'point'" in line and not (tmp_path / "out").exists()


OUTPUTS = {
    "evaluate": ((*EVALUATE, "--out"), (*EVALUATE, "--page")), "report": (("report", "x.json", "--out"),),
    "verify": (("verify", "--out"),), "check-data": (("check-data", ".", "--out"),),
    "train": (("train", "--out"), ("train", "--weights-out")), "fine-tune": (("fine-tune", "x", "--out"),),
    "demo": (("demo", "--skip-notebook", "--out"),), "scenes": (("scenes", "folders", "--out"),),
    "import": (("import", "x", "--out"),), "reconstruct": (("reconstruct", "x", "--out"),),
}  # fmt: skip


@pytest.mark.parametrize("command", OUTPUTS)
def test_a_place_where_nothing_can_go_is_refused_before_the_work(command, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    for arguments in OUTPUTS[command]:
        for place in ("", "a\0b", "file/x.html", "/dev/null/x.html", "y" * 300 + ".html"):
            line = fails_in_one_line(capsys, *arguments, place)
            assert "name" in line or "Not a directory" in line or "does not end in" in line
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "mine")]


def test_a_report_whose_path_goes_bad_meanwhile_is_printed_and_kept(tmp_path, capsys, monkeypatch):
    target, scored = tmp_path / "report.json", evaluate.scored

    def slow(*arguments):
        target.mkdir()
        return scored(*arguments)

    monkeypatch.setattr(evaluate, "scored", slow)
    monkeypatch.setattr(files.tempfile, "tempdir", str(tmp_path))
    assert main([*EVALUATE, "--out", str(target)]) == 2
    printed = capsys.readouterr()
    assert "constant predictor" in printed.out and "the result is in" in printed.err
    (saved,) = tmp_path.glob("vggt_lite_*/result.json")
    assert "depth_abs_rel" in json.loads(saved.read_text(encoding="utf-8"))["model"]


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "cp850"])
def test_every_terminal_gets_help_and_results(encoding, tmp_path, monkeypatch):
    for command in (*OPTIONS, None):
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding))
        with pytest.raises(SystemExit) as stopped:
            main(["--help"] if command is None else [command, "--help"])
        assert stopped.value.code == 0
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding))
    assert main([*EVALUATE, "--out", str(tmp_path / "o.json")]) == 0
    assert "constant" in json.loads((tmp_path / "o.json").read_text(encoding="utf-8"))


class Full(io.StringIO):
    """Standard output on a full disk."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_what_cannot_be_printed_is_saved_all_the_same(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Full())
    line = fails_in_one_line(capsys, *EVALUATE, "--out", tmp_path / "o.json")
    assert "No space left" in line and (tmp_path / "o.json").is_file()


@pytest.mark.parametrize(
    ("fault", "said"),
    [(KeyError("field"), "KeyError: 'field' .*test_refusals.py"), (MemoryError(), "memory ran out"),
     (RuntimeError("can't allocate memory:\nyou tried to allocate 9 bytes"), "memory ran out.*9 bytes"),
     (ValueError("one\n  two"), "one two"), (OSError(), "OSError"), (AssertionError(), "AssertionError")],
)  # fmt: skip
def test_no_fault_shows_a_traceback_and_none_is_silent(fault, said, capsys, monkeypatch):
    def run(args):
        raise fault

    monkeypatch.setattr(report, "run", run)
    monkeypatch.delenv("VGGT_LITE_TRACEBACK", raising=False)
    line = fails_in_one_line(capsys, "report", "x", "--out", "x.html")
    assert line.startswith("vggt-lite report: ")
    assert re.search(said, line)
    monkeypatch.setenv("VGGT_LITE_TRACEBACK", "1")
    with pytest.raises(type(fault)):
        main(["report", "x", "--out", "x.html"])
