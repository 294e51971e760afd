"""The right answers of the exercises on variants and experiments are what the package does."""

import pytest
import torch

from vggt_lite import NANO, VGGT
from vggt_lite.course.checks.experiments import paired_mean_and_margin, shapes_on_the_way
from vggt_lite.course.checks.variants import (
    merged_reading,
    relative_to_first,
    some_poses,
    special_tokens_attend,
)
from vggt_lite.geometry import quat_xyzw_from_matrix
from vggt_lite.model import Block, attention_weights, grid_positions
from vggt_lite.model.variants.reference_free import to_first_camera
from vggt_lite.model.variants.register_attention import attend_special_tokens
from vggt_lite.research.comparison import compare_runs

SMALL = NANO.with_(dim=16, num_heads=2, num_registers=2, camera_num_heads=2)


def test_register_attention_is_the_packages():
    torch.manual_seed(0)
    block, x = Block(16, 2, layer_scale=1.0), torch.randn(6, 3 + 4, 16)  # two scenes of three views
    config = SMALL.with_(register_attention=(0,))
    _, (theirs,) = attend_special_tokens(config, [block], [block], grid_positions(2, 2, 3), num_views=3)
    with torch.no_grad():
        ours = special_tokens_attend(x, 3, 3, block)
        torch.testing.assert_close(ours, theirs(x.reshape(2, 21, 16), None).reshape(x.shape))


def test_poses_relative_to_first_view_are_the_packages():
    poses = some_poses(4, seed=3)
    encoding = torch.cat([poses[..., 3], quat_xyzw_from_matrix(poses[..., :3]), torch.ones(4, 2)], dim=-1)
    moved, ours = to_first_camera(encoding[None])[0], relative_to_first(poses)
    torch.testing.assert_close(moved[:, :3], ours[..., 3], atol=1e-5, rtol=1e-5)
    turns = quat_xyzw_from_matrix(ours[..., :3])
    torch.testing.assert_close((moved[:, 3:7] * turns).sum(-1).abs(), torch.ones(4), atol=1e-5, rtol=1e-5)


def test_merging_equal_tokens_reads_what_all_of_them_read():
    x = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))[[0, 1, 1, 2, 1]]
    expected = attention_weights(x, x) @ x
    torch.testing.assert_close(merged_reading(x, torch.tensor([0, 1, 1, 2, 1]), 3), expected)


def test_the_shapes_are_those_of_a_forward_pass():
    model, found = VGGT(NANO).eval(), {}

    def note(name):
        return lambda module, inputs: found.update({name: tuple(inputs[0].shape)})

    model.aggregator.frame_blocks[0].register_forward_pre_hook(note("frame attention"))
    model.aggregator.global_blocks[0].register_forward_pre_hook(note("global attention"))
    model.camera_head.register_forward_pre_hook(note("camera tokens"))
    with torch.no_grad():
        pred = model(torch.rand(3, 3, 48, 32))
    found["camera tokens"] = found["camera tokens"][1:]
    for name in ("pose encoding", "depth", "point map"):
        found[name] = tuple(getattr(pred, name.replace(" ", "_")).shape[1:])
    expected = shapes_on_the_way(NANO, 3, 48, 32)
    patches = expected.pop("patches")
    assert found == expected and pred.patch_tokens.shape[1:3] == patches[:2]


def test_the_interval_is_that_of_a_comparison():
    base, ours = [0.30, 0.35, 0.32], [0.28, 0.34, 0.27]
    scores = {"base": base, "ours": ours}
    runs = [
        {"variant": name, "seed": seed, "scores": [{"step": 1, "point_error": value}]}
        for name, values in scores.items()
        for seed, value in enumerate(values)
    ]
    found = compare_runs(runs).difference("point_error", "ours")
    mean, margin = paired_mean_and_margin(torch.tensor(ours), torch.tensor(base))
    assert (mean.item(), margin.item()) == pytest.approx((found.mean, found.margin), rel=1e-5)
