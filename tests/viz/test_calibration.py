"""Calibration: one scale on both axes, the line of true claims through its corners, no zeros."""

import numpy as np
import pytest
import torch

from tests.viz.contrast import assert_readable
from vggt_lite.viz import draw_calibration

CLAIMED, FOUND = torch.tensor([0.1, 0.02, 0.05]), torch.tensor([0.2, 0.02, 0.05])


def test_both_axes_have_one_scale_and_the_dashed_line_runs_from_corner_to_corner():
    figure = draw_calibration({"model": (CLAIMED, FOUND)}, "scene units")
    model, dashed = figure.data
    assert dashed.line.dash == "dash" and list(dashed.x) == list(dashed.y)
    assert figure.layout.xaxis.range == figure.layout.yaxis.range
    assert np.allclose(np.log10(dashed.x), figure.layout.xaxis.range)
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == "log"
    assert "scene units" in figure.layout.yaxis.title.text and "scene units" in model.hovertemplate


def test_groups_are_joined_in_the_order_of_their_claims_and_all_are_seen():
    figure = draw_calibration({"model": (CLAIMED, FOUND)}, "scene units")
    np.testing.assert_allclose(figure.data[0].x, [0.02, 0.05, 0.1], rtol=1e-6)
    np.testing.assert_allclose(figure.data[0].y, [0.02, 0.05, 0.2], rtol=1e-6)
    low, high = figure.layout.xaxis.range
    assert low < np.log10(0.02) and high > np.log10(0.2)


def test_what_a_logarithm_cannot_show_is_refused():
    with pytest.raises(ValueError, match="above 0"):
        draw_calibration({"a": (CLAIMED, 0 * FOUND)}, "m")
    with pytest.raises(ValueError, match="series"):
        draw_calibration({}, "m")


def test_it_is_readable_in_light_and_dark_and_series_differ_by_more_than_colour():
    figure = draw_calibration({"a": (CLAIMED, FOUND), "b": (CLAIMED, 2 * FOUND)}, "m")
    assert_readable(figure)
    assert len({trace.marker.symbol for trace in figure.data[:-1]}) == 2
