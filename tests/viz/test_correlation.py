"""Correlation maps and tracks against their truth: everything in pixels of the picture, windows in place."""

import numpy as np
import pytest
import torch

from vggt_lite.viz import draw_correlation, draw_track_errors

GENERATOR = torch.Generator().manual_seed(0)
IMAGES = torch.rand(3, 3, 16, 24, generator=GENERATOR)
TRACKS = 16 * torch.rand(3, 5, 2, generator=GENERATOR)
TRUTH = TRACKS + 1
MAPS = torch.rand(3, 4, 6, generator=GENERATOR)


def points(figure, row_axis: str):
    """Marker traces with data on one x axis: true places, then tracks."""
    on_axis = [t for t in figure.data if t.type == "scatter" and (t.xaxis or "x") == row_axis]
    return [t for t in on_axis if t.mode == "markers" and t.x[0] is not None]


def test_each_track_is_joined_to_its_true_place():
    figure = draw_track_errors(IMAGES, TRACKS, TRUTH)
    line = next(t for t in figure.data if t.type == "scatter" and t.mode == "lines" and t.xaxis == "x2")
    ends = np.stack([line.x, line.y], 1).reshape(5, 3, 2)
    np.testing.assert_allclose(ends[:, 0], TRACKS[1])
    np.testing.assert_allclose(ends[:, 1], TRUTH[1])
    assert np.isnan(ends[:, 2]).all()  # a gap, so that tracks are not joined to each other


def test_what_is_hidden_looks_different_in_the_answer_and_in_the_truth():
    said, true = torch.full((3, 5), 0.9), torch.ones(3, 5, dtype=torch.bool)
    said[0, 1], true[0, 2] = 0.2, False
    truth, track = points(draw_track_errors(IMAGES, TRACKS, TRUTH, said, true), "x")
    assert list(track.marker.symbol) == ["circle", "circle-open", "circle", "circle", "circle"]
    assert list(truth.marker.symbol) == ["cross", "cross", "x", "cross", "cross"]


def test_a_map_of_any_resolution_covers_its_picture_and_the_window_counts_map_pixels():
    figure = draw_correlation(IMAGES, MAPS, TRACKS[:, 0], TRUTH[:, 0], radius=1)
    heat = next(trace for trace in figure.data if trace.type == "heatmap")
    assert (heat.x0, heat.dx, heat.y0, heat.dy) == (2, 4, 2, 4)  # 6 × 4 cells of 4 pixels
    box = figure.layout.shapes[0]
    assert len(figure.layout.shapes) == 3 and (box.xref, box.yref) == ("x4", "y4")
    assert box.x1 - box.x0 == pytest.approx(3 * 4) and (box.x0 + box.x1) / 2 == pytest.approx(TRACKS[0, 0, 0])
    assert not draw_correlation(IMAGES, MAPS, TRACKS, TRUTH).layout.shapes


def test_the_number_of_traces_does_not_depend_on_the_data():
    coarse = draw_correlation(IMAGES, MAPS[:, :2, :3], TRACKS[:, 0], TRUTH[:, 0], radius=3)
    assert len(coarse.data) == len(draw_correlation(IMAGES, MAPS, TRACKS[:, 0], TRUTH[:, 0]).data)


def test_tracks_and_truth_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match=r"must both be \(S, N, 2\)"):
        draw_track_errors(IMAGES, TRACKS, TRUTH[:, :3])
