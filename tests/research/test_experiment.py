"""Runs are finished once, resumed, scored alike; and a comparison claims no more than its seeds show."""

import json
import math

import pytest

from tests.training.test_parts import SMALL
from vggt_lite.config import SceneConfig, TrainConfig
from vggt_lite.research import experiment
from vggt_lite.research.comparison import compare, curves, write_report
from vggt_lite.research.experiment import BASELINE, SMALL_RECIPE, Recipe, Variant, read_runs, run_experiment

MICRO = Recipe(
    model=SMALL.with_(image_size=16, track_levels=2),
    train=TrainConfig(
        steps=4, max_images=4, views=(2, 2), num_tracks=4, track_weight=0, checkpoint_every=2, log_every=2
    ),
    scenes=SceneConfig(),
    size=16,
    num_scenes=4,
    path_views=3,
    scored_scenes=2,
    scored_views=2,
)
POINTLESS = Variant("without points", train={"point_weight": 0.0})


def fake(variant: str, seed: int, **scores: float) -> dict:
    return {"variant": variant, "seed": seed, "scores": [{"step": 1, **scores}]}


def runs_of(**by_variant: list[float]) -> list[dict]:
    return [
        fake(name, seed, point_error=value)
        for name, values in by_variant.items()
        for seed, value in enumerate(values)
    ]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return folder, run_experiment([BASELINE, POINTLESS], (0, 1), MICRO, folder)


def test_every_variant_is_trained_with_every_seed_and_scored_at_every_checkpoint(finished):
    folder, runs = finished
    assert [(r["variant"], r["seed"]) for r in runs] == [
        ("baseline", 0), ("without points", 0), ("baseline", 1), ("without points", 1),
    ]  # fmt: skip
    for run in runs:
        assert [line["step"] for line in run["scores"]] == [2, 4]
        assert ("point_error" in run["scores"][-1]) == (run["variant"] == "baseline")
        assert run["recipe"]["train"]["seed"] == run["seed"]
        assert run["hardware"] and run["versions"]["torch"]
    assert runs[0]["parameters"] > runs[1]["parameters"]
    assert runs[1]["changes"] == {"point_weight": 0.0}
    assert runs[0]["scores"] != runs[2]["scores"]  # seeds matter
    assert max(path.stat().st_size for path in folder.glob("*.json")) < 8_000


def test_runs_are_read_back_and_not_repeated(finished, monkeypatch):
    folder, runs = finished
    monkeypatch.setattr(experiment, "train", lambda *args, **options: pytest.fail("trained again"))
    assert run_experiment([BASELINE, POINTLESS], (0, 1), MICRO, folder) == runs
    assert sorted(r["variant"] for r in read_runs(folder)) == sorted(r["variant"] for r in runs)


def test_a_gathered_file_reads_like_its_folder(finished, tmp_path):
    path = tmp_path / "gathered.json"
    path.write_text(json.dumps(read_runs(finished[0])), encoding="utf-8")
    assert read_runs(path) == read_runs(finished[0])


def test_an_interrupted_run_is_no_result_and_ends_with_the_same_scores(finished, tmp_path, monkeypatch):
    real = experiment.train
    monkeypatch.setattr(experiment, "train", lambda *args, **options: real(*args, max_seconds=0, **options))
    with pytest.raises(RuntimeError, match="1 of 4 steps"):
        run_experiment([BASELINE], (0,), MICRO, tmp_path)
    assert not list(tmp_path.glob("*.json"))
    monkeypatch.setattr(experiment, "train", real)
    (resumed,) = run_experiment([BASELINE], (0,), MICRO, tmp_path)
    assert resumed["scores"][-1] == finished[1][0]["scores"][-1]


def test_other_settings_in_the_same_folder_are_refused(finished):
    other = Recipe(**{**vars(MICRO), "train": MICRO.train.with_(steps=6)})
    with pytest.raises(ValueError, match=r"baseline_0.json holds a run with other settings"):
        run_experiment([BASELINE], (0,), other, finished[0])


def test_mistakes_show_before_anything_is_trained(tmp_path):
    with pytest.raises(TypeError, match="attentoin"):
        run_experiment([BASELINE, Variant("typo", model={"attentoin": "cross"})], (0,), MICRO, tmp_path)
    with pytest.raises(ValueError, match="two variants are called 'baseline'"):
        run_experiment([BASELINE, BASELINE], (0,), MICRO, tmp_path)
    assert not any(tmp_path.iterdir())


def test_seconds_are_added_up_over_calls():
    lines = [{"seconds": 3.0}, {"seconds": 5.0}, {"step": 1}, {"seconds": 2.0}, {"seconds": 4.0}]
    assert experiment.seconds_of(lines) == 9.0


def test_the_small_recipe_is_a_possible_one():
    model, train = SMALL_RECIPE.of(Variant("x", model={"attention": "cross"}, train={"depth_weight": 0.0}), 7)
    assert (model.attention, train.seed, "depth" in train.loss_weights) == ("cross", 7, False)


def test_differences_are_paired_by_seed_and_judged_by_students_t():
    """Differences 0.1, 0.2, 0.3: mean 0.2, s = 0.1, margin 4.30 · 0.1 / √3 = 0.248: not clear."""
    seen = compare(runs_of(base=[1.0, 2.0, 3.0], other=[1.1, 2.2, 3.3], third=[1.3, 2.3, 3.31]))
    difference = seen.difference("point_error", "other")
    assert difference.mean == pytest.approx(0.2) and difference.spread == pytest.approx(0.1)
    assert difference.margin == pytest.approx(4.30 * 0.1 / math.sqrt(3))
    assert difference.verdict == "within the spread of seeds"
    # 0.3, 0.3, 0.31 is beyond any doubt, although the scores themselves spread far more
    assert seen.difference("point_error", "third").verdict == "worse, beyond the spread of seeds"


def test_higher_is_better_where_it_is():
    runs = [fake(name, seed, auc_30=value + seed / 10) for name, value in (("a", 10.0), ("b", 20.0))
            for seed in range(3)]  # fmt: skip
    assert compare(runs).difference("auc_30", "b").verdict == "better, beyond the spread of seeds"
    assert compare(runs, baseline="b").difference("auc_30", "a").better is False


def test_one_seed_proves_nothing():
    difference = compare(runs_of(base=[1.0], other=[0.1])).difference("point_error", "other")
    assert difference.verdict == "one seed: no telling" and not difference.clear


def test_only_seeds_that_both_have_are_compared():
    seen = compare(runs_of(base=[1.0, 5.0], other=[2.0]))
    assert seen.difference("point_error", "other").mean == pytest.approx(1.0)
    lonely = compare([fake("base", 0, point_error=1.0), fake("other", 1, point_error=1.0)])
    assert lonely.difference("point_error", "other") is None
    assert "no seed in common" in lonely.to_markdown()


@pytest.mark.parametrize(
    ("runs", "baseline", "message"),
    [
        ([], None, "empty"),
        (runs_of(base=[1.0]), "bass", "baseline='bass'; there are"),
        (runs_of(base=[1.0]) * 2, None, "two runs of 'base' with seed 0"),
    ],
)
def test_what_cannot_be_compared_is_explained(runs, baseline, message):
    with pytest.raises(ValueError, match=message):
        compare(runs, baseline)


def test_curves_are_means_over_seeds():
    runs = runs_of(base=[1.0, 3.0], other=[5.0])
    assert curves(runs, "point_error") == [{"step": 1, "base": 2.0, "other": 5.0}]


def test_the_report_has_setting_table_and_curves(finished, tmp_path):
    path = write_report(compare(finished[1]), tmp_path / "report.md", "Points", "Are points needed?")
    text = path.read_text(encoding="utf-8")
    assert "{'point_weight': 0.0}" in text and "4 steps of 4 images" in text and "Seeds 0, 1" in text
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert '"name": "baseline"' in page and "mean over seeds" in page
    assert "| without points | 2 |" in text and "](report.html)" in text
