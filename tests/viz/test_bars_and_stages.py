"""Bars and stage lines: sums at the ends, a limit one can see crossed, pictures that say the same."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from vggt_lite.viz import draw_bars, draw_stages, preview_bars, preview_stages

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
        preview_bars({"all": dict.fromkeys("abcdef", 1.0)}, "GB")


def test_a_piece_thinner_than_a_pixel_can_be_drawn():
    for thin in (1e-9, 1.2, 2.0, 3.0):
        preview_bars({"all": {"large": 1000.0, "thin": thin}}, "GB")


def test_stages_keep_their_order_and_are_grouped_by_part():
    figure = draw_stages(SERIES, "error ÷ tolerance", limit=1)
    assert list(figure.data[0].customdata) == ["vit.block.0", "vit.norm", "cam.delta.0", "out.depth"]
    assert figure.layout.xaxis.ticktext == ("ViT", "camera", "depth")
    assert figure.layout.xaxis.tickvals == (0.5, 2, 3)
    assert figure.layout.yaxis.type == "log"
    assert [shape.y0 for shape in figure.layout.shapes if shape.y0 == shape.y1] == [1]


def test_exact_agreement_and_infinity_stay_on_the_logarithmic_axis():
    figure = draw_stages(SERIES, "error ÷ tolerance", limit=1)
    exact, broken = figure.data[0].y[1], figure.data[1].y[2]
    assert 0 < exact < 0.01 and np.isfinite(broken) and broken > 9


def test_two_networks_of_different_depth_share_one_order_of_stages():
    shallow, deep = ["vit.0", "agg.0", "out.depth"], ["vit.0", "vit.1", "agg.0", "agg.1", "out.depth"]
    figure = draw_stages({"shallow": dict.fromkeys(shallow, 1.0), "deep": dict.fromkeys(deep, 1.0)}, "error")
    assert list(figure.data[0].customdata) == deep


def test_a_stage_that_one_line_lacks_leaves_a_gap():
    figure = draw_stages({"a": {"x.0": 1.0, "x.1": 2.0}, "b": {"x.1": 1.0}}, "error")
    assert np.isnan(figure.data[1].y[0]) and figure.data[1].y[1] == 1


def test_more_lines_than_can_be_told_apart_are_refused():
    with pytest.raises(ValueError, match="5 lines"):
        draw_stages({str(i): {"a": 1.0} for i in range(5)}, "error")
    with pytest.raises(ValueError, match="no stage"):
        preview_stages({"a": {}}, "error")


def test_stills_are_small_and_differ_with_what_they_show():
    flat = {"as released": SERIES["as released"]}
    stills = (
        preview_bars(BARS, "million"),
        preview_stages(SERIES, "error", 1),
        preview_stages(flat, "error", 1),
    )
    for still in stills:
        image = Image.open(io.BytesIO(still))
        assert image.format == "PNG" and min(image.size) > 80 and len(still) < 40_000
    assert stills[1] != stills[2]


def test_signs_that_the_font_of_stills_lacks_are_written_otherwise():
    still = preview_bars({"tracks x every feature": {"a / b": 1.0}}, "GB")
    assert preview_bars({"tracks × every feature": {"a ÷ b": 1.0}}, "GB") == still


def test_figures_are_readable_in_light_and_dark():
    for figure in (draw_bars(BARS, "million"), draw_stages(SERIES, "error")):
        layout = json.loads(figure.to_json())["layout"]
        assert layout["paper_bgcolor"] == "rgba(0,0,0,0)" and layout["font"]["color"] == "#757575"
