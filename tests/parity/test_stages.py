"""Stages are seen whole, untouched by what comes after, and in the order of computation."""

import pytest
import torch

from vggt_lite.parity import deterministic_images, deterministic_model, deterministic_points, run_with_stages
from vggt_lite.parity.golden import GOLDEN_TINY
from vggt_lite.parity.stages import PARTS, observe, official_module, part, record

IMAGES, POINTS = deterministic_images("stages", 3, 28, 42), deterministic_points("stages.q", 4, 28, 42)


@pytest.fixture(scope="module")
def model():
    return deterministic_model(GOLDEN_TINY)


def test_stages_come_in_the_order_of_computation(model):
    names = list(run_with_stages(model, IMAGES, POINTS[None]))
    assert names[:5] == ["vit.block.0", "vit.block.1", "vit.norm", "agg.frame.0", "agg.global.0"]
    places = [list(PARTS).index(part(name)) for name in names]
    assert places == sorted(places)
    assert names.index("depth.refinenet4") < names.index("depth.refinenet1") < names.index("depth.conv1")


def test_what_is_kept_does_not_change_when_the_next_module_works_in_place():
    net = torch.nn.Sequential(torch.nn.Identity(), torch.nn.ReLU(inplace=True))
    places = {"vit.a": ("0", 0), "vit.b": ("1", None), "vit.second call": ("0", 1)}
    seen, _ = record(net, places, lambda: {"out.depth": net(torch.tensor([-1.0, 1.0]))})
    assert list(seen) == ["vit.a", "vit.b", "out.depth"] and not net[0]._forward_hooks
    assert seen["vit.a"].tolist() == [-1, 1] and seen["vit.b"].tolist() == [0, 1]
    with pytest.raises(ValueError, match="'missing'"):
        record(net, {"vit.a": ("missing", 0)}, dict)


def test_the_arithmetic_of_every_stage_is_seen(model):
    assert set(observe(model, IMAGES, POINTS[None])[1].values()) == {torch.float32}
    with torch.autocast("cpu", torch.bfloat16):
        types = observe(model, IMAGES, POINTS[None])[1]
    half = {part(name) for name, dtype in types.items() if dtype == torch.bfloat16}
    assert half == {"vit.", "agg.", "track.", "out.track", "out.vis", "out.conf"}


def test_modules_have_the_names_of_the_official_network():
    names = {
        "aggregator.frame_blocks.3": "aggregator.frame_blocks.3",
        "depth_head.pyramid.fusions.3": "depth_head.scratch.refinenet4",
        "point_head.pyramid.output_conv": "point_head.scratch.output_conv1",
        "depth_head.output": "depth_head.scratch.output_conv2",
        "track_head.pyramid.output_conv": "track_head.feature_extractor.scratch.output_conv1",
        "track_head.tracker.update.flow_head": "track_head.tracker.updateformer.flow_head",
        "track_head.tracker.feature_update": "track_head.tracker.ffeat_updater",
    }
    assert {ours: official_module(ours) for ours in names} == names
