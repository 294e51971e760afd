"""A preset trains stage by stage with one call, and goes on after a stop."""

from dataclasses import replace

import pytest
import torch

from tests.training.test_parts import SMALL
from vggt_lite.config import SceneConfig, TrainConfig
from vggt_lite.research import presets
from vggt_lite.training.checkpoint import load_checkpoint

STAGE = TrainConfig(steps=2, max_images=4, num_tracks=4, views=(2, 2), checkpoint_every=1)
ALL = STAGE.loss_weights | {"matching": 0.5}
MICRO = presets.Preset(
    model=SMALL.with_(image_size=32, track_levels=2),
    path_views=3,
    stages={
        "matching": presets.TrainStage(
            presets.LANDMARKS,
            16,
            STAGE.with_(loss_weights={"camera": 5.0, "track": 0.05, "matching": 1.0}),
            num_scenes=4,
        ),
        "all": presets.TrainStage(SceneConfig(), 32, STAGE.with_(loss_weights=ALL, seed=1), num_scenes=4),
    },
)


def run(monkeypatch, out, **options):
    monkeypatch.setitem(presets.PRESETS, "micro", MICRO)
    return presets.train_preset("micro", out, **options)


def test_stages_hand_on_their_weights_and_a_stopped_preset_continues(monkeypatch, tmp_path):
    data = tmp_path / "data"
    whole = run(monkeypatch, tmp_path / "whole", data_folder=data)
    assert whole.finished and whole.checkpoint.parent.name == "1_all"
    for call in range(3):
        sliced = run(monkeypatch, tmp_path / "sliced", data_folder=data, max_seconds=0)
        assert sliced.finished == (call == 2)
    a, b = (load_checkpoint(result.checkpoint)["average"] for result in (whole, sliced))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_stage_has_only_the_heads_that_it_trains():
    names = [
        {
            name.split(".")[0]
            for name, _ in presets.stage_model(MICRO.model, stage.config, {}).named_parameters()
        }
        for stage in MICRO.stages.values()
    ]
    assert names[0] == {"aggregator", "camera_head", "track_head"}
    assert names[1] == names[0] | {"depth_head", "point_head"}


def test_a_second_stage_starts_from_the_first():
    first = presets.stage_model(MICRO.model, MICRO.stages["matching"].config, {})
    second = presets.stage_model(MICRO.model, MICRO.stages["all"].config, first.state_dict())
    for name, value in first.state_dict().items():
        assert torch.equal(second.state_dict()[name], value)


def test_what_is_frozen_stays_and_the_rest_learns(monkeypatch, tmp_path):
    stage = MICRO.stages["all"]
    micro = replace(MICRO, stages={"heads": replace(stage, num_scenes=0, frozen=("aggregator",))})
    monkeypatch.setitem(presets.PRESETS, "micro", micro)
    result = presets.train_preset("micro", tmp_path)
    began = presets.stage_model(micro.model, stage.config, {}).state_dict()
    ended = load_checkpoint(result.checkpoint)["model"]
    changed = {name.split(".")[0] for name, value in began.items() if not torch.equal(ended[name], value)}
    assert changed == {"camera_head", "depth_head", "point_head", "track_head"}


def test_a_stage_with_a_window_trains_while_its_scenes_are_rendered(monkeypatch, tmp_path):
    stage = replace(MICRO.stages["all"], num_scenes=300, window=100)  # two files of 256
    monkeypatch.setitem(presets.PRESETS, "micro", replace(MICRO, stages={"all": stage}))
    monkeypatch.setattr(presets, "render_ahead", None)
    assert presets.train_preset("micro", tmp_path).finished
    assert len(list(tmp_path.glob("scenes_*/*.safetensors"))) == 2


def test_a_fast_run_compiles_the_blocks_and_no_exact_one_goes_on_from_it(monkeypatch, tmp_path):
    compiled = []
    monkeypatch.setattr(presets, "compile_blocks", compiled.append)
    run(monkeypatch, tmp_path, precision="fast")
    assert len(compiled) == len(MICRO.stages)
    with pytest.raises(ValueError, match="precision"):
        run(monkeypatch, tmp_path)


@pytest.mark.slow  # compiling takes half a minute
def test_compiled_blocks_give_the_same_tokens():
    torch.manual_seed(0)
    model = presets.stage_model(MICRO.model, MICRO.stages["all"].config, {})
    images = [torch.rand(1, views, 3, 32, 32) for views in (2, 3)]
    with torch.no_grad():
        plain = [model(x).pose_encoding for x in images]
        presets.compile_blocks(model)
        for x, wanted in zip(images, plain, strict=True):
            torch.testing.assert_close(model(x).pose_encoding, wanted, rtol=1e-4, atol=1e-5)
