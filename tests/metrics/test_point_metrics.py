"""Point metrics worked out by hand."""

import pytest
import torch

from tests.geometry.cases import random_cameras
from vggt_lite.geometry import Similarity
from vggt_lite.metrics import point_metrics
from vggt_lite.metrics.neighbors import nearest_distance

VALID = torch.ones(4, 5, dtype=torch.bool)


def _points() -> torch.Tensor:
    return torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_a_similarity_is_forgiven_and_a_rigid_alignment_keeps_the_scale():
    camera = random_cameras()
    true = _points()
    pred = Similarity(torch.tensor(0.2).double(), camera[:, :3], camera[:, 3]).apply(true)
    scores = point_metrics(pred, true, VALID)
    assert scores["mean_distance"] < 1e-9 and scores["chamfer"] < 1e-9 and scores["f_score"] == 1
    assert point_metrics(pred, true, VALID, alignment="rigid")["mean_distance"] > 0.5


def test_accuracy_and_completeness_look_in_opposite_directions():
    true = torch.tensor([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0]])
    pred = torch.tensor([[0.0, 0, 0.1], [0, 0, 0.1], [0, 0, 0.1], [0, 0, 0.1]])  # all at one end
    valid = torch.ones(4, dtype=torch.bool)
    scores = point_metrics(pred, true, valid, alignment="none", threshold=0.2)
    assert scores["accuracy"] == pytest.approx(0.1)
    distances = [(k * k + 0.01) ** 0.5 for k in range(4)]
    assert scores["completeness"] == pytest.approx(sum(distances) / 4)
    assert scores["chamfer"] == pytest.approx((0.1 + sum(distances) / 4) / 2)
    assert scores["f_score"] == pytest.approx(2 * 1 * 0.25 / 1.25)
    assert scores["mean_distance"] == pytest.approx(sum(distances) / 4)


def test_relative_error_divides_by_the_distance_from_the_origin():
    true = torch.tensor([[0.0, 0, 1], [0, 0, 2], [0, 0, 4]])
    pred = true + torch.tensor([0.1, 0, 0])
    scores = point_metrics(pred, true, torch.ones(3, dtype=torch.bool), alignment="none", num_samples=0)
    assert scores["relative_error"] == pytest.approx((0.1 + 0.05 + 0.025) / 3)
    assert "chamfer" not in scores


def test_invalid_points_do_not_count():
    true, pred, valid = _points(), _points(), VALID.clone()
    pred[0, 0], valid[0, 0] = float("nan"), False
    assert point_metrics(pred, true, valid)["mean_distance"] < 1e-9


def test_the_nearest_point_is_found_across_chunks():
    points, cloud = (torch.randn(n, 3, generator=torch.Generator().manual_seed(n)) for n in (600, 50))
    want = (points[:, None] - cloud).norm(dim=-1).amin(1)
    torch.testing.assert_close(nearest_distance(points, cloud), want)


def test_shapes_that_do_not_correspond_are_refused():
    with pytest.raises(ValueError, match="without the 3"):
        point_metrics(_points(), _points(), VALID[0])
    with pytest.raises(ValueError, match="alignment='icp'"):
        point_metrics(_points(), _points(), VALID, alignment="icp")
