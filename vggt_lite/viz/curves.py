"""Curves, from records such as the lines of a training log."""

import numpy as np
import plotly.graph_objects as go

from vggt_lite.viz.style import COLORS, GRID, TEXT, layout

DASHES = ("solid", "dash", "dot", "dashdot")


def curve(records: list[dict], key: str, x: str = "step", smooth: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """(x, values) of one term over the records that carry it; `smooth` averages so many neighbours."""
    pairs = [(r[x], r[key]) for r in records if isinstance(r.get(key), (int, float)) and x in r]
    if not pairs:
        known = sorted({k for r in records for k, v in r.items() if isinstance(v, (int, float))})
        raise ValueError(f"no record of the log has both {x!r} and {key!r}; it holds {known}.")
    steps, values = np.array(pairs, float).T
    if smooth > 1 and len(values) >= smooth:
        values = np.convolve(values, np.ones(smooth) / smooth, "valid")
        steps = steps[smooth - 1 :]
    return steps, values


def draw_curves(records, keys, x="step", smooth=1, log=True, title=None, ylabel="loss") -> go.Figure:
    """Terms of a training log against steps; colour and dash differ from term to term.

    Args:
        records: One dictionary for each place on the horizontal axis, such as the lines of a training log.
        keys: Names of the terms to draw.
        x: The record's field on the horizontal axis.
        smooth: Average over so many records.
        log: Logarithmic vertical axis.
    """
    fig = go.Figure(layout=layout(height=320, title={"text": title} if title else None))
    for index, key in enumerate(keys):
        steps, values = curve(records, key, x, smooth)
        line = {"color": COLORS[index % len(COLORS)], "dash": DASHES[(index + index // 4) % 4], "width": 2}
        fig.add_trace(go.Scatter(x=steps, y=values.astype(np.float32), name=key, mode="lines", line=line))
    axis = {"gridcolor": GRID, "zerolinecolor": GRID, "linecolor": TEXT}
    fig.update_xaxes(title_text=x, **axis)
    fig.update_yaxes(title_text=ylabel, type="log" if log else "linear", tickformat="~g", **axis)
    fig.update_layout(showlegend=True, margin={"l": 60, "b": 45})
    return fig
