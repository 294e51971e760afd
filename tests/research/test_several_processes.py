"""Evaluation and fine-tuning by two processes: each does its share, process 0 writes, nothing is left out."""

import json
import sys

import pytest
import torch

from tests.training.test_distributed import SMALL, launch
from vggt_lite.cli.main import main
from vggt_lite.data import write_scene
from vggt_lite.evaluation import evaluate
from vggt_lite.evaluation.datasets.benchmark import report_of
from vggt_lite.evaluation.datasets.sample import Options, Sample, Scored
from vggt_lite.evaluation.report import Report
from vggt_lite.inference import VGGT
from vggt_lite.pretrained import save_weights
from vggt_lite.research import distributed
from vggt_lite.synthetic import generate_scenes
from vggt_lite.training.workers import Alone

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="starts its processes with fork"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A small network's weights, and three scenes on disk."""
    root = tmp_path_factory.mktemp("root")
    torch.manual_seed(0)
    save_weights(VGGT(SMALL.with_(image_size=32)), root / "small.safetensors")
    for seed in range(3):
        write_scene(root / "scenes" / f"room_{seed}", generate_scenes(seed, 1, 3, 32, 32))
    return root


def together(work, folder) -> dict:
    """The JSON that process 0 of two got from work(workers)."""

    def in_process() -> None:
        with distributed.init() as workers:
            found = work(workers)
            if workers.rank == 0:
                (folder / "found.json").write_text(json.dumps(found))

    assert launch(2, in_process) == [0, 0]
    return json.loads((folder / "found.json").read_text())


def same(ours: dict, theirs: dict) -> None:
    assert ours["scenes"] and [s["name"] for s in ours["scenes"]] == [s["name"] for s in theirs["scenes"]]
    for who in ("model", "constant"):
        assert ours[who] == pytest.approx(theirs[who], rel=1e-4, abs=1e-4)
        for mine, other in zip(ours["scenes"], theirs["scenes"], strict=True):
            assert mine[who] == pytest.approx(other[who], rel=1e-4, abs=1e-4)
    assert ours["histograms"] == theirs["histograms"]


def as_json(report: Report) -> dict:
    return {key: getattr(report, key) for key in ("model", "constant", "scenes", "histograms")}


def test_two_processes_score_generated_scenes_as_one_does(root, tmp_path):
    def work(workers):
        model = VGGT.from_pretrained(root / "small.safetensors")
        options = {"num_scenes": 3, "num_views": 2, "size": 32, "num_tracks": 4, "batch_size": 1}
        return as_json(evaluate(model, **options, device="cpu", workers=workers))

    same(together(work, tmp_path), work(Alone()))


def test_the_samples_of_a_data_set_keep_their_order(tmp_path):
    def work(workers):
        samples = [Sample(f"pair {i}", None, "pairs", None) for i in range(5)]

        def score(sample):
            return Scored([sample.name], {"depth_abs_rel": float(sample.name[-1])})

        options = Options(num_views=2)
        report = report_of(samples, score, options, "photographs", "", "m", torch.device("cpu"), workers)
        return report.scenes

    assert [scene["name"] for scene in together(work, tmp_path)] == [f"pair {i}" for i in range(5)]
    assert together(work, tmp_path) == json.loads(json.dumps(work(Alone())))


@pytest.mark.slow
def test_the_commands_fine_tune_and_evaluate_in_two_processes_and_one_writes(root, tmp_path, capfd):
    weights, scenes = str(root / "small.safetensors"), str(root / "scenes")
    tune = ["fine-tune", scenes, "--weights", weights, "--out", str(tmp_path / "tuned"), "--held-out", scenes]
    tune += ["--steps", "2", "--views", "2", "2", "--images", "4", "--size", "32", "--adapters", "2"]
    tune += ["--device", "cpu"]
    assert launch(2, lambda: main(tune)) == [0, 0]
    said = capfd.readouterr().out
    assert said.count("written:") == said.count("memory, about") == said.count("3 held-out scenes") == 1
    assert (tmp_path / "tuned" / "model.safetensors").exists()

    score = ["evaluate", "--weights", str(tmp_path / "tuned"), "--data", "folder", "--root", scenes]
    score += ["--views", "2", "--size", "32", "--device", "cpu"]
    assert launch(2, lambda: main([*score, "--out", str(tmp_path / "two.json")])) == [0, 0]
    assert capfd.readouterr().out.count("written:") == 1
    assert main([*score, "--out", str(tmp_path / "one.json")]) == 0
    same(*(as_json(Report.load(tmp_path / f"{count}.json")) for count in ("two", "one")))
