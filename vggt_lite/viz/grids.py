"""Small grids of numbers side by side: attention matrices, and maps with one value a patch."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from PIL import Image, ImageDraw, ImageFont
from plotly.subplots import make_subplots

from vggt_lite.viz.look import (
    COLORS,
    SEQUENTIAL,
    TEXT,
    as_array,
    as_pictures,
    colorize,
    data_uri,
    layout,
    small_png,
)

PANEL = 190  # pixels of a panel's side in a live figure
MOST_NUMBERS = 12  # rows or columns; more numbers than these cannot be read
SIGNED = [[0.0, COLORS[0]], [0.5, "#C8C8C8"], [1.0, COLORS[1]]]  # blue to orange through grey


def panels_of(grids: Mapping[str, object]) -> dict[str, np.ndarray]:
    """The grids as float32 arrays (R, C).

    Raises:
        ValueError: no grid, one that is not a table, or grids of different shapes.
    """
    panels = {name: as_array(grid).astype(np.float32) for name, grid in grids.items()}
    if not panels:
        raise ValueError("grids is empty: give {title: (R, C) values}.")
    shapes = {name: panel.shape for name, panel in panels.items()}
    if len(set(shapes.values())) > 1 or len(next(iter(shapes.values()))) != 2:
        raise ValueError(f"grids must be tables (R, C) of one shape; got {shapes}.")
    return panels


def limits_of(panels: Mapping[str, np.ndarray], signed: bool) -> tuple[float, float]:
    """Range of the colours: around zero for signed values, else from zero or the smallest value."""
    values = np.concatenate([panel[np.isfinite(panel)] for panel in panels.values()])
    if not len(values):
        return (-1.0, 1.0) if signed else (0.0, 1.0)
    if signed:
        most = float(np.abs(values).max()) or 1.0
        return -most, most
    return min(0.0, float(values.min())), float(values.max())


def draw_grids(
    grids: Mapping[str, object],
    unit: str,
    *,
    axes: tuple[str, str] = ("row", "column"),
    labels: tuple[Sequence[str], Sequence[str]] | None = None,
    mark: tuple[int, int] | None = None,
    picture=None,
    signed: bool = False,
    limits: tuple[float, float] | None = None,
) -> go.Figure:
    """One panel for each grid, all with the same colours; small grids show their numbers.

    Args:
        grids: Title of each panel → values (R, C); NaN leaves a hole.
        unit: What the values are, for the colour bar.
        axes: What rows and columns count.
        labels: Names of the rows and of the columns; counted from 0 when omitted.
        mark: (row, column) of a cell to mark in every panel.
        picture: (3, H, W) or (H, W, 3), shown first, under the grid's coordinates.
        signed: Blue to orange through grey, with zero in the middle; else cividis.
        limits: Values at the two ends of the colours; from the data when omitted.
    """
    panels = panels_of(grids)
    rows, columns = next(iter(panels.values())).shape
    pictures = [] if picture is None else as_pictures([picture])
    titles = ["picture"] * len(pictures) + list(panels)
    fig = make_subplots(1, len(titles), subplot_titles=titles, horizontal_spacing=0.04)
    for column, image in enumerate(pictures, start=1):
        dx, dy = columns / image.shape[1], rows / image.shape[0]
        place = {"x0": dx / 2 - 0.5, "dx": dx, "y0": dy / 2 - 0.5, "dy": dy}
        fig.add_trace(go.Image(source=data_uri(image), hoverinfo="skip", **place), 1, column)
    y, x = labels or (list(range(rows)), list(range(columns)))
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
    bar = {
        "title": {"text": unit, "side": "right", "font": {"size": 12}},
        "thickness": 10,
        "nticks": 5,
        "outlinewidth": 0,
    }
    colors = {"colorscale": SIGNED if signed else SEQUENTIAL, "cmin": low, "cmax": high, "colorbar": bar}
    fig.update_xaxes(
        title_text=axes[1], constrain="domain", showgrid=False, zeroline=False, dtick=_step(columns)
    )
    fig.update_yaxes(
        autorange="reversed", constrain="domain", showgrid=False, zeroline=False, dtick=_step(rows)
    )
    fig.update_layout({"yaxis.title.text": axes[0]})
    for number in range(1, len(titles) + 1):
        fig.update_layout({f"yaxis{number}": {"scaleanchor": f"x{number}", "showticklabels": number == 1}})
    width = 150 + (PANEL + 30) * len(titles)
    fig.update_layout(layout(coloraxis=colors, width=width, height=110 + round(PANEL * rows / columns)))
    fig.update_layout(showlegend=False, margin={"l": 60, "b": 50})
    fig.update_xaxes(title_font_size=12)
    fig.update_yaxes(title_font_size=12)
    fig.update_annotations(font_size=12)
    return fig


def _mark(x, y) -> go.Scatter:
    """A white cross with a dark rim: seen on every colour."""
    marker = {"symbol": "x", "size": 10, "color": "white", "line": {"color": "black", "width": 1.5}}
    return go.Scatter(x=[x], y=[y], mode="markers", marker=marker, hoverinfo="skip")


def _step(count: int) -> int:
    return 1 if count <= MOST_NUMBERS else count // 6


def preview_grids(
    grids: Mapping[str, object],
    unit: str,
    *,
    axes: tuple[str, str] = ("row", "column"),
    labels: tuple[Sequence[str], Sequence[str]] | None = None,
    mark: tuple[int, int] | None = None,
    picture=None,
    signed: bool = False,
    limits: tuple[float, float] | None = None,
    width: int = 130,
) -> bytes:
    """PNG bytes of `draw_grids`, each panel `width` pixels wide; the colour bar stands at the right."""
    panels = panels_of(grids)
    rows, columns = next(iter(panels.values())).shape
    low, high = limits or limits_of(panels, signed)
    pictures = [] if picture is None else as_pictures([picture])
    titles = ["picture"] * len(pictures) + list(panels)
    font = ImageFont.load_default(11)
    names = labels or ([str(i) for i in range(rows)], [str(i) for i in range(columns)])
    left, top, gap = 24 + int(max(map(font.getlength, names[0]))), 22, 12
    height = max(30, round(width * rows / columns))
    size = (left + len(titles) * (width + gap) + 84, top + height + 34)
    sheet = Image.new("RGBA", size, (0, 0, 0, 0))
    pen = ImageDraw.Draw(sheet)
    for index, title in enumerate(titles):
        x = left + index * (width + gap)
        values = None if index < len(pictures) else panels[title]
        tile = Image.fromarray(pictures[index] if values is None else color_grid(values, low, high, signed))
        sheet.paste(tile.convert("RGBA").resize((width, height), Image.Resampling.NEAREST), (x, top))
        pen.text((x + width / 2, top / 2), title, fill=TEXT, font=font, anchor="mm")
        pen.text((x + width / 2, size[1] - 8), axes[1], fill=TEXT, font=font, anchor="mm")
        here = (names[0] if not index else [], names[1])  # rows are named once
        _label(pen, font, here, (x, top, width, height), values, (low, high))
        if mark is not None:
            cross(pen, x + (mark[1] + 0.5) * width / columns, top + (mark[0] + 0.5) * height / rows)
    turned = Image.new("RGBA", (height, 14), (0, 0, 0, 0))
    ImageDraw.Draw(turned).text((height / 2, 7), axes[0], fill=TEXT, font=font, anchor="mm")
    sheet.paste(turned.rotate(90, expand=True), (0, top))
    _bar(sheet, pen, font, (size[0] - 80, top, height), (low, high), unit, signed)
    return small_png(sheet, colors=256)


def color_grid(values: np.ndarray, low: float, high: float, signed: bool) -> np.ndarray:
    """Values (R, C) → RGBA uint8 (R, C, 4); NaN becomes transparent."""
    if not signed:
        return colorize(values, low, high)
    stops = np.array([[int(color[i : i + 2], 16) for i in (1, 3, 5)] for _, color in SIGNED])
    share = np.clip((np.nan_to_num(values) - low) / max(high - low, 1e-12), 0, 1)
    rgb = np.stack([np.interp(share, [0, 0.5, 1], stops[:, channel]) for channel in range(3)], -1)
    return np.dstack([rgb, np.isfinite(values) * 255.0]).round().astype(np.uint8)


def _label(pen, font, names, box, values, limits) -> None:
    """Names along the sides, and the numbers where there are few."""
    x, y, width, height = box
    for axis, (step, start) in enumerate(((height, y), (width, x))):
        count = len(names[axis])
        for index in range(0, count, _step(max(count, 1))):
            at = start + (index + 0.5) * step / count
            place, anchor = ((x - 4, at), "rm") if axis == 0 else ((at, y + height + 8), "mm")
            pen.text(place, str(names[axis][index]), fill=TEXT, font=font, anchor=anchor)
    if values is None or max(values.shape) > MOST_NUMBERS // 2:
        return
    middle = sum(limits) / 2
    for (row, column), value in np.ndenumerate(values):
        place = (x + (column + 0.5) * width / values.shape[1], y + (row + 0.5) * height / values.shape[0])
        pen.text(place, f"{value:.2f}", fill="black" if value > middle else "white", font=font, anchor="mm")


def cross(pen: ImageDraw.ImageDraw, x: float, y: float, r: float = 4) -> None:
    """A white cross with a dark rim, on a still picture."""
    for color, thick in (("black", 4), ("white", 2)):
        pen.line([x - r, y - r, x + r, y + r], fill=color, width=thick)
        pen.line([x - r, y + r, x + r, y - r], fill=color, width=thick)


def _bar(sheet, pen, font, place, limits, unit: str, signed: bool) -> None:
    x, y, height = place
    ramp = np.linspace(limits[1], limits[0], height)[:, None].repeat(9, 1)
    sheet.paste(Image.fromarray(color_grid(ramp, *limits, signed)), (x, y))
    pen.text((x + 14, y), f"{limits[1]:.2g}", fill=TEXT, font=font, anchor="la")
    pen.text((x + 14, y + height), f"{limits[0]:.2g}", fill=TEXT, font=font, anchor="ld")
    pen.multiline_text((x + 14, y + height / 2), unit.replace(" ", "\n"), fill=TEXT, font=font, anchor="lm")
