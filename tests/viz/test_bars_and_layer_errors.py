"""Bars and errors by layer: sums at the ends, a limit one can see crossed."""

import numpy as np
import pytest

from tests.viz.contrast import assert_readable
from vggt_lite.viz import draw_bars, draw_layer_errors

BARS = {"aggregator": {"attention": 2.0, "perceptrons": 4.0}, "head": {"convolutions": 1.5}}
SERIES = {
    "as released": {"vit.block.0": 0.01, "vit.norm": 0.0, "cam.delta.0": 0.02, "out.depth": 0.04},
    "one thing changed": {
        "vit.block.0": 0.01,
        "vit.norm": 3.0,
        "cam.delta.0": float("inf"),
        "out.depth": 9.0,
    },
}


def test_pieces_stack_and_the_sum_stands_at_the_end_of_each_bar():
    figure = draw_bars(BARS, "million")
    assert [trace.name for trace in figure.data] == ["attention", "perceptrons", "convolutions"]
    assert list(figure.data[1].x) == [4.0, 0] and figure.layout.barmode == "stack"
    assert [(a.y, a.text.strip()) for a in figure.layout.annotations] == [
        ("aggregator", "6"),
        ("head", "1.5"),
    ]
    assert figure.layout.xaxis.title.text == "million"
    assert len({trace.marker.pattern.shape for trace in figure.data}) == 3  # not by colour alone


def test_bars_that_cannot_be_drawn_honestly_are_refused():
    with pytest.raises(ValueError, match="empty"):
        draw_bars({}, "GB")
    with pytest.raises(ValueError, match="head.*negative or NaN"):
        draw_bars({"head": {"a": float("nan")}}, "GB")
    with pytest.raises(ValueError, match="at most 5"):
        draw_bars({"all": dict.fromkeys("abcdef", 1.0)}, "GB")


def test_stages_keep_their_order_and_are_grouped_by_part():
    figure = draw_layer_errors(SERIES, "error ÷ tolerance", limit=1)
    assert list(figure.data[0].customdata) == ["vit.block.0", "vit.norm", "cam.delta.0", "out.depth"]
    assert figure.layout.xaxis.ticktext == ("ViT", "camera", "depth")
    assert figure.layout.xaxis.tickvals == (0.5, 2, 3)
    assert figure.layout.yaxis.type == "log"
    assert [shape.y0 for shape in figure.layout.shapes if shape.y0 == shape.y1] == [1]


def test_exact_agreement_and_infinity_stay_on_the_logarithmic_axis():
    figure = draw_layer_errors(SERIES, "error ÷ tolerance", limit=1)
    exact, broken = figure.data[0].y[1], figure.data[1].y[2]
    assert 0 < exact < 0.01 and np.isfinite(broken) and broken > 9


def test_two_networks_of_different_depth_share_one_order_of_stages():
    shallow, deep = ["vit.0", "agg.0", "out.depth"], ["vit.0", "vit.1", "agg.0", "agg.1", "out.depth"]
    series = {"shallow": dict.fromkeys(shallow, 1.0), "deep": dict.fromkeys(deep, 1.0)}
    figure = draw_layer_errors(series, "error")
    assert list(figure.data[0].customdata) == deep


def test_a_stage_that_one_line_lacks_leaves_a_gap():
    figure = draw_layer_errors({"a": {"x.0": 1.0, "x.1": 2.0}, "b": {"x.1": 1.0}}, "error")
    assert np.isnan(figure.data[1].y[0]) and figure.data[1].y[1] == 1


def test_more_lines_than_can_be_told_apart_are_refused():
    with pytest.raises(ValueError, match="5 lines"):
        draw_layer_errors({str(i): {"a": 1.0} for i in range(5)}, "error")
    with pytest.raises(ValueError, match="no stage"):
        draw_layer_errors({"a": {}}, "error")


def test_figures_are_readable_in_light_and_dark():
    assert_readable(draw_bars(BARS, "million"), draw_layer_errors(SERIES, "error"))
