"""Curves, from records such as the lines of a training log."""

import numpy as np
import plotly.graph_objects as go

from vggt_lite.viz.style import TEXT, layout, line_of


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
    fig = go.Figure(layout=layout(height=320, title_text=title, showlegend=True))
    for index, key in enumerate(keys):
        steps, values = curve(records, key, x, smooth)
        fig.add_trace(curve_trace(steps, values, key, index))
    fig.update_xaxes(title_text=x, linecolor=TEXT)
    scale = "log" if log else "linear"
    fig.update_yaxes(title_text=ylabel, type=scale, tickformat="~g", linecolor=TEXT)
    return fig.update_layout(margin={"l": 60, "b": 45})


def curve_trace(steps: np.ndarray, values: np.ndarray, name: str, index: int, **options) -> go.Scatter:
    """The index-th curve of a figure."""
    values = values.astype(np.float32)
    return go.Scatter(x=steps, y=values, name=name, mode="lines", line=line_of(index), **options)
