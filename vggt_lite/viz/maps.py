"""What the network says about each pixel: pictures, depth, confidence and error, one row each."""

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from vggt_lite.viz.panels import map_trace, view_panels
from vggt_lite.viz.style import WORLD_UNIT, as_array, as_pictures, color_axis, thin

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

    given = {"depth": depth, "true depth": true_depth, "depth error": error, "confidence": confidence}
    units = dict(zip(given, (unit, unit, "of the depth", "1 = none"), strict=True))
    maps, limits = {}, {}
    for name, arrays in given.items():
        if arrays is not None:
            arrays = [as_array(array).astype(np.float32) for array in arrays]
            least = 0 if name in ("depth", "true depth") else -np.inf  # no depth is 0 or less
            maps[name] = [np.where(np.isfinite(array) & (array > least), array, np.nan) for array in arrays]
            known = np.concatenate([array[np.isfinite(array)] for array in maps[name]])
            limits[name] = np.percentile(known, [2, 98]).tolist() if len(known) else (0.0, 1.0)
    limits["depth"] = limits.get("true depth", limits.get("depth"))
    if error is not None:
        limits["depth error"] = (0.0, limits["depth error"][1])
    return [Row(name, units[name], arrays, *limits[name]) for name, arrays in maps.items()]


def draw_maps(images, depth=None, true_depth=None, confidence=None, error=None, unit=WORLD_UNIT) -> go.Figure:
    """Panels: one column a view, one row for the pictures and for each kind of map given.

    Arguments as in `map_rows`; `images` are the S views, (3, H, W) or (H, W, 3).
    """
    pictures = as_pictures(images)
    rows = map_rows(depth, true_depth, confidence, error, unit)
    width = 150 * pictures[0].shape[1] / pictures[0].shape[0]
    fig = view_panels(pictures, rows=len(rows) + 1, width=width, side=130, longest=2 * LONGEST)
    for index, row in enumerate(rows, start=2):
        for column, (values, picture) in enumerate(zip(row.maps, pictures, strict=True), start=1):
            text = f"{row.name} %{{z:.3g}} ({row.unit})<extra>view {column}</extra>"
            look = {"coloraxis": f"coloraxis{index}", "hovertemplate": text}
            fig.add_trace(map_trace(thin(values, LONGEST), picture.shape[:2], **look), index, column)
        bottom, top = next(fig.select_yaxes(row=index)).domain
        place = {"len": top - bottom, "y": (top + bottom) / 2, "nticks": 4}
        colors = color_axis(f"{row.name}<br>({row.unit})", row.low, row.high, **place)
        fig.update_layout({f"coloraxis{index}": colors})
    return fig
