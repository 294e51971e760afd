"""How long a forward pass will take is known beforehand, to a factor of two, and shown while it runs."""

import time

import pytest
import torch

from vggt_lite import NANO, TINY, VGGT
from vggt_lite.inference import pipeline, reconstruct, time_estimate
from vggt_lite.inference.chunked import chunked
from vggt_lite.inference.time_estimate import TimeEstimate, duration, estimate_time, long_run, matrices, shown
from vggt_lite.pretrained.int8 import to_int8

MIDDLE = TINY.with_(
    dim=256, vit_depth=2, depth=6, dense_layers=(1, 3, 4, 5), heads=("camera", "depth"), dense_dim=48
)


@pytest.fixture
def own_time(monkeypatch):
    """Seconds of this process's work: what else the machine does is left out on both sides."""
    monkeypatch.setattr(time, "perf_counter", time.process_time)
    monkeypatch.setattr(time_estimate, "ENOUGH", 0.1)


@pytest.mark.parametrize(
    ("config", "views", "size"), [(TINY, 16, 112), (MIDDLE, 4, 112)], ids=["TINY", "middle"]
)
def test_the_estimate_is_within_a_factor_of_two_of_what_was_measured(config, views, size, own_time):
    torch.manual_seed(0)
    model = VGGT(config.with_(heads=tuple(h for h in config.heads if h != "track"))).eval()
    images = torch.rand(views, 3, size, size)
    estimate = estimate_time(model, views, size, size)
    with chunked(model):
        start = time.perf_counter()
        model(images)
    measured = time.perf_counter() - start
    assert 0.5 < estimate.seconds / measured < 2, (estimate.seconds, measured)


def test_more_of_anything_takes_longer(monkeypatch):
    monkeypatch.setattr(time_estimate, "_speeds", lambda *_: (1e-10, 1e-9, 1e-4))
    model = VGGT(NANO)
    base = estimate_time(model, 2, 64, 64)
    views, larger, points = (
        estimate_time(model, *case) for case in ((4, 64, 64), (2, 96, 64), (2, 64, 64, 9))
    )
    assert base.seconds < min(views.seconds, larger.seconds, points.seconds)
    name = "aggregator.frame_blocks.0"
    assert views.parts[name] == pytest.approx(2 * base.parts[name])
    name = "aggregator.global_blocks.0"  # every view reads from all views
    assert views.parts[name] > 2.1 * base.parts[name]
    assert "track_head" not in base.parts and points.parts["track_head"] > 0
    for name in points.parts:
        assert model.get_submodule(name) is not None


def test_a_product_with_the_blocks_matrices_is_counted_as_it_is():
    model = VGGT(NANO)
    block = model.aggregator.frame_blocks[0]
    count = matrices(block)
    assert count == 12 * NANO.dim**2
    to_int8(model)
    assert matrices(model.aggregator.frame_blocks[0]) == count


def test_what_is_measured_once_is_remembered(monkeypatch):
    calls, model = [], VGGT(NANO)
    monkeypatch.setattr(time_estimate, "_speeds", lambda *_: calls.append(1) or (1e-10, 1e-9, 1e-4))
    for views in (2, 2, 3):
        estimate_time(model, views, 64, 64)
    assert len(calls) == 2


def hooks(model) -> int:
    return sum(len(module._forward_hooks) for module in model.modules())


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError("broken")], ids=["Ctrl-C", "an error"])
def test_a_run_that_stops_leaves_no_hook_and_no_chunked_method(error, monkeypatch):
    model = VGGT(NANO).train()
    monkeypatch.setattr(pipeline, "long_run", lambda *_: TimeEstimate({"aggregator.frame_blocks.0": 60.0}))
    seen = []

    def stop(module, *_):
        seen.append(hooks(model))
        raise error

    own = model.aggregator.frame_blocks[1].register_forward_pre_hook(stop)
    with (
        pytest.raises((KeyboardInterrupt, RuntimeError)),
        pytest.warns(UserWarning, match="about 60 seconds"),
    ):
        reconstruct(model, [torch.rand(64, 64, 3).numpy()] * 2)
    assert seen == [1] and not hooks(model) and model.training
    assert not any("forward" in vars(module) for module in model.modules())
    own.remove()


def test_a_bar_moves_by_the_time_of_each_part(monkeypatch):
    model, moved = VGGT(NANO).eval(), []

    class Bar:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            moved.append("closed")

        def update(self, seconds):
            moved.append(seconds)
            return True

    monkeypatch.setattr(time_estimate, "progress", lambda **options: Bar())
    monkeypatch.setattr(time_estimate, "_speeds", lambda *_: (1e-10, 1e-9, 1e-4))
    estimate, images = estimate_time(model, 2, 32, 32), torch.rand(2, 3, 32, 32)
    with chunked(model):
        alone = model(images).depth
        with shown(model, estimate):
            found = model(images).depth
    assert torch.equal(alone, found)  # hooks change nothing, and chunks stay
    assert moved.pop() == "closed" and sum(moved) == pytest.approx(estimate.seconds)
    assert len(moved) == len(estimate.parts) == NANO.vit_depth + 2 * NANO.depth + 3


def test_a_short_run_passes_without_a_word_and_without_measuring(monkeypatch):
    monkeypatch.setattr(time_estimate, "_speeds", lambda *_: pytest.fail("measured"))
    assert long_run(VGGT(NANO), torch.rand(2, 3, 64, 64), 0) is None
    assert long_run(torch.nn.Identity(), torch.rand(2, 3, 64, 64), 0) is None
    monkeypatch.setattr(time_estimate, "_speeds", lambda *_: (1e-10, 1e-9, 1e-4))
    monkeypatch.setattr(time_estimate, "FEW", 0)
    assert long_run(VGGT(NANO), torch.rand(2, 3, 64, 64), 0) is None
    assert long_run(VGGT(NANO), torch.empty(4000, 3, 64, 64, device="meta"), 0).seconds > 10


def test_times_are_said_as_people_say_them():
    said = {0.2: "1 second", 12.4: "12 seconds", 150: "2 minutes", 240: "4 minutes", 9000: "2.5 hours"}
    assert {seconds: duration(seconds) for seconds in said} == said
    assert str(TimeEstimate({"a": 20.0, "b": 21.0})) == "41 seconds"
