"""Benchmarks measure what they say, and their tables show what was measured."""

import json
import shutil

import pytest
import torch

from benchmarks import inference, measure, thirty, tracker
from tools import benchmark_tables as tables
from vggt_lite import NANO, TINY, VGGT
from vggt_lite.inference.time_estimate import estimate_time

FOLDER = tables.ROOT / "benchmarks"
HEAD = {"hardware": "Abacus", "cpu_count": 2, "threads": 1, "torch": "3.1", "date": "2030-01-02"}


# --- measuring ------------------------------------------------------------------------------------


def work(megabytes: int) -> dict:
    """Called in a child process by the tests below."""
    if not megabytes:
        raise ValueError("nothing to do")
    before = torch.ones(300 * 2**18)  # must not count: it is gone
    del before
    with measure.PeakMemory() as peak:
        both = torch.ones(megabytes * 2**18) + 1
        del both
        torch.zeros(4)
    return {"peak": peak.bytes / 2**20}


def test_a_child_process_answers_with_its_peak_memory():
    found = measure.in_child("tests.test_benchmarks:work", memory=True, megabytes=100)
    assert 199 < found["peak"] < 215
    assert found["peak_rss"] > 300 * 2**20  # of the whole process, whatever was reset inside


def test_where_nothing_can_be_reset_a_thread_looks(monkeypatch):
    monkeypatch.setattr(measure, "_reset_high_water_mark", lambda: False)
    with measure.PeakMemory() as peak:
        both = torch.ones(200 * 2**18)
        both += 1
        del both
    assert 150 * 2**20 < peak.bytes < 230 * 2**20


def test_a_child_that_fails_says_why():
    with pytest.raises(RuntimeError, match=r"work \{'megabytes': 0\} ended with code 1.(.|\n)*nothing to do"):
        measure.in_child("tests.test_benchmarks:work", megabytes=0)


def test_forms_take_turns():
    calls = []
    runs = {name: lambda name=name: calls.append(name) for name in ("old", "new")}
    turns = measure.in_turn(runs, 3)
    assert calls == ["old", "new"] * 3 and [len(turns[name]) for name in runs] == [3, 3]


def test_times_come_with_their_spread():
    found = measure.spread([(3.0, 6.0), (1.0, 1.5), (2.0, 4.0)])
    assert (found["seconds_median"], found["seconds_min"], found["seconds_max"]) == (2, 1, 3)
    assert found["cpu_seconds_median"] == 4 and found["runs"] == 3


def test_a_limit_on_instructions_is_recorded_and_bfloat16_then_left_alone(monkeypatch):
    monkeypatch.setattr(measure, "multiplies_bfloat16", lambda: True)
    for name in measure.LIMITS:
        monkeypatch.delenv(name, raising=False)
    assert "limited" not in measure.instructions()
    assert measure.bfloat16_pays() and not measure.bfloat16_pays("cuda")
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    assert measure.instructions().endswith("; limited by ATEN_CPU_CAPABILITY=avx2")
    assert not measure.bfloat16_pays()


def test_all_forms_of_inference_compute_the_same_network():
    torch.manual_seed(0)
    model = VGGT(NANO.with_(heads=("camera", "depth", "point"))).eval()
    times, off = inference.seconds(model, torch.rand(2, 3, 48, 64), list(inference.FORMS), 1)
    assert set(times) == set(inference.FORMS)
    assert off[inference.OLD] == 0 < off[inference.NEW] < 1e-4
    assert all(1e-4 < off[form] < 0.05 for form in (inference.OLD_AUTOCAST, inference.FAST))
    assert {form for pair in inference.RATIOS for form in pair} == set(inference.FORMS)


def test_a_result_file_is_written_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "RESULTS", tmp_path)
    path = measure.write_result("toy_cpu", measure.hardware())
    assert set(HEAD) - {"threads"} <= set(json.loads(path.read_text()))
    with pytest.raises(TypeError):
        measure.write_result("toy_cpu", {"rows": {1, 2}})
    assert json.loads(path.read_text())["torch"] == torch.__version__


# --- the tracker's forms --------------------------------------------------------------------------


def test_all_forms_of_the_tracker_give_the_same_numbers():
    found = tracker.agreement("cpu", **tracker.QUICK)
    assert set(found) == set(tracker.FORMS)
    for case in found.values():
        assert 0 < case["largest_difference"] < 1e-4 * case["largest_value"]


# --- tables ---------------------------------------------------------------------------------------


def test_the_page_shows_the_committed_results():
    assert not tables.problems(FOLDER)


@pytest.fixture
def page(tmp_path):
    """A page that asks for two tables, and the folder for its results."""
    (tmp_path / "results").mkdir()
    marks = [f"<!-- table: {name} -->\n<!-- end -->\n" for name in ("inference", "tracker ratios")]
    (tmp_path / "README.md").write_text("# Figures\n\n" + "\n".join(marks), encoding="utf-8")
    return tmp_path


def write(page, name: str, **parts) -> None:
    (page / "results" / f"{name}.json").write_text(json.dumps(HEAD | parts), encoding="utf-8")


ROW = {
    "form": "vggt_lite",
    "views": 100,
    "height": 336,
    "width": 518,
    "heads": "camera+depth",
    "dtype": "bfloat16",
    "seconds_median": 12.34,
    "seconds_min": 11.0,
    "seconds_max": 14.56,
    "runs": 3,
    "peak_above_weights_bytes": 4_200_000_000,
    "weights_bytes": 830_000_000,
}


def lines(page) -> list[list[str]]:
    """Cells of the page's table rows."""
    rows = [line for line in tables.updated(page).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows]


def test_what_is_not_measured_yet_stays_empty(page):
    rows = [line for line in lines(page) if line[0] in ("100", "200", "1250")]
    assert len(rows) == 3 and all(line[5:] == [""] * 6 for line in rows)
    assert "Not measured yet." in tables.updated(page)


def test_every_figure_says_where_it_was_measured(page):
    write(page, "inference_cpu", rows=[ROW | {"views": 1, "runs": 1}])
    write(page, "inference_nvidia-x", rows=[ROW], hardware="NVIDIA X")
    write(page, "inference_nvidia-y", rows=[ROW | {"seconds_median": 123.4}], hardware="NVIDIA Y")
    found = {line[0]: line[5:] for line in lines(page)}
    here = [f"{figure} <sup>a</sup>" for figure in ("12.3 s (1 run)", "4.20 GB", "830 MB")]
    assert found["1"] == here + ["", "", ""]
    first, second = found["100"][3].split("<br>")
    assert first == "12.3 s (11.0–14.6, 3 runs) <sup>b</sup>"
    assert second == "123 s (11–15, 3 runs) <sup>c</sup>"
    assert found["100"][:3] == ["", "", ""] and found["200"] == [""] * 6
    text = tables.updated(page)
    assert "a: Abacus, 2 cores, 1 threads, torch 3.1, 2030-01-02" in text and "c: NVIDIA Y" in text


def test_a_case_that_did_not_fit_says_so(page):
    case = {key: ROW[key] for key in ("form", "views", "height", "width", "heads", "dtype")}
    write(page, "inference_gpu", rows=[case | {"note": "out of memory"}])
    assert {line[0]: line[8] for line in lines(page) if len(line) > 8}["100"] == "out of memory <sup>a</sup>"


def test_a_page_out_of_step_is_noticed(page):
    assert len(tables.problems(page)) == 1
    (page / "README.md").write_text(tables.updated(page), encoding="utf-8")
    assert not tables.problems(page)
    write(page, "tracker_cpu", ratios=[{"case": "correlations", "form": "new ÷ old", "time": 0.125}])
    assert len(tables.problems(page)) == 1
    (page / "README.md").write_text(tables.updated(page), encoding="utf-8")
    assert not tables.problems(page) and "| 0.12 × <sup>a</sup> |" in tables.updated(page)
    shutil.copy(page / "results" / "tracker_cpu.json", page / "results" / "speed_cpu.json")
    assert "no table of speed" in tables.problems(page)[0]


def test_an_unknown_table_is_an_error(page):
    (page / "README.md").write_text("<!-- table: weather -->\n<!-- end -->\n", encoding="utf-8")
    with pytest.raises(ValueError, match="'weather'; known are"):
        tables.updated(page)


# --- thirty photographs ---------------------------------------------------------------------------


def test_skipped_blocks_keep_their_weights_and_change_no_token():
    torch.manual_seed(0)
    config = TINY.with_(heads=("camera", "depth"), depth=6, dense_layers=(1, 2, 3, 5))
    model, images = VGGT(config).eval(), torch.rand(1, 3, 3, 28, 28)
    count = sum(p.numel() for p in model.parameters())
    skipped = thirty.skip_blocks(model)
    kinds = [name.split(".")[1] for name in skipped]
    assert kinds.count("frame_blocks") == kinds.count("global_blocks") == 2
    assert kinds.count("patch_embed") == config.vit_depth - 1
    assert sum(p.numel() for p in model.parameters()) == count
    x = torch.rand(1, 5, config.dim)
    assert model.aggregator.frame_blocks[0](x, None) is x
    with torch.no_grad():
        assert model(images).depth.shape == (1, 3, 28, 28)
        names = estimate_time(model, 3, 28, 28).parts.keys()
    assert skipped < names  # what is skipped has its share of the estimate
