"""Clocks of rotary positions: a position is an angle, and each frequency has a clock of its own."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from vggt_lite.viz.style import COLORS, GRID, as_array, layout, with_gaps

CLOCK = 130  # pixels of a clock
CROWDED_RAD = 0.45  # hands closer than this carry no number, but for the first and the last


def hands(angles) -> tuple[np.ndarray, list[list[int]]]:
    """Tips of the hands (K, F, 2) on the unit circle, and which positions of each clock are numbered.

    Args:
        angles: (K, F) radians: K positions, counted from 1, on F clocks.
    """
    angles = as_array(angles).astype(np.float64)
    if angles.ndim != 2 or not angles.size:
        raise ValueError(f"angles must be (positions, clocks); got shape {angles.shape}.")
    ends = sorted({0, len(angles) - 1})
    steps = np.abs(np.diff(angles, axis=0)).min(0) if len(angles) > 1 else np.full(angles.shape[1], np.inf)
    numbered = [list(range(len(angles))) if step >= CROWDED_RAD else ends for step in steps]
    return np.stack([np.cos(angles), np.sin(angles)], -1), numbered


def draw_rope_clocks(angles, titles: Sequence[str]) -> go.Figure:
    """One clock for each frequency, with a hand for each position; angles count anticlockwise from the right.

    Args:
        angles: (K, F) radians.
        titles: Name of each clock.
    """
    tips, numbered = hands(angles)
    fig = go.Figure(layout=layout(width=40 + CLOCK * len(titles), height=CLOCK + 60, showlegend=False))
    for clock, title in enumerate(titles):
        middle = 2.8 * clock
        x, y = with_gaps(np.zeros((len(tips), 2)), tips[:, clock]).T
        line = {"color": COLORS[0], "width": 2}
        fig.add_trace(go.Scatter(x=x + middle, y=y, mode="lines", line=line, name=title, hoverinfo="name"))
        circle = {"type": "circle", "x0": middle - 1, "x1": middle + 1, "y0": -1, "y1": 1}
        fig.add_shape(**circle, line={"color": GRID, "width": 1})
        plain = {"showarrow": False, "font": {"size": 11}}
        fig.add_annotation(x=middle, y=1.6, text=title, **plain)
        for position in numbered[clock]:
            at = 1.2 * tips[position, clock]
            fig.add_annotation(x=middle + at[0], y=at[1], text=str(position + 1), **plain)
    fig.update_xaxes(visible=False, range=[-1.4, 2.8 * len(titles) - 1.4])
    fig.update_yaxes(visible=False, range=[-1.4, 1.8], scaleanchor="x")
    return fig
