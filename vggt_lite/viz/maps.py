"""What the network says about each pixel: pictures, depth, confidence and error, one row each."""

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from vggt_lite.viz.style import (
    SEQUENTIAL,
    WORLD_UNIT,
    as_array,
    as_pictures,
    data_uri,
    layout,
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
