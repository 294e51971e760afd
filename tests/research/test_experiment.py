"""Runs are finished once, resumed, scored alike; and a comparison claims no more than its seeds show."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import vggt_lite
from tests.training.test_parts import SMALL
from tools import ablations
from vggt_lite import VGGT
from vggt_lite.config import SceneConfig, TrainConfig
from vggt_lite.evaluation import scores
from vggt_lite.model.layers import Attention, Block
from vggt_lite.research import experiment
from vggt_lite.research.comparison import compare_runs, curves, write_report
from vggt_lite.research.experiment import (
    BASELINE,
    SMALL_RECIPE,
    Recipe,
    Variant,
    read_runs,
    run_experiment,
    run_path,
)
from vggt_lite.utils.fingerprint import fingerprint

MICRO = Recipe(
    model=SMALL.with_(image_size=16, track_levels=2),
    train=TrainConfig(
        steps=4,
        max_images=4,
        views=(2, 2),
        num_tracks=4,
        checkpoint_every=2,
        log_every=2,
        loss_weights={"camera": 5.0, "depth": 1.0, "point": 1.0},
    ),  # fmt: skip
    scenes=SceneConfig(),
    size=16,
    num_scenes=4,
    path_views=3,
    scored_scenes=2,
    scored_views=2,
)
QKV = "aggregator.frame_blocks.0.attn.qkv.weight"
WITHOUT_POINTS = {"loss_weights": {"camera": 5.0, "depth": 1.0}}
POINTLESS = Variant("without points", train=WITHOUT_POINTS)


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
        assert run["hardware"] and run["versions"]["torch"] and run["commit"]
        assert (run["device"], run["precision"], run["build"]) == ("cpu", "float32", None)
        assert run["code"]["vggt_lite.model"] == fingerprint(modules=["vggt_lite.model"])
    assert runs[0]["parameters"] > runs[1]["parameters"]
    assert runs[1]["changes"] == WITHOUT_POINTS
    assert runs[0]["scores"] != runs[2]["scores"]  # seeds matter
    assert max(path.stat().st_size for path in folder.glob("*.json")) < 8_000


def test_runs_are_read_back_and_not_repeated_and_that_is_said(finished, monkeypatch, capsys):
    folder, runs = finished
    monkeypatch.setattr(experiment, "train", lambda *args, **options: pytest.fail("trained again"))
    assert run_experiment([BASELINE, POINTLESS], (0, 1), MICRO, folder) == runs
    assert f"4 of 4 runs were finished before: read from {folder}, not trained" in capsys.readouterr().out
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


def refused(match: str, folder, *variants: Variant, recipe: Recipe = MICRO) -> None:
    with pytest.raises(ValueError, match=match):
        run_experiment(variants or [BASELINE], (0,), recipe, folder)


def test_other_settings_in_the_same_folder_are_refused_by_name(finished):
    other = Recipe(**{**vars(MICRO), "train": MICRO.train.with_(steps=6)})
    refused(r"0.json holds another run: recipe.train.steps was 4, now 6\.", finished[0], recipe=other)
    refused("changes.augment was none, now 0.5", finished[0], Variant("baseline", train={"augment": 0.5}))


def test_other_code_in_the_same_folder_is_refused_by_its_room(finished, monkeypatch):
    monkeypatch.setattr(Block, "forward", lambda self, x, rotary=None, mask=None: x)
    refused(r"holds another run: code.vggt_lite.model was \w+, now \w+\.", finished[0])
    monkeypatch.undo()
    monkeypatch.setattr(scores, "SURFACE_POINTS", 3)
    refused("code.vggt_lite.evaluation.scores was", finished[0])
    monkeypatch.undo()
    run_experiment([BASELINE], (0,), MICRO, finished[0])


def test_a_result_without_fingerprint_is_shown_as_such_and_not_taken_for_one_of_the_present_code(tmp_path):
    (run,) = runs_of(baseline=[1.0])
    (tmp_path / "baseline_0.json").write_text(json.dumps(run), encoding="utf-8")
    refused("baseline_0.json holds another run: it was recorded before fingerprints", tmp_path)
    assert "Recorded before fingerprints" in compare_runs(read_runs(tmp_path)).to_markdown()


def test_committed_results_still_load_and_compare():
    runs = read_runs(Path(vggt_lite.__file__).parents[1] / "data" / "experiments" / "ablations.json")
    assert len(runs) == 30 and "Recorded before fingerprints" in repr(compare_runs(runs, "alternating"))


def test_the_page_on_what_helped_shows_the_committed_runs():
    runs = read_runs(ablations.GATHERED / "recipe.json")
    assert len(runs) == len(ablations.TRAINING) * len(ablations.SEEDS)
    assert ablations.page_of(runs) == ablations.PAGE.read_text(encoding="utf-8")


def test_runs_of_different_code_are_not_compared_in_silence(finished):
    runs = [dict(run) for run in finished[1]]
    assert "made by the same code (commit " in repr(compare_runs(runs))
    runs[1]["code"] = {"vggt_lite.model": "another"}
    assert "made by different code" in repr(compare_runs(runs))


@pytest.mark.parametrize(
    "content",
    [b"", b'{"variant"', b"[1]", b"7", b"[" * 100_000, b"\xff\xfe", b'{"variant": "baseline", "seed": 0}',
     b'{"variant": "baseline", "seed": "0", "scores": []}', b'{"variant": 1, "seed": 0, "scores": [3]}'],
)  # fmt: skip
def test_a_damaged_result_is_named_and_left_alone(tmp_path, content):
    (tmp_path / "baseline_0.json").write_bytes(content)
    refused(r"baseline_0.json cannot be read as", tmp_path)
    with pytest.raises(ValueError, match=r"baseline_0.json cannot be read as"):
        read_runs(tmp_path)
    assert (tmp_path / "baseline_0.json").read_bytes() == content


@pytest.mark.parametrize(
    ("first", "then", "words"),
    [
        ({"model": {"attention": "global"}}, {"model": {"attention": "cross"}}, "attention"),
        ({"own_weights": False}, {"own_weights": True}, "own_weights"),
    ],
)
def test_an_interrupted_run_of_a_changed_variant_does_not_go_on(tmp_path, monkeypatch, first, then, words):
    real = experiment.train
    monkeypatch.setattr(experiment, "train", lambda *args, **options: real(*args, max_seconds=0, **options))
    with pytest.raises(RuntimeError, match="1 of 4 steps"):
        run_experiment([Variant("mine", **first)], (0,), MICRO, tmp_path)
    refused(f"belongs to another run: .*{words}", tmp_path, Variant("mine", **then))


@pytest.mark.parametrize(
    "name", ["../outside", "/etc/outside", "..", ".", "a/b", "a\\b", "nul\0byte", "", "ä" * 300]
)
def test_a_variants_files_stay_in_the_folder_whatever_its_name(tmp_path, name):
    path = run_path(tmp_path, {"variant": name, "seed": 0})
    assert path.parent == tmp_path and path.with_suffix(".json").name == f"{path.name}.json"
    path.with_suffix(".json").touch()


def test_every_name_has_a_file_of_its_own(finished):
    names = ["temp 0.5", "temp 0.7", "no pos", "no_pos", "No pos", "no/pos", "no  pos", "a" * 70, "a" * 71]
    paths = {run_path(Path(), {"variant": name, "seed": 0}).name.lower() for name in names}
    assert len(paths) == len(names)
    assert all(set(path) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-") for path in paths)
    assert {path.name for path in finished[0].glob("baseline*")} >= {"baseline_0", "baseline_0.json"}


def with_attention(factor: float) -> Callable:
    """A `build` whose attention gives `factor` times what it read."""

    class ScaledAttention(Attention):
        def forward(self, *args, **options):
            return factor * super().forward(*args, **options)

    def build(config):
        model = VGGT(config)
        for block in (*model.aggregator.frame_blocks, *model.aggregator.global_blocks):
            block.attn.__class__ = ScaledAttention
        return model

    return build


def test_a_model_of_ones_own_is_trained_scored_and_told_from_others_of_its_name(tmp_path):
    loud = replace(MICRO, model=MICRO.model.with_(layer_scale=1.0))  # attention counts from the first step

    def run(factor: float) -> dict:
        return run_experiment([Variant("mine", build=with_attention(factor))], (0,), loud, tmp_path)[0]

    def turn(model) -> float:
        return experiment.scores_of(model.eval(), loud)["rotation_median_deg"]

    mine = run(0.0)
    assert mine["changes"] == {"build": "with_attention.<locals>.build"}
    usual = VGGT.from_pretrained(tmp_path / "mine_0")  # the trained weights, but attention as it was
    silent = with_attention(0.0)(usual.config)
    silent.load_state_dict(usual.state_dict())
    scored = mine["scores"][-1]["rotation_median_deg"]
    assert scored == pytest.approx(turn(silent), rel=0.01)  # float16 rounds the weights
    assert scored != pytest.approx(turn(usual), rel=0.1)
    with pytest.raises(ValueError, match=r"mine_0.json holds another run: build was \w+, now \w+"):
        run(0.5)
    assert run(0.0) == mine


def test_scores_of_ones_own_are_kept_compared_and_part_of_a_runs_identity(tmp_path):
    def views(pred, truth):
        return {"views": float(truth.images.shape[1])}

    own = replace(MICRO, extra_scores=views)
    (run,) = run_experiment([BASELINE], (0,), own, tmp_path)
    assert [line["views"] for line in run["scores"]] == [2.0, 2.0] and "auc_30" in run["scores"][-1]
    assert "**views**\n" in compare_runs([run]).to_markdown(("views",))
    refused(r"recipe.extra_scores was \w+, now none\.", tmp_path)
    runs = [fake(name, seed, views=value) for name, value in (("a", 1.0), ("b", 2.0)) for seed in range(3)]
    assert compare_runs(runs).difference("views", "b").verdict == "higher, beyond the spread of seeds"


def test_parameters_of_equal_name_and_shape_start_equal_whatever_a_variant_draws():
    base, shared = experiment.initial_model(SMALL_RECIPE, BASELINE, 3)
    assert shared == len(dict(base.named_parameters()))
    more = Variant("more registers", model={"num_registers": 6})
    model, shared = experiment.initial_model(SMALL_RECIPE, more, 3)
    others = [
        name
        for name, parameter in model.named_parameters()
        if not torch.equal(parameter, base.get_parameter(name))
    ]
    assert others == ["aggregator.register_tokens", "aggregator.patch_embed.register_tokens"]
    assert shared == len(dict(model.named_parameters())) - 2
    other_seed = experiment.initial_model(SMALL_RECIPE, BASELINE, 4)[0].get_parameter(QKV)
    assert not torch.equal(other_seed, base.get_parameter(QKV))


def test_weights_that_a_build_brings_along_are_kept_if_asked():
    def ones(config):
        model = VGGT(config)
        nn.init.ones_(model.aggregator.camera_token)
        return model

    for own in (False, True):
        variant = Variant("ones", build=ones, own_weights=own)
        model, shared = experiment.initial_model(MICRO, variant, 0)
        assert bool((model.aggregator.camera_token == 1).all()) == own == (shared == 0)


def test_a_device_that_cannot_compute_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="device='meta' cannot compute"):
        run_experiment([BASELINE], (0,), MICRO, tmp_path, device="meta")
    assert not any(tmp_path.iterdir())


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
    model, train = SMALL_RECIPE.of(Variant("x", model={"attention": "cross"}, train=WITHOUT_POINTS), 7)
    assert (model.attention, train.seed, "point" in train.loss_weights) == ("cross", 7, False)


def test_differences_are_paired_by_seed_and_judged_by_students_t():
    """Differences 0.1, 0.2, 0.3: mean 0.2, s = 0.1, margin 4.30 · 0.1 / √3 = 0.248: not clear."""
    seen = compare_runs(runs_of(base=[1.0, 2.0, 3.0], other=[1.1, 2.2, 3.3], third=[1.3, 2.3, 3.31]))
    difference = seen.difference("point_error", "other")
    assert difference.mean == pytest.approx(0.2) and difference.spread == pytest.approx(0.1)
    assert difference.margin == pytest.approx(4.30 * 0.1 / math.sqrt(3))
    assert difference.verdict == "within the spread of seeds"
    # 0.3, 0.3, 0.31 is beyond any doubt, although the scores themselves spread far more
    assert seen.difference("point_error", "third").verdict == "worse, beyond the spread of seeds"


def test_higher_is_better_where_it_is():
    runs = [fake(name, seed, auc_30=value + seed / 10) for name, value in (("a", 10.0), ("b", 20.0))
            for seed in range(3)]  # fmt: skip
    assert compare_runs(runs).difference("auc_30", "b").verdict == "better, beyond the spread of seeds"
    assert compare_runs(runs, baseline="b").difference("auc_30", "a").better is False


def test_one_seed_proves_nothing():
    difference = compare_runs(runs_of(base=[1.0], other=[0.1])).difference("point_error", "other")
    assert difference.verdict == "one seed: no telling" and not difference.clear


def test_only_seeds_that_both_have_are_compared():
    seen = compare_runs(runs_of(base=[1.0, 5.0], other=[2.0]))
    assert seen.difference("point_error", "other").mean == pytest.approx(1.0)
    lonely = compare_runs([fake("base", 0, point_error=1.0), fake("other", 1, point_error=1.0)])
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
        compare_runs(runs, baseline)


def test_curves_are_means_over_seeds():
    runs = runs_of(base=[1.0, 3.0], other=[5.0])
    assert curves(runs, "point_error") == [{"step": 1, "base": 2.0, "other": 5.0}]


def test_the_report_has_setting_table_and_curves(finished, tmp_path):
    path = write_report(compare_runs(finished[1]), tmp_path / "report.md", "Points", "Are points needed?")
    text = path.read_text(encoding="utf-8")
    assert str(WITHOUT_POINTS) in text and "4 steps of 4 images" in text and "Seeds 0, 1" in text
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert '"name": "baseline"' in page and "mean over seeds" in page
    assert "begin as the recipe's" in text and "(float32)" in text and "made by the same code" in text
    assert "| without points | 2 |" in text and "](report.html)" in text
