"""The attention explorer: shares sorted by view, marks in their places, a step that needs no new traces."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.viz.contrast import assert_readable
from vggt_lite.viz import Sliders, draw_attention_explorer
from vggt_lite.viz.attention_explorer import AttentionExplorer, reading_titles, split_reading

GRID = (2, 3)
PICTURES = torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(0))


def shares_of_view(view: int | None = None) -> torch.Tensor:
    """(2, 8): two special tokens and six patches a view; NaN in all views but `view`."""
    shares = torch.arange(16.0).reshape(2, 8) / 120
    if view is not None:
        shares[1 - view] = torch.nan
    return shares


def traces(figure, kind):
    return [trace for trace in figure.data if trace.type == kind]


def test_shares_are_split_into_patches_and_special_tokens():
    patches, special, whole = split_reading(shares_of_view(), GRID)
    assert patches.shape == (2, 2, 3) and special.shape == (2, 2)
    assert special[1].tolist() == pytest.approx([8 / 120, 9 / 120])
    assert patches[1, 1, 2] == pytest.approx(15 / 120)  # row after row
    assert whole.sum() == pytest.approx(1)
    assert reading_titles(whole, special)[1] == "view 2: 77%, 14% special"


def test_shares_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"\(S, T\)"):
        split_reading(torch.rand(2, 5), GRID)
    with pytest.raises(ValueError, match=r"\(S, T\)"):
        split_reading(torch.rand(8), GRID)


def test_the_cross_stands_in_its_view_and_a_ring_wherever_the_place_is_seen():
    spots = torch.tensor([[torch.nan, torch.nan], [0.5, 1.5]])
    figure = draw_attention_explorer(PICTURES, shares_of_view(), GRID, (0, 1, 2), spots)
    crosses = [t for t in traces(figure, "scatter") if t.marker.symbol == "x"]
    rings = [t for t in traces(figure, "scatter") if t.marker.symbol == "circle-open"]
    # On the page rows and columns count from 1, as views do
    assert [(t.x[0], t.y[0]) for t in crosses] == [(3, 2), (3, 2), (None, None), (None, None)]
    assert [(t.x[0], t.y[0]) for t in rings] == [(None, None), (None, None), (2.5, 1.5), (2.5, 1.5)]
    picture = figure.data[0]  # 8 pixels a patch, the first from 0.5 to 1.5
    assert picture.dx == 1 / 8 and picture.x0 - picture.dx / 2 == 0.5
    assert all((t.x0, t.y0) == (1, 1) for t in traces(figure, "heatmap"))


def test_all_views_share_one_range_of_colours_and_special_tokens_do_not_set_it():
    shares = shares_of_view()
    shares[0, 0] = 0.9  # a special token that is read a lot
    figure = draw_attention_explorer(PICTURES, shares, GRID, (0, 0, 0))
    sheets, maps = traces(figure, "heatmap")[::2], traces(figure, "heatmap")[1::2]
    assert [heat.coloraxis for heat in maps] == ["coloraxis", "coloraxis"]
    assert [(sheet.opacity, sheet.z.max()) for sheet in sheets] == [(0, 0)] * 2
    colors = figure.layout.coloraxis
    assert colors.cmin == 0 and colors.cmax == pytest.approx(15 / 120)


def test_frame_attention_leaves_the_other_views_empty():
    figure = draw_attention_explorer(PICTURES, shares_of_view(1), GRID, (1, 0, 0))
    assert np.isnan(traces(figure, "heatmap")[1].z).all()
    assert "view 1: not read" in [note.text for note in figure.layout.annotations]


def test_a_slider_from_global_to_frame_keeps_the_traces():
    def draw(view, kind):
        shares = shares_of_view(view if kind == "frame" else None)
        return draw_attention_explorer(PICTURES, shares, GRID, (view, 0, 0))

    sliders = Sliders(draw, {"view": [0, 1], "kind": ["global", "frame"]})
    figure = sliders.figure
    sliders.sliders["view"].value, sliders.sliders["kind"].value = 1, "frame"
    assert sliders.figure is figure
    assert [note.text for note in figure.layout.annotations][2] == "view 1: not read"


def test_a_click_chooses_view_row_and_column_and_draws_once():
    calls = []

    def draw(view, row, column):
        calls.append((view, row, column))
        return draw_attention_explorer(PICTURES, shares_of_view(), GRID, (view, row, column))

    explorer = AttentionExplorer(draw, {"view": [("1", 0), ("2", 1)], "row": [0, 1], "column": [0, 1, 2]})
    sheet, heat = [trace for trace in explorer.figure.data if trace.type == "heatmap"][2:]  # of view 2
    for trace in (sheet, heat):
        explorer.choose(view=0, row=0, column=0)
        calls.clear()
        trace._dispatch_on_click(SimpleNamespace(xs=[3], ys=[2]), None)
        assert calls == [(1, 1, 2)] and explorer.values == {"view": 1, "row": 1, "column": 2}
        trace._dispatch_on_click(SimpleNamespace(xs=[], ys=[]), None)
        assert len(calls) == 1


def test_it_is_readable_in_light_and_dark():
    assert_readable(draw_attention_explorer(PICTURES, shares_of_view(), GRID, (0, 0, 0)))
