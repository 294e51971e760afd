"""Maps, tracks and curves: panels with units, and colours that compare."""

import numpy as np
import pytest

from tests.viz.contrast import assert_readable
from vggt_lite.viz import draw_curves, draw_maps, draw_tracks
from vggt_lite.viz.maps import map_rows
from vggt_lite.viz.style import as_pictures, colorize


def test_depth_and_true_depth_share_one_colour_range():
    truth = [np.linspace(1, 2, 100).reshape(10, 10)]
    rows = map_rows(depth=[truth[0] * 3], true_depth=truth)
    assert (rows[0].low, rows[0].high) == (rows[1].low, rows[1].high)
    assert rows[1].low >= 1 and rows[1].high <= 2


def test_pixels_without_a_depth_are_left_clear():
    depth = np.ones((4, 4), np.float32)
    depth[0] = 0
    row = map_rows(depth=[depth])[0]
    assert np.isnan(row.maps[0][0]).all()
    assert (colorize(row.maps[0], 0, 1)[0, :, 3] == 0).all()
    assert (colorize(row.maps[0], 0, 1)[1:, :, 3] == 255).all()


def test_each_kind_of_map_has_a_colour_bar_with_its_unit(scene):
    figure = draw_maps(scene.images, scene.depth, confidence=scene.depth_conf, unit="metres")
    assert "metres" in figure.layout.coloraxis2.colorbar.title.text
    assert "confidence" in figure.layout.coloraxis3.colorbar.title.text
    kinds = [trace.type for trace in figure.data]
    assert kinds.count("image") == 3 and kinds.count("heatmap") == 6


def test_large_maps_are_thinned_but_not_blended(scene):
    depth = np.random.default_rng(0).random((1, 400, 600)) + 1
    heat = draw_maps(np.zeros((1, 400, 600, 3), np.uint8), depth).data[1]
    assert max(np.shape(heat.z)) <= 128
    assert np.isin(np.asarray(heat.z), depth.astype(np.float32)).all()


def test_pictures_may_come_as_tensors_or_arrays_of_either_layout(scene):
    chw = scene.colors.permute(0, 3, 1, 2).float() / 255
    for a, b in zip(as_pictures(chw), as_pictures(scene.images), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="must be"):
        as_pictures([np.zeros((5, 7))])


def test_hidden_points_of_a_track_are_drawn_hollow(scene):
    visibility = scene.track_visibility.clone()
    visibility[1, 0], visibility[1, 1] = False, True
    figure = draw_tracks(scene.images, scene.tracks, visibility)
    marks = [trace for trace in figure.data if trace.type == "scatter"]
    assert marks[1].marker.symbol[0].endswith("-open") and not marks[1].marker.symbol[1].endswith("-open")
    np.testing.assert_allclose(marks[1].x, scene.tracks[1, :, 0])


def test_curves_follow_the_log_and_a_wrong_name_is_answered_with_the_right_ones():
    records = [{"step": step, "loss": 10.0 / step, "eval": {"auc": 1}} for step in range(1, 6)]
    figure = draw_curves(records, ["loss"])
    np.testing.assert_allclose(figure.data[0].y, [10, 5, 10 / 3, 2.5, 2], rtol=1e-6)
    assert figure.layout.yaxis.type == "log"
    assert len(draw_curves(records, ["loss"], smooth=3).data[0].y) == 3
    with pytest.raises(ValueError, match="'losss'.*loss"):
        draw_curves(records, ["losss"])


def test_figures_are_readable_in_light_and_dark(scene):
    records = [{"step": 1, "loss": 1.0}, {"step": 2, "loss": 0.5}]
    figures = (
        draw_maps(scene.images, scene.depth),
        draw_tracks(scene.images, scene.tracks),
        draw_curves(records, ["loss"]),
    )
    assert_readable(*figures)
