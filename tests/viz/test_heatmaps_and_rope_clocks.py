"""Heat maps, clocks and sliders: shared colours, readable numbers, marks in place, figures that change."""

import numpy as np
import pytest
import torch

from tests.viz.contrast import assert_readable, contrast
from vggt_lite.viz import Sliders, draw_heatmaps, draw_rope_clocks
from vggt_lite.viz.heatmaps import SIGNED, limits_of
from vggt_lite.viz.rope_clocks import hands
from vggt_lite.viz.style import PAGE

GRIDS = {"head 1": torch.tensor([[0.5, 0.5], [0.1, 0.9]]), "head 2": torch.tensor([[1.0, 0.0], [0.0, 1.0]])}


def heats(figure):
    return [trace for trace in figure.data if trace.type == "heatmap"]


def test_panels_share_one_range_of_colours_and_small_ones_show_numbers():
    figure = draw_heatmaps(GRIDS, "share", axes=("reader", "read from"))
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == (0, 1)
    assert all(heat.coloraxis == "coloraxis" and heat.texttemplate for heat in heats(figure))
    assert [note.text for note in figure.layout.annotations] == ["head 1", "head 2"]
    assert figure.layout.xaxis.title.text == "read from" and figure.layout.yaxis.title.text == "reader"
    assert not heats(draw_heatmaps({"a": torch.rand(20, 20)}, "share"))[0].texttemplate


def test_signed_colours_have_zero_in_the_middle():
    assert limits_of({"a": np.array([[-1.0, 3.0]], np.float32)}, signed=True) == (-3, 3)
    colors = draw_heatmaps({"a": [[-1.0, 3.0]]}, "x", signed=True).layout.coloraxis
    assert (colors.cmin, colors.cmax, colors.colorscale[2]) == (-3, 3, (0.5, "#F4F4F4"))
    colors = [color for _, color in SIGNED]
    assert min(contrast(colors[2], color) for color in colors[1:4:2]) > 2, (
        "a quarter of the range differs from zero"
    )


def test_the_mark_stands_in_its_cell_in_every_panel_and_under_the_picture():
    figure = draw_heatmaps(GRIDS, "share", mark=(1, 0), picture=torch.rand(3, 8, 8))
    marks = [trace for trace in figure.data if trace.type == "scatter"]
    assert [(mark.x[0], mark.y[0]) for mark in marks] == [(1, 2)] * 3  # on the page, cells count from 1
    picture = figure.data[0]  # 8 pixels over 2 cells, the first from 0.5 to 1.5
    assert picture.dx == 0.25 and picture.x0 - picture.dx / 2 == 0.5
    options = {"labels": (["a", "b"], ["c", "d"]), "mark": (1, 0), "picture": torch.rand(3, 8, 8)}
    named = draw_heatmaps(GRIDS, "share", **options)
    assert named.data[0].x0 - named.data[0].dx / 2 == -0.5  # plotly counts named cells from 0
    assert (named.data[-1].x[0], named.data[-1].y[0]) == ("c", "b")


def test_grids_that_cannot_be_compared_are_refused():
    with pytest.raises(ValueError, match="empty"):
        draw_heatmaps({}, "share")
    with pytest.raises(ValueError, match="one shape"):
        draw_heatmaps({"a": torch.rand(2, 2), "b": torch.rand(2, 3)}, "share")
    draw_heatmaps({"a": torch.full((2, 2), torch.nan)}, "share")  # nothing known is not an error


def test_hands_point_where_their_angles_say_and_crowds_are_numbered_at_their_ends():
    tips, numbered = hands(torch.tensor([[0.0, 0.0], [1.0, 0.1], [2.0, 0.2]]))
    np.testing.assert_allclose(tips[1, 0], [np.cos(1), np.sin(1)], atol=1e-6)
    assert numbered == [[0, 1, 2], [0, 2]]
    with pytest.raises(ValueError, match="positions, clocks"):
        draw_rope_clocks(torch.zeros(3), ["a"])


def test_figures_are_readable_in_light_and_dark():
    assert_readable(draw_heatmaps(GRIDS, "share"), draw_rope_clocks(torch.rand(4, 2), ["a", "b"]))


def test_many_panels_share_the_width_of_a_projector():
    few, many = (
        draw_heatmaps(dict.fromkeys(names, torch.rand(8, 8)), "x").layout for names in ("ab", "abcdef")
    )
    assert many.width <= PAGE and few.width < PAGE and many.height < few.height


def test_kinds_have_a_colour_and_a_name_each_and_no_scale():
    colors = draw_heatmaps({"a": [[0, 1], [2, 1]]}, "", kinds=["none", "self", "other"]).layout.coloraxis
    assert (colors.cmin, colors.cmax) == (-0.5, 2.5) and len({color for _, color in colors.colorscale}) == 3
    edges = [edge for edge, _ in colors.colorscale]
    assert edges == pytest.approx([0, 1 / 3, 1 / 3, 2 / 3, 2 / 3, 1])  # steps, no ramps
    assert list(zip(colors.colorbar.tickvals, colors.colorbar.ticktext, strict=True)) == [
        (0, "none"), (1, "self"), (2, "other"),
    ]  # fmt: skip


def test_a_slider_changes_the_figure_in_place():
    calls = []

    def draw(scale, row):
        calls.append((scale, row))
        return draw_heatmaps({f"times {scale}": scale * torch.ones(3, 3)}, "x", mark=(row, 0))

    sliders = Sliders(draw, {"scale": [1, 2], "row": [("top", 0), ("bottom", 2)]}, start={"scale": 2})
    figure = sliders.figure
    assert calls == [(2, 0)]
    sliders.sliders["scale"].value, sliders.sliders["row"].value = 1, 2
    assert calls[-1] == (1, 2) and sliders.figure is figure
    assert figure.data[0].z[0][0] == 1 and figure.data[1].y[0] == 3
    assert figure.layout.annotations[0].text == "times 1"
    assert figure.layout.coloraxis.cmax == 1  # the colour bar goes along


def test_holes_of_a_sliding_figure_can_be_sent_to_a_browser():
    def draw(hole):
        return draw_heatmaps({"a": [[1.0, float("nan") if hole else 2.0]]}, "x")

    sliders = Sliders(draw, {"hole": [True, False]})
    assert list(sliders.figure.data[0].z[0]) == [1.0, None]
    sliders.sliders["hole"].value = False
    assert list(sliders.figure.data[0].z[0]) == [1.0, 2.0]


def test_two_words_make_a_menu():
    def draw(kind, number):
        return draw_heatmaps({kind: [[number]]}, "x")

    sliders = Sliders(draw, {"kind": ["global", "frame"], "number": [1, 2]})
    assert [type(control).__name__ for control in sliders.sliders.values()] == ["Dropdown", "SelectionSlider"]
    sliders.sliders["kind"].value = "frame"
    assert sliders.figure.layout.annotations[0].text == "frame"


def test_sliders_without_controls_are_refused():
    with pytest.raises(ValueError, match="empty"):
        Sliders(lambda: None, {})
