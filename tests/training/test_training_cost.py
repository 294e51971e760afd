"""Operations are counted as one would by hand, and turned into hours and money."""

from dataclasses import replace

import pytest

from tools import training_cost as cost
from vggt_lite.config import NANO

CAMERAS = NANO.with_(heads=("camera",))
PLAN = cost.Plan(CAMERAS, 64, 64, images=4, views=4, steps=10, query_points=0, checkpointing=False)


def test_twice_the_views_of_a_scene_cost_twice_as_much_and_the_square_of_attention():
    """Two products of 2 · L² · C operations, and twice as many in the backward pass: 12 · L² · C."""
    few, many = cost.step_flops(PLAN), cost.step_flops(replace(PLAN, images=8, views=8))
    tokens = 4 * (64 // CAMERAS.patch_size) ** 2 + 4 * (1 + CAMERAS.num_registers)  # in a global block
    square = CAMERAS.depth * CAMERAS.dim * tokens**2
    square += CAMERAS.camera_depth * CAMERAS.camera_iterations * 2 * CAMERAS.dim * 4**2  # the camera head's
    assert many - 2 * few == 12 * square * (2**2 - 2)


def test_scenes_add_up_and_recomputing_costs_a_forward_pass_of_the_blocks():
    one = cost.step_flops(PLAN)
    assert cost.step_flops(replace(PLAN, images=12)) == 3 * one
    assert one < cost.step_flops(replace(PLAN, checkpointing=True)) < 4 / 3 * one


def test_hours_follow_from_the_assumptions():
    assumed = cost.Assumptions(gpus=2, peak=1e12, utilisation=0.5, price=3.0)
    assert cost.gpu_hours(3.6e15, assumed) == pytest.approx(2.0)
    (row,) = cost.rows({"cameras": PLAN}, assumed)
    total = 10 * cost.step_flops(PLAN)
    hours = total / 0.5e12 / 3600
    assert [row[6], row[8]] == [f"{hours:.3g}", f"{3 * hours:.3g}"]


@pytest.mark.slow
def test_the_page_shows_what_is_counted():
    page = (cost.ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    assert cost.text(cost.Assumptions()) in page
