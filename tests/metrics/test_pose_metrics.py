"""Camera metrics: the release's numbers, and cases one can work out by hand."""

import math

import pytest
import torch

from tests.geometry.cases import GOLDEN, random_cameras
from tests.golden.loader import worst_ratio
from vggt_lite.geometry import Similarity, matrix_from_quat_xyzw, quat_xyzw_from_matrix
from vggt_lite.metrics import area_under_curve, pose_auc, pose_scores, relative_pose_errors

PRED, TRUE = GOLDEN["eval/pred_w2c"], GOLDEN["eval/gt_w2c"]


def test_errors_and_areas_equal_the_release():
    rotation, translation = relative_pose_errors(PRED, TRUE)
    assert worst_ratio(translation, GOLDEN["eval/trans_deg"]) <= 1
    # The stored rotation errors come from arccos in float32, which is blind to small angles: near 0.5° it
    # is 0.003° off. That noise is measured here by running the same formula in float64.
    noise = (release_rotation_error(PRED, TRUE) - GOLDEN["eval/rot_deg"]).abs().max().item()
    assert noise < 5e-3
    assert worst_ratio(rotation, GOLDEN["eval/rot_deg"], noise) <= 1
    scores = pose_auc(PRED, TRUE)
    for threshold in (3, 5, 15, 30):
        assert scores[f"auc@{threshold}"] == pytest.approx(GOLDEN[f"eval/auc{threshold}"].item(), abs=1e-6)


def release_rotation_error(pred: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """arccos(1 − 2 (1 − ⟨q, q'⟩²)) of the relative rotations, in float64, degrees."""
    i, j = torch.triu_indices(len(pred), len(pred), offset=1)
    relative = [(x[i] @ torch.linalg.inv(x[j]))[:, :3, :3] for x in (pred.double(), true.double())]
    a, b = (quat_xyzw_from_matrix(x) for x in relative)
    return torch.acos(1 - 2 * (1 - (a * b).sum(-1) ** 2)).rad2deg()


def turned(degrees: float) -> torch.Tensor:
    """Rotation about the y axis."""
    half = math.radians(degrees) / 2
    return matrix_from_quat_xyzw(torch.tensor([0.0, math.sin(half), 0.0, math.cos(half)]))


def two_views(turn_deg: float, towards: tuple[float, float, float]) -> torch.Tensor:
    second = torch.cat([turned(turn_deg), torch.tensor(towards)[:, None]], dim=-1)
    return torch.stack([torch.eye(3, 4), second])


def test_the_right_cameras_in_another_world_and_unit_score_one():
    true = random_cameras(5)
    move = Similarity(torch.tensor(3.0), random_cameras(seed=9)[:, :3], torch.ones(3).double())
    rotation = true[..., :3] @ move.rotation.mT  # p_cam of the moved world, times the scale
    translation = move.scale * true[..., 3] - rotation @ move.translation
    scores = pose_auc(torch.cat([rotation, translation[..., None]], dim=-1), true)
    assert scores["auc@3"] == 1 and scores["rotation_median_deg"] < 1e-5


def test_the_larger_of_both_errors_decides():
    true = two_views(0, (1.0, 0.0, 0.0))
    pred = two_views(12.0, (math.cos(math.radians(2)), math.sin(math.radians(2)), 0.0))
    rotation, translation = relative_pose_errors(pred, true)
    assert rotation.item() == pytest.approx(12, abs=1e-3)
    scores = pose_auc(pred, true, thresholds=(15,))
    # below k degrees for k = 13, 14, 15 only
    assert scores["auc@15"] == pytest.approx(3 / 15)
    assert scores["rra@15"] == 1


def test_opposite_translations_count_as_equal_and_no_translation_as_90_degrees():
    true = two_views(0, (1.0, 0.0, 0.0))
    for towards, error in (((-1.0, 0.0, 0.0), 0.0), ((0.0, 1.0, 0.0), 90.0), ((0.0, 0.0, 0.0), 90.0)):
        _, translation = relative_pose_errors(two_views(0, towards), true)
        assert translation.item() == pytest.approx(error, abs=0.03)


def test_the_area_counts_whole_degrees_and_includes_the_last_edge():
    errors = torch.tensor([0.5, 1.0, 2.5, 3.0, 7.0])
    # below 1: one; below 2: two; up to 3: four
    assert area_under_curve(errors, 3) == pytest.approx((1 + 2 + 4) / 5 / 3)


def test_cameras_that_are_not_finite_are_failures_not_nan():
    pred = two_views(0, (1.0, 0.0, float("nan")))
    assert pose_auc(pred, two_views(0, (1.0, 0.0, 0.0)))["auc@30"] == 0


def test_a_single_view_has_no_pairs():
    with pytest.raises(ValueError, match="S ≥ 2"):
        pose_auc(torch.eye(3, 4)[None], torch.eye(3, 4)[None])


def test_the_median_of_an_even_number_of_errors_lies_between_the_middle_two():
    scores = pose_scores(torch.tensor([1.0, 10.0, 2.0, 3.0]), torch.tensor([4.0, math.inf, 2.0, math.inf]))
    assert scores["rotation_median_deg"] == 2.5 and scores["translation_median_deg"] == math.inf
