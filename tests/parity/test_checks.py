"""Comparisons pass what is right, and name the first stage that is not."""

import json
import math

import pytest
import torch

from vggt_lite import VGGT
from vggt_lite.parity import (
    checks,
    deterministic_images,
    deterministic_model,
    deterministic_points,
    verify_golden,
    verify_precision,
)
from vggt_lite.parity.golden import GOLDEN_TINY
from vggt_lite.parity.table import Row, Table, allowed, compare

IMAGES, POINTS = deterministic_images("checks", 2, 28, 42), deterministic_points("checks.q", 4, 28, 42)


def spoiled(module: str, change):
    """`deterministic_model`, with what one module returns changed."""

    def make(*args, **options) -> VGGT:
        model = deterministic_model(*args, **options)
        model.get_submodule(module).register_forward_hook(lambda _, __, out: change(out))
        return model

    return make


def test_the_golden_numbers_are_met_in_the_cases_asked_for():
    table = verify_golden("tiny", cases=["small", "native"])
    assert table.ok and {row.case for row in table.rows} == {"small", "native"} and len(table.rows) == 63
    assert table.worst.ratio < 0.5
    order = [row.stage for row in table.rows if row.case == "native"]
    assert order[0] == "vit.norm" and order[-1].startswith("out.world_points_conf")


@pytest.mark.parametrize(
    ("module", "stage"),
    [
        ("aggregator.global_blocks.1", "agg.global.1"),
        ("depth_head.pyramid.fusions.2", "depth.refinenet3@first"),
        ("track_head.tracker.feature_update", "track.feat_update.0"),
    ],
)
def test_the_first_stage_that_is_off_is_named(monkeypatch, module, stage):
    monkeypatch.setattr(checks, "deterministic_model", spoiled(module, lambda out: out + 1e-3))
    table = verify_golden("tiny", cases=["main"])
    assert table.first_failure.stage == stage
    assert f"the first is main/{stage} (float32, cpu)" in table.verdict()


def test_nan_and_a_stage_that_nobody_saw_fail(monkeypatch):
    monkeypatch.setattr(
        checks, "deterministic_model", spoiled("camera_head", lambda out: [x * math.nan for x in out])
    )
    table = verify_golden("tiny", cases=["native"])
    assert table.first_failure.stage == "out.pose_enc.0" and not table.ok
    monkeypatch.setattr(
        checks, "deterministic_model", lambda *_: deterministic_model(GOLDEN_TINY.with_(camera_iterations=3))
    )
    table = verify_golden("tiny", cases=["native"])
    assert [row.stage for row in table.rows if not row.ok] == ["out.pose_enc.3"]


def test_unknown_files_and_cases_are_named():
    with pytest.raises(ValueError, match="tiny, full"):
        verify_golden("huge")
    with pytest.raises(ValueError, match="'mian'.*main"):
        verify_golden("tiny", cases=["mian"])


def test_settings_of_the_machine_come_back_after_a_comparison():
    flags = torch.backends.cudnn
    before, flags.allow_tf32 = flags.allow_tf32, True
    try:
        with torch.autocast("cpu", torch.bfloat16), checks.plain_float32("cpu"):
            assert not flags.allow_tf32 and not torch.backends.cuda.matmul.allow_tf32
            assert not torch.is_autocast_enabled("cpu")
        assert flags.allow_tf32
    finally:
        flags.allow_tf32 = before


@pytest.mark.parametrize(("dtype", "digits"), [(torch.bfloat16, 1e-4), (torch.float16, 1e-5)])
def test_precision_shows_which_parts_leave_autocast_and_what_rounding_does(dtype, digits):
    table = verify_precision(deterministic_model(GOLDEN_TINY), IMAGES, POINTS, dtype)
    types = {row.stage: row.dtype for row in table.rows}
    half = str(dtype).removeprefix("torch.")
    assert types["vit.block.0"] == types["agg.frame.3"] == types["track.delta.0"] == half
    assert types["cam.delta.0"] == types["depth.logits"] == types["out.depth"] == "float32"
    assert table.ok and all(digits < row.relative < 1 for row in table.rows if row.stage.startswith("agg"))


def test_precision_refuses_what_it_cannot_compare():
    model = deterministic_model(GOLDEN_TINY)
    with pytest.raises(ValueError, match="bfloat16 or torch.float16"):
        verify_precision(model, IMAGES, dtype=torch.float32)
    with pytest.raises(ValueError, match="float16 parameters.*dtype=None"):
        verify_precision(model.half(), IMAGES)


def test_a_number_counts_as_equal_up_to_ten_times_its_noise():
    want = torch.tensor([3.0, -4.0])
    assert allowed(want) == pytest.approx(8e-5) and allowed(want, 1e-3) == pytest.approx(1e-2)
    row = compare("agg.frame.0", want + torch.tensor([0.0, 7e-5]), want, allowed(want))
    assert (
        row.ok
        and row.ratio == pytest.approx(7 / 8, rel=0.01)
        and row.relative == pytest.approx(7e-5 / 4, rel=0.01)
    )
    assert not compare("agg.frame.0", want + 9e-5, want, allowed(want)).ok
    assert not compare("agg.frame.0", torch.tensor([3.0, math.nan]), want, None).ok
    assert not compare("agg.frame.0", torch.ones(3), want, 1e9).ok


def test_a_table_reads_well_in_every_form():
    rows = [
        Row("vit.norm", 1e-6, 1e-7, 1e-5, True),
        Row("agg.frame.0", math.inf, math.inf, 1e-5, False, case="main"),
        Row("out.depth", 1.0, 0.5, None, True, dtype="bfloat16"),
    ]
    table = Table("title <1>", rows)
    assert "main/agg.frame.0" in str(table) and "OFF: 1 of 3 stages" in str(table)
    assert "patch embedding (ViT)" in table.by_part() and "bfloat16" in table.by_part()
    assert "title &lt;1&gt;" in table._repr_html_() and table._repr_html_().count("<tr>") == 4
    values = json.loads(json.dumps(table.to_dict(), allow_nan=False))
    assert values["rows"][1]["max_abs"] is None and not values["ok"]
    assert values["first_failure"].startswith("main/agg.frame.0")
    assert Table("x", rows[:1]).worst.ratio == pytest.approx(0.1) and not Table("empty").ok
    assert (
        Table("x", rows[2:]).worst.stage == "out.depth"
        and "largest relative" in Table("x", rows[2:]).verdict()
    )
