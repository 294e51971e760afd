"""TAP-Vid's figures worked out by hand."""

import pytest
import torch

from vggt_lite.metrics import track_metrics

SIZE = (256, 256)


def score(errors, seen, truly_seen, size=SIZE):
    """One track queried in view 0; lists hold its later views. Errors in pixels along x."""
    true = torch.full((len(errors) + 1, 1, 2), 50.0)
    pred = true.clone()
    pred[1:, 0, 0] += torch.tensor(errors)
    first = torch.ones(1, dtype=torch.bool)
    return track_metrics(
        pred,
        torch.cat([first, torch.tensor(seen)])[:, None],
        true,
        torch.cat([first, torch.tensor(truly_seen)])[:, None],
        size,
    )


def test_perfect_tracks_score_one():
    scores = score([0.0, 0.0], [True, False], [True, False])
    assert scores["average_jaccard"] == scores["delta_avg"] == scores["occlusion_accuracy"] == 1


def test_each_threshold_counts_what_lies_strictly_within():
    scores = score([3.0, 8.0], [True, True], [True, True])
    assert [scores[f"delta@{d}"] for d in (1, 2, 4, 8, 16)] == [0, 0, 0.5, 0.5, 1]
    assert scores["delta_avg"] == pytest.approx(0.4)
    # A visible point not within d is both missed and a false alarm: 1 / (2 + 1) at d = 4 and 8
    assert scores["average_jaccard"] == pytest.approx((1 / 3 + 1 / 3 + 1) / 5)


def test_a_hidden_point_called_visible_lowers_jaccard_and_occlusion_accuracy_only():
    scores = score([0.0, 0.0], [True, True], [True, False])
    assert scores["delta_avg"] == 1
    assert scores["average_jaccard"] == pytest.approx(1 / 2)
    assert scores["occlusion_accuracy"] == pytest.approx(1 / 2)


def test_a_visible_point_called_hidden_keeps_its_delta():
    scores = score([0.0, 0.0], [True, False], [True, True])
    assert scores["delta_avg"] == 1
    assert scores["average_jaccard"] == pytest.approx(1 / 2)


def test_pixels_are_those_of_a_256_by_256_image():
    # 1 px in an image 64 wide is 4 px at 256: within 8, not within 4
    scores = score([1.0], [True], [True], size=(128, 64))
    assert scores["delta@4"] == 0 and scores["delta@8"] == 1


def test_the_query_view_and_tracks_hidden_in_it_do_not_count():
    scores = score([0.0], [True], [True])
    true = torch.zeros(2, 2, 2)
    pred = true.clone()
    pred[:, 1], pred[0, 0] = 99.0, 99.0
    visible = torch.tensor([[True, False], [True, True]])
    assert track_metrics(pred, visible, true, visible, SIZE) == scores


def test_wrong_shapes_and_single_views_are_refused():
    tracks, visible = torch.zeros(1, 4, 2), torch.ones(1, 4, dtype=torch.bool)
    with pytest.raises(ValueError, match="at least two views"):
        track_metrics(tracks, visible, tracks, visible, SIZE)
    with pytest.raises(ValueError, match="must be"):
        track_metrics(tracks, visible[:, :3], tracks, visible, SIZE)
