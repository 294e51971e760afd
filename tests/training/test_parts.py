"""Schedule, clipping, average, log, checkpoint and configuration, each by itself."""

import json
import pickle
import random

import numpy as np
import pytest
import torch
from torch import nn

from tests.training.toy import ToyModel
from vggt_lite.config import NANO, TrainConfig
from vggt_lite.losses import LOSSES
from vggt_lite.model import VGGT
from vggt_lite.training import checkpoint as files
from vggt_lite.training.clipping import clip_by_part, parameter_parts
from vggt_lite.training.ema import WeightEMA
from vggt_lite.training.log import Log, Meter, read_log
from vggt_lite.training.schedule import learning_rate

SMALL = NANO.with_(
    dim=32, num_heads=2, vit_depth=1, depth=1, dense_layers=(0, 0, 0, 0), dense_dim=8, camera_depth=1,
    camera_iterations=2, track_depth=1, track_iterations=2,
)  # fmt: skip


def test_the_rate_climbs_in_a_line_and_falls_along_a_cosine():
    rates = [learning_rate(i / 1000, peak=2.0, warmup=0.1) for i in range(1001)]
    assert rates[50] == pytest.approx(1.0) and rates[100] == 2.0 == max(rates)
    assert 0 < rates[0] < 0.01
    assert rates[550] == pytest.approx(1.0)  # half-way down
    assert rates[1000] == pytest.approx(0.0, abs=1e-12)
    assert all(a >= b for a, b in zip(rates[100:], rates[101:], strict=False))
    assert learning_rate(0.0, 2.0, warmup=0.0) == 2.0


def test_every_trained_parameter_belongs_to_exactly_one_part():
    model = VGGT(SMALL)
    parts = parameter_parts(model)
    assert set(parts) == {"aggregator", "camera_head", "depth_head", "point_head", "track_head"}
    counted = [id(p) for part in parts.values() for p in part]
    assert sorted(counted) == sorted(id(p) for p in model.parameters() if p.requires_grad)


def test_a_wild_part_is_clipped_and_leaves_the_others_alone():
    model = ToyModel()
    for name, parameter in model.named_parameters():
        parameter.grad = torch.full_like(parameter, 100.0 if name.startswith("camera") else 1e-3)
    norms = clip_by_part(parameter_parts(model), max_norm=1.0)
    flat = torch.cat([p.grad.flatten() for p in model.camera_head.parameters()])
    assert norms["camera_head"] == pytest.approx(100 * len(flat) ** 0.5)
    assert flat.norm() == pytest.approx(1.0, rel=1e-4)
    assert all((p.grad == 1e-3).all() for p in model.aggregator.parameters())


def test_the_average_is_the_weighted_sum_of_what_it_saw():
    model = nn.Linear(1, 1, bias=False)
    average, expected = WeightEMA(model, 0.9), model.weight.item()
    for step in range(200):
        with torch.no_grad():
            model.weight.fill_(float(step % 7))
        average.update(model, step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * (step % 7)
    average.copy_to(model)
    assert model.weight.item() == pytest.approx(expected, rel=1e-5)


def test_a_decay_of_zero_keeps_the_weights_themselves():
    model = nn.Linear(2, 2)
    average = WeightEMA(model, 0.0)
    with torch.no_grad():
        model.weight.add_(1.0)
    average.update(model, 0)
    assert torch.equal(average.weights["weight"], model.weight)


def test_random_generators_continue_where_they_were(tmp_path):
    state = dict.fromkeys(("model", "average", "optimizer", "config"), {})
    files.save_checkpoint(tmp_path, 3, state | {"ranks": [{"random": files.random_state()}]})
    first = (random.random(), np.random.rand(), torch.rand(1).item())
    files.set_random_state(files.newest_checkpoint(tmp_path)[1]["ranks"][0]["random"])
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == first


def test_a_checkpoint_that_was_not_finished_is_not_seen(tmp_path, monkeypatch):
    files.save_checkpoint(tmp_path, 1, {"x": torch.ones(3)})

    def dies(value, file):
        file.write(b"half a checkpoint")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", dies)
    with pytest.raises(OSError):
        files.save_checkpoint(tmp_path, 2, {"x": torch.ones(3)})
    assert [p.name for p in files.list_checkpoints(tmp_path)] == ["checkpoint_00000001.pt"]


def test_a_log_continues_without_lines_of_lost_work(tmp_path):
    path = tmp_path / "log.jsonl"
    log = Log(path, 0)
    for step in (5, 10, 15):
        log.write(step, {"loss": 1 / 3})
    path.write_text(path.read_text() + '{"step": 20, "lo')
    assert [line["step"] for line in read_log(path)] == [5, 10, 15]
    Log(path, 10).write(15, {"loss": 0.25})
    assert read_log(path) == [
        {"step": 5, "loss": 0.333333},
        {"step": 10, "loss": 0.333333},
        {"step": 15, "loss": 0.25},
    ]


def test_a_meter_takes_means_also_over_what_comes_now_and_then():
    meter = Meter()
    meter.add({"a": torch.tensor(1.0), "b": torch.tensor(4.0)})
    meter.add({"a": torch.tensor(3.0)})
    continued = Meter(**meter.state_dict())
    continued.add({"a": torch.tensor(5.0)})
    assert meter.read() == {"a": 2.0, "b": 4.0}
    assert continued.read() == {"a": 3.0, "b": 4.0}
    assert continued.read() == {}


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("steps", 0, "steps=0 must be at least 1"),
        ("learning_rate", 0, "learning_rate=0 must be above 0"),
        ("warmup", 5, "give 0 to 1"),
        ("views", (3, 2), r"\(fewest, most\)"),
        ("max_images", 3, "cannot hold one scene of 4 views"),
        ("loss_form", "official", "choose among 'code', 'paper'"),
        ("loss_weights", {"camera": 1, "track": -1}, "from 0 up; not so: track"),
        ("loss_weights", {"camera": float("nan")}, "not so: camera"),
        ("loss_weights", {"camera": 0}, "nothing would be learned"),
        ("learning_rate", float("inf"), "learning_rate=inf must be finite; the default is 0.0005"),
        ("learning_rate", float("nan"), "must be finite"),
        ("weight_decay", float("inf"), "must be finite"),
        ("clip_norm", float("nan"), "must be finite"),
        ("augment", -1.0, "must not be below 0"),
        ("betas", (0.9, 1.0), r"must lie in \[0, 1\)"),
        ("seed", -1, "must not be below 0"),
        ("steps", 10**30, "must be at most 1000000000"),
        ("max_images", 10**9, "must be at most 100000"),
        ("ema_decay", 1.0, r"must lie in \[0, 1\)"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_with_words(field, value, words):
    with pytest.raises(ValueError, match=words):
        TrainConfig(**{field: value})


def test_a_configuration_survives_json():
    config = TrainConfig(views=(2, 3), loss_weights={"camera": 1, "matching": 0.5, "depth": 0})
    again = TrainConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config and hash(again) == hash(config)
    assert again.loss_weights == {"camera": 1.0, "matching": 0.5}  # 0 is left out
    assert pickle.loads(pickle.dumps(config)) == config  # as a worker process gets it


def test_the_weights_of_a_configuration_in_use_cannot_change():
    config, mine = TrainConfig(), {"camera": 1.0}
    for change in (
        lambda w: w.update(mine),
        lambda w: w.pop("camera"),
        lambda w: w.__setitem__("depth", 2.0),
    ):
        with pytest.raises(TypeError, match="cannot change"):
            change(config.loss_weights)
    other = config.with_(loss_weights=mine)
    mine["camera"] = 7.0
    assert other.loss_weights == {"camera": 1.0}


def test_the_default_weights_are_those_of_the_losses():
    assert TrainConfig().loss_weights == {name: loss.weight for name, loss in LOSSES.items() if loss.weight}
