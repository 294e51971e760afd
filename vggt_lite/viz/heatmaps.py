"""Small grids of numbers side by side: attention matrices, and maps with one value a patch."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from vggt_lite.viz.panels import picture_trace
from vggt_lite.viz.style import PAGE, SEQUENTIAL, as_array, as_pictures, color_axis, kinds_axis, layout

PANEL = 190  # pixels of a panel's side in a live figure, or fewer where many share the page
MOST_NUMBERS = 12  # rows or columns; more numbers than these cannot be read
# Blue to orange through near-white; steep in the middle, so that small values differ from zero.
SIGNED = [[0, "#003E63"], [0.25, "#3C93C8"], [0.5, "#F4F4F4"], [0.75, "#E98B42"], [1, "#8A3B00"]]


def limits_of(panels: Mapping[str, np.ndarray], signed: bool) -> tuple[float, float]:
    """Range of the colours: around zero for signed values, else from zero or the smallest value."""
    values = np.concatenate([panel[np.isfinite(panel)] for panel in panels.values()])
    if not len(values):
        return (-1.0, 1.0) if signed else (0.0, 1.0)
    if signed:
        most = float(np.abs(values).max()) or 1.0
        return -most, most
    return min(0.0, float(values.min())), float(values.max())


def draw_heatmaps(
    grids: Mapping[str, object], unit: str, *, axes: tuple[str, str] = ("row", "column"),
    labels: tuple[Sequence[str], Sequence[str]] | None = None, mark: tuple[int, int] | None = None,
    picture=None, signed: bool = False, limits: tuple[float, float] | None = None,
    kinds: Sequence[str] = (),
) -> go.Figure:  # fmt: skip
    """One panel for each grid, all with the same colours; small grids show their numbers.

    Args:
        grids: Title of each panel → values (R, C); NaN leaves a hole.
        unit: What the values are, for the colour bar.
        axes: What rows and columns count.
        labels: Names of the rows and of the columns; counted from 1 when omitted.
        mark: Indices (row, column) of a cell to mark in every panel.
        picture: (3, H, W) or (H, W, 3), shown first, under the grid's coordinates.
        signed: Blue to orange through white, with zero in the middle; else cividis.
        kinds: Names of what the values 0, 1, 2 … stand for: a colour for each, and no scale.
        limits: Values at the two ends of the colours; from the data when omitted.

    Raises:
        ValueError: no grid, one that is not a table, or grids of different shapes.
    """
    if not grids:
        raise ValueError("grids is empty: give {title: (R, C) values}.")
    panels = {name: as_array(grid).astype(np.float32) for name, grid in grids.items()}
    shapes = {name: panel.shape for name, panel in panels.items()}
    if len(set(shapes.values())) > 1 or len(next(iter(shapes.values()))) != 2:
        raise ValueError(f"grids must be tables (R, C) of one shape; got {shapes}.")
    rows, columns = next(iter(shapes.values()))
    pictures = [] if picture is None else as_pictures([picture])
    titles = ["picture"] * len(pictures) + list(panels)
    fig = make_subplots(1, len(titles), subplot_titles=titles, horizontal_spacing=0.04)
    for image in pictures:
        corner = -0.5 if labels else 0.5  # plotly counts named cells from 0
        fig.add_trace(picture_trace(image, (rows, columns), corner), 1, 1)
    y, x = labels or (list(range(1, rows + 1)), list(range(1, columns + 1)))
    hover = f"{axes[0]} %{{y}}, {axes[1]} %{{x}}: %{{z:.3g}} ({unit})<extra></extra>"
    text = {"texttemplate": "%{z:.2f}"} if max(rows, columns) <= MOST_NUMBERS // 2 else {}
    gap = int(max(rows, columns) <= 2 * MOST_NUMBERS)  # between many cells it would look like hatching
    for column, panel in enumerate(panels.values(), start=1 + len(pictures)):
        heat = go.Heatmap(
            z=panel, x=x, y=y, coloraxis="coloraxis", hovertemplate=hover, xgap=gap, ygap=gap, **text
        )
        fig.add_trace(heat, 1, column)
    if mark is not None:
        for column in range(1, len(titles) + 1):
            fig.add_trace(_mark(x[mark[1]], y[mark[0]]), 1, column)
    low, high = limits or limits_of(panels, signed)
    plain = {"constrain": "domain", "showgrid": False, "zeroline": False, "title_font_size": 12}
    fig.update_xaxes(title_text=axes[1], **plain)
    fig.update_yaxes(autorange="reversed", showticklabels=False, **plain)
    fig.for_each_yaxis(lambda axis: axis.update(scaleanchor=axis.anchor))
    fig.update_yaxes(title_text=axes[0], showticklabels=True, row=1, col=1)
    # Names need room, about 7 pixels a letter. Those of columns lie aslant if they are wider than a cell.
    row_names, column_names = (7 * max(len(str(name)) for name in names) for names in (y, x))
    aslant = column_names > PANEL / min(columns, MOST_NUMBERS)
    left, bottom = max(60, 45 + row_names), 50 + aslant * 0.65 * column_names
    panel = min(PANEL, (PAGE - 90 - left) / len(titles) - 30)
    fig.update_xaxes(dtick=_step(columns, panel)).update_yaxes(dtick=_step(rows, panel * rows / columns))
    size = {"width": 90 + left + (panel + 30) * len(titles)}
    size["height"] = 60 + bottom + round(panel * rows / columns)
    nticks = 5 if panel * rows > 100 * columns else 3
    colors = color_axis(unit, low, high, SIGNED if signed else SEQUENTIAL, nticks=nticks)
    colors = kinds_axis(kinds) if kinds else colors
    fig.update_layout(layout(coloraxis=colors, **size), showlegend=False, margin={"l": left, "b": bottom})
    return fig.update_xaxes(tickangle=-40 if aslant else 0).update_annotations(font_size=12)


def _mark(x, y) -> go.Scatter:
    """A white cross with a dark rim: seen on every colour."""
    marker = {"symbol": "x", "size": 10, "color": "white", "line": {"color": "black", "width": 1.5}}
    return go.Scatter(x=[x], y=[y], mode="markers", marker=marker, hoverinfo="skip")


def _step(count: int, length: float) -> int:
    """From which to which cell to write numbers, 16 pixels apart or more."""
    return max(1, round(20 * count / length))
