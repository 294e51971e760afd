"""Depth metrics worked out by hand."""

import pytest
import torch

from vggt_lite.metrics import depth_metrics
from vggt_lite.metrics.depths import weighted_median

TRUE = torch.tensor([[1.0, 2.0, 4.0], [5.0, 10.0, 0.0]])
VALID = torch.ones_like(TRUE, dtype=torch.bool)


def test_figures_of_a_small_map():
    pred = torch.tensor([[1.1, 1.0, 4.0], [5.0, 12.0, 9.0]])  # the last pixel has no truth
    scores = depth_metrics(pred, TRUE, VALID, alignment="none")
    assert scores["abs_rel"] == pytest.approx((0.1 + 0.5 + 0 + 0 + 0.2) / 5)
    assert scores["sq_rel"] == pytest.approx((0.01 + 0.5 + 4 / 10) / 5)
    assert scores["rmse"] == pytest.approx(((0.01 + 1 + 4) / 5) ** 0.5)
    assert scores["delta_1.25"] == pytest.approx(4 / 5)
    assert scores["delta_1.25^3"] == pytest.approx(4 / 5)  # 1.25³ = 1.95 < 2
    assert scores["inlier_1.03"] == pytest.approx(2 / 5)


def test_each_alignment_forgives_what_it_says_and_no_more():
    errors = {
        (alignment, name): depth_metrics(pred, TRUE, VALID, alignment)["abs_rel"]
        for alignment in ("none", "median", "scale", "scale_shift")
        for name, pred in (("scaled", TRUE / 3), ("shifted", TRUE / 3 + 1))
    }
    forgiven = {key for key, error in errors.items() if error < 1e-6}
    assert forgiven == {
        ("median", "scaled"), ("scale", "scaled"), ("scale_shift", "scaled"), ("scale_shift", "shifted")
    }  # fmt: skip


def test_the_scale_alignment_has_the_least_absolute_error_of_all_scales():
    g = torch.Generator().manual_seed(0)
    pred, true = torch.rand(2, 301, generator=g, dtype=torch.float64) + 0.5
    best = weighted_median(true / pred, pred)
    candidates = torch.linspace(0.3, 3, 2000, dtype=torch.float64)
    costs = (candidates[:, None] * pred - true).abs().sum(1)
    assert (best * pred - true).abs().sum() <= costs.min() + 1e-9


def test_invalid_pixels_do_not_count_and_nan_at_valid_ones_is_refused():
    pred = TRUE.clone()
    pred[0, 0] = float("nan")
    mask = VALID.clone()
    mask[0, 0] = False
    assert depth_metrics(pred, TRUE, mask)["abs_rel"] == pytest.approx(0, abs=1e-7)
    with pytest.raises(ValueError, match="NaN or infinite at 1 valid"):
        depth_metrics(pred, TRUE, VALID)


def test_wrong_requests_say_what_would_be_right():
    with pytest.raises(ValueError, match="alignment='mean'.*median"):
        depth_metrics(TRUE, TRUE, VALID, alignment="mean")
    with pytest.raises(ValueError, match="no pixel is valid"):
        depth_metrics(TRUE, TRUE, ~VALID)
    with pytest.raises(ValueError, match="one shape"):
        depth_metrics(TRUE[:1], TRUE, VALID)
