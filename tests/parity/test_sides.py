"""Both networks side by side, with a stand-in for the official package."""

import pytest
import torch

from tests.parity.stand_in import forget, install
from vggt_lite import NANO
from vggt_lite.parity import deterministic_images, deterministic_model, deterministic_points
from vggt_lite.parity.golden import GOLDEN_TINY
from vggt_lite.parity.official import HOW, nudged, official_class, official_model, verify_official

IMAGES, POINTS = deterministic_images("sides", 2, 28, 42), deterministic_points("sides.q", 4, 28, 42)


def test_equal_networks_agree_at_every_stage_and_output(monkeypatch, tmp_path):
    install(monkeypatch, tmp_path, GOLDEN_TINY)
    (table,) = verify_official(images=IMAGES, points=POINTS, config=GOLDEN_TINY)
    assert table.ok and max(row.max_abs for row in table.rows) == 0
    assert not table.about["not_observed"]
    stages = [row.stage for row in table.rows]
    assert len(stages) == 52 and stages[0] == "vit.block.0" and stages[-1] == "out.conf"


@pytest.mark.parametrize("wrong", ["vit.block.1", "agg.global.2", "point.refinenet2", "track.fmap_conv1"])
def test_the_first_stage_that_is_off_is_named(monkeypatch, tmp_path, wrong):
    install(monkeypatch, tmp_path, GOLDEN_TINY, wrong)
    (table,) = verify_official(images=IMAGES, points=POINTS, config=GOLDEN_TINY)
    assert table.first_failure.stage == wrong
    assert f"the first is {wrong}" in table.verdict()


def test_given_weights_are_used_by_both_and_come_back_unchanged(monkeypatch, tmp_path):
    install(monkeypatch, tmp_path, GOLDEN_TINY)
    model = deterministic_model(GOLDEN_TINY, "small")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    (table,) = verify_official(model, IMAGES, POINTS)
    assert table.ok and table.about["weights"] == "given"
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_half_precision_is_judged_by_what_it_costs_the_official_network(monkeypatch, tmp_path):
    install(monkeypatch, tmp_path, GOLDEN_TINY, wrong="agg.frame.3")  # by 0.001: bf16 cannot tell
    exact, half = verify_official(images=IMAGES, config=GOLDEN_TINY, dtype=torch.bfloat16)
    assert exact.first_failure.stage == "agg.frame.3" and half.ok
    assert {row.dtype for row in half.rows} == {"bfloat16 autocast"}


def test_heads_that_ours_lacks_are_left_out_there_too(monkeypatch, tmp_path):
    install(monkeypatch, tmp_path, GOLDEN_TINY)
    (table,) = verify_official(images=IMAGES, config=GOLDEN_TINY.with_(heads=("camera", "depth", "point")))
    assert table.ok and not [row for row in table.rows if row.stage.startswith("track")]


def test_nudging_moves_every_weight_by_one_step_and_back():
    model = deterministic_model(GOLDEN_TINY)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with nudged(model, seed=3):
        for key, value in model.state_dict().items():
            step = (value - before[key]).abs()
            assert (step > 0).all() and (step <= 2**-23 * before[key].abs() + 1e-44).all(), key
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_another_network_a_missing_and_a_broken_package_are_said(monkeypatch, tmp_path):
    forget(monkeypatch)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert official_class() is None
    with pytest.raises(ImportError, match="pip install git"):
        official_model(GOLDEN_TINY)
    monkeypatch.undo()

    install(monkeypatch, tmp_path, GOLDEN_TINY.with_(vit_depth=3))
    with pytest.raises(ValueError, match=r"patch_embed.blocks.2.*expected|patch_embed.blocks.2"):
        official_model(GOLDEN_TINY)

    (tmp_path / "vggt" / "models" / "vggt.py").write_text("import a_module_nobody_has\n")
    forget(monkeypatch)
    with pytest.raises(ImportError, match="a_module_nobody_has.*") as error:
        official_class()
    assert HOW in str(error.value)


def test_models_that_cannot_be_compared_are_refused(monkeypatch, tmp_path):
    install(monkeypatch, tmp_path, GOLDEN_TINY)
    with pytest.raises(ValueError, match="pixel_center=0.5"):
        verify_official(images=IMAGES, config=NANO)
    with pytest.raises(ValueError, match="bfloat16 parameters"):
        verify_official(deterministic_model(GOLDEN_TINY).bfloat16(), IMAGES)
