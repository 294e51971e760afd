"""What the network says about each pixel: pictures, depth, confidence and error, one row each."""

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from PIL import Image, ImageDraw, ImageFont
from plotly.subplots import make_subplots

from vggt_lite.viz.look import (
    SEQUENTIAL,
    TEXT,
    WORLD_UNIT,
    as_array,
    as_pictures,
    colorize,
    data_uri,
    layout,
    small_png,
    thin,
)

LONGEST = 128  # pixels of a map's longer side in a live figure; larger maps are thinned


@dataclass(frozen=True)
class Row:
    """One kind of map for all views, with the range its colours cover."""

    name: str
    unit: str
    maps: list[np.ndarray]  # S maps (H, W), NaN = no value
    low: float
    high: float


def map_rows(depth=None, true_depth=None, confidence=None, error=None, unit=WORLD_UNIT) -> list[Row]:
    """The rows to draw; depth and true depth share one colour range, so that colours compare.

    Args:
        depth, true_depth: S maps (H, W) of z in `unit`; zero or NaN means no value.
        confidence: S maps (H, W); 1 is the least the network can say.
        error: S maps (H, W) of relative error |depth − truth| / truth; NaN where there is no truth.
    """

    def clean(maps, drop_zero=False):
        arrays = [as_array(m).astype(np.float32) for m in maps]
        return [np.where(np.isfinite(a) & ((a > 0) | (not drop_zero)), a, np.nan) for a in arrays]

    def limits(maps, low=2, high=98):
        values = np.concatenate([m[np.isfinite(m)].ravel() for m in maps] + [np.zeros(0, np.float32)])
        return tuple(np.percentile(values, [low, high]).tolist()) if len(values) else (0.0, 1.0)

    rows = []
    depths = {"depth": depth, "true depth": true_depth}
    depths = {name: clean(maps, drop_zero=True) for name, maps in depths.items() if maps is not None}
    if depths:
        low, high = limits(next(reversed(depths.values())))  # the truth's range where there is a truth
        rows += [Row(name, unit, maps, low, high) for name, maps in depths.items()]
    if error is not None:
        rows.append(Row("depth error", "of the depth", clean(error), 0.0, limits(clean(error))[1]))
    if confidence is not None:
        rows.append(Row("confidence", "1 = none", clean(confidence), *limits(clean(confidence))))
    return rows


def draw_maps(images, depth=None, true_depth=None, confidence=None, error=None, unit=WORLD_UNIT) -> go.Figure:
    """Panels: one column a view, one row for the pictures and for each kind of map given.

    Arguments as in `map_rows`; `images` are the S views, (3, H, W) or (H, W, 3).
    """
    pictures = [thin(p, 2 * LONGEST) for p in as_pictures(images)]
    rows = map_rows(depth, true_depth, confidence, error, unit)
    fig = make_subplots(
        len(rows) + 1,
        len(pictures),
        column_titles=[f"view {v}" for v in range(1, len(pictures) + 1)],
        horizontal_spacing=0.01,
        vertical_spacing=0.02,
    )
    for column, picture in enumerate(pictures, start=1):
        fig.add_trace(go.Image(source=data_uri(picture), hoverinfo="skip"), 1, column)
    for index, row in enumerate(rows, start=2):
        for column, values in enumerate(row.maps, start=1):
            text = f"{row.name} %{{z:.3g}} ({row.unit})<extra>view {column}</extra>"
            values = thin(values, LONGEST).astype(np.float32)
            heat = go.Heatmap(z=values, coloraxis=f"coloraxis{index}", hovertemplate=text)
            fig.add_trace(heat, index, column)
        top, bottom = _vertical_span(fig, index, len(pictures))
        bar = {
            "title": {"text": f"{row.name}<br>({row.unit})", "side": "right", "font": {"size": 11}},
            "len": top - bottom, "y": (top + bottom) / 2, "thickness": 10, "nticks": 4, "outlinewidth": 0,
        }  # fmt: skip
        axis = {"colorscale": SEQUENTIAL, "cmin": row.low, "cmax": row.high, "colorbar": bar}
        fig.update_layout({f"coloraxis{index}": axis})
    fig.update_xaxes(visible=False, constrain="domain")
    fig.update_yaxes(visible=False, autorange="reversed", constrain="domain")
    for number in range(1, (len(rows) + 1) * len(pictures) + 1):
        fig.update_layout({f"yaxis{number}": {"scaleanchor": f"x{number}"}})
    aspect = pictures[0].shape[1] / pictures[0].shape[0]
    width = 130 + (150 * aspect + 4) * len(pictures)
    fig.update_layout(layout(height=50 + 150 * (len(rows) + 1), width=width))
    fig.update_annotations(font_size=12)
    return fig


def _vertical_span(fig: go.Figure, row: int, columns: int) -> tuple[float, float]:
    low, high = fig.layout[f"yaxis{(row - 1) * columns + 1}"].domain
    return high, low


def preview_maps(
    images, depth=None, true_depth=None, confidence=None, error=None, unit=WORLD_UNIT, width: int = 110
) -> bytes:
    """PNG bytes of the panels of `draw_maps`, each view `width` pixels wide, colour bars included."""
    pictures = as_pictures(images)
    rows = map_rows(depth, true_depth, confidence, error, unit)
    tile = max(round(width * p.shape[0] / p.shape[1]) for p in pictures)
    gap, margin, bar = 4, 20, 118
    size = (len(pictures) * (width + gap) + bar, margin + (len(rows) + 1) * (tile + gap))
    sheet = Image.new("RGBA", size, CLEAR_RGBA)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for column, picture in enumerate(pictures):
        left = column * (width + gap)
        pen.text((left + width / 2, margin / 2), f"view {column + 1}", fill=TEXT, font=font, anchor="mm")
        colored = [picture] + [colorize(row.maps[column], row.low, row.high) for row in rows]
        for line, panel in enumerate(colored):
            height = round(width * panel.shape[0] / panel.shape[1])
            panel = Image.fromarray(panel).convert("RGBA").resize((width, height), Image.Resampling.NEAREST)
            sheet.paste(panel, (left, margin + line * (tile + gap)))
    for line, row in enumerate(rows, start=1):
        place = (len(pictures) * (width + gap) + 6, margin + line * (tile + gap))
        _draw_bar(sheet, pen, font, row, place, tile)
    return small_png(sheet, colors=256)


CLEAR_RGBA = (0, 0, 0, 0)


def _draw_bar(sheet, pen, font, row: Row, place: tuple[int, int], height: int) -> None:
    """A colour bar with its two end values, name and unit."""
    x, y = place
    ramp = np.linspace(row.high, row.low, height)[:, None].repeat(9, 1)
    sheet.paste(Image.fromarray(colorize(ramp, row.low, row.high)), (x, y))
    for value, at, anchor in ((row.high, y, "la"), (row.low, y + height, "ld")):
        pen.text((x + 14, at), f"{value:.3g}", fill=TEXT, font=font, anchor=anchor)
    pen.text((x + 14, y + height / 2 - 7), row.name, fill=TEXT, font=font, anchor="lm")
    pen.text((x + 14, y + height / 2 + 7), f"({row.unit})", fill=TEXT, font=font, anchor="lm")
