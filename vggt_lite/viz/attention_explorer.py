"""The attention explorer: one patch of one view asks; how much it reads from every token of every view."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import plotly.graph_objects as go

from vggt_lite.viz.panels import view_panels
from vggt_lite.viz.show import show_controls
from vggt_lite.viz.sliders import Sliders, start_values
from vggt_lite.viz.style import COLORS, as_array, color_axis

UNIT = "attention weight"
WIDTH = 200  # pixels of a view in a live figure


def split_reading(shares, grid: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What one token reads, sorted by view.

    Args:
        shares: (S, T): one row of attention weights, cut at the views; NaN where it cannot look.
        grid: (h, w) patches of a view; they stand behind the T − h·w special tokens.

    Returns:
        patches (S, h, w), special tokens (S, T − h·w), and the whole that each view gets (S,), 0 where
        it cannot look.
    """
    shares = as_array(shares).astype(np.float64)
    special = shares.shape[-1] - grid[0] * grid[1]
    if shares.ndim != 2 or special < 0:
        raise ValueError(f"shares must be (S, T) with T ≥ {grid[0]} · {grid[1]}; got {shares.shape}.")
    return shares[:, special:].reshape(-1, *grid), shares[:, :special], np.nansum(shares, 1)


def reading_titles(whole: np.ndarray, special: np.ndarray) -> list[str]:
    """A line above each view: how much of the reading it gets, and its special tokens of that."""
    notes = np.nansum(special, 1)
    return [
        f"view {view}: {total:.0%}, {note:.0%} special" if total > 0 else f"view {view}: not read"
        for view, (total, note) in enumerate(zip(whole, notes, strict=True), start=1)
    ]


def draw_attention_explorer(
    images, shares, grid: tuple[int, int], query: Sequence[int], spots=None
) -> go.Figure:
    """Above, the views with the patch that asks (cross); below, how much it reads from each of their patches.

    Colours run from zero to the largest share of any patch. Special tokens may get more, so they are
    only told in the titles and when pointed at. The number of traces depends only on the number of views.

    Args:
        images: S views, (3, H, W) or (H, W, 3).
        shares, grid: As for `split_reading`.
        query: Indices (view, row, column) of the patch that asks; the figure counts all three from 1.
        spots: (S, 2) rows and columns, in patches, where its place is truly seen; NaN where it is
            hidden. Drawn as rings.
    """
    patches, special, whole = split_reading(shares, grid)
    count, most = len(patches), float(np.nanmax(patches, initial=1e-12))
    spots = np.full((count, 2), np.nan) if spots is None else as_array(spots)
    titles = [f"view {view + 1}" for view in range(count)] + reading_titles(whole, special)
    fig = view_panels(
        images, rows=2, grid=grid, width=WIDTH, side=90, top=60, column_titles=None, subplot_titles=titles,
        horizontal_spacing=0.015, vertical_spacing=0.09,
    )  # fmt: skip
    first = {"x0": 1, "y0": 1}  # patches count from 1
    for view in range(count):
        place = f"view {view + 1}, row %{{y}}, column %{{x}}"
        # Images report no clicks, so an invisible sheet lies over each
        sheet = {"z": np.zeros(grid, np.uint8), "opacity": 0, "showscale": False}
        sheet["hovertemplate"] = f"{place}: click to choose<extra></extra>"
        fig.add_trace(go.Heatmap(**sheet, **first), 1, view + 1)
        text = f"{place}: %{{z:.2%}} of the reading<extra></extra>"
        z = patches[view].astype(np.float32)
        heat = go.Heatmap(z=z, coloraxis="coloraxis", hovertemplate=text, xgap=1, ygap=1, **first)
        fig.add_trace(heat, 2, view + 1)
        for row in (1, 2):
            asks = query[1:] if query[0] == view else (None, None)
            fig.add_trace(_sign("x", 11, asks), row, view + 1)
            fig.add_trace(_sign("circle-open", 17, spots[view]), row, view + 1)
    fig.update_layout(coloraxis=color_axis(UNIT, 0, most, len=0.47, y=0.22))
    return fig.update_layout(margin={"t": 30})


def _sign(symbol: str, size: int, place) -> go.Scatter:
    """One mark at indices (row, column), or nothing: a white cross with a dark rim, or an orange ring."""
    row, column = (None if value is None or np.isnan(value) else float(value) + 1 for value in place)
    marker = {"symbol": symbol, "size": size, "color": "white", "line": {"color": "black", "width": 1.5}}
    if symbol.endswith("open"):  # an open sign is drawn by its line
        marker |= {"color": COLORS[1], "line": {"color": COLORS[1], "width": 3}}
    return go.Scatter(x=[column], y=[row], mode="markers", marker=marker, hoverinfo="skip")


class AttentionExplorer(Sliders):
    """The figure with controls; a click on a patch, in a picture or below it, lets that patch ask.

    Args:
        draw: Calls `draw_attention_explorer`; its arguments `view`, `row` and `column` are indices.
        controls, start: As for `Sliders`.
    """

    def __init__(self, draw: Callable[..., go.Figure], controls: Mapping[str, Sequence], start=None) -> None:
        super().__init__(draw, controls, start)
        maps = [trace for trace in self.figure.data if trace.type == "heatmap"]
        for number, trace in enumerate(maps):
            trace.on_click(partial(self._clicked, number // 2))  # of each view the sheet, then the map

    def _clicked(self, view: int, _trace, points, _state) -> None:
        if points.xs:
            self.choose(view=view, row=int(points.ys[0]) - 1, column=int(points.xs[0]) - 1)


def show_attention_explorer(
    draw: Callable[..., go.Figure], controls: Mapping[str, Sequence], *, alt: str,
    start: Mapping | None = None,
) -> None:  # fmt: skip
    """Show an `AttentionExplorer` in a notebook; arguments as for `show_with_sliders`."""
    first = draw(**start_values(controls, start))
    show_controls(lambda: AttentionExplorer(draw, controls, start).box, first, alt=alt)
