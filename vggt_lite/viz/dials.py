"""Dials: a position as an angle, one dial for each frequency of the rotary positions."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from PIL import Image, ImageDraw, ImageFont

from vggt_lite.viz.look import COLORS, GRID, TEXT, as_array, layout, small_png

DIAL = 130  # pixels of a dial in a live figure
CROWDED_RAD = 0.45  # hands closer than this carry no number, but for the first and the last


def hands(angles) -> tuple[np.ndarray, list[list[int]]]:
    """Tips of the hands (K, F, 2) on the unit circle, and which positions of each dial are numbered.

    Args:
        angles: (K, F) radians: K positions, counted from 1, on F dials.
    """
    angles = as_array(angles).astype(np.float64)
    if angles.ndim != 2 or not angles.size:
        raise ValueError(f"angles must be (positions, dials); got shape {angles.shape}.")
    ends = sorted({0, len(angles) - 1})
    steps = np.abs(np.diff(angles, axis=0)).min(0) if len(angles) > 1 else np.full(angles.shape[1], np.inf)
    numbered = [list(range(len(angles))) if step >= CROWDED_RAD else ends for step in steps]
    return np.stack([np.cos(angles), np.sin(angles)], -1), numbered


def draw_dials(angles, titles: Sequence[str]) -> go.Figure:
    """One dial for each frequency, with a hand for each position; angles count anticlockwise from the right.

    Args:
        angles: (K, F) radians.
        titles: Name of each dial.
    """
    tips, numbered = hands(angles)
    fig = go.Figure(layout=layout(width=40 + DIAL * len(titles), height=DIAL + 60, showlegend=False))
    for dial, title in enumerate(titles):
        middle = 2.8 * dial
        x = np.stack([np.zeros(len(tips)), tips[:, dial, 0], np.full(len(tips), np.nan)], 1).ravel() + middle
        y = np.stack([np.zeros(len(tips)), tips[:, dial, 1], np.full(len(tips), np.nan)], 1).ravel()
        line = {"color": COLORS[0], "width": 2}
        fig.add_trace(go.Scatter(x=x, y=y, mode="lines", line=line, name=title, hoverinfo="name"))
        circle = {"type": "circle", "x0": middle - 1, "x1": middle + 1, "y0": -1, "y1": 1}
        fig.add_shape(**circle, line={"color": GRID, "width": 1})
        plain = {"showarrow": False, "font": {"size": 11}}
        fig.add_annotation(x=middle, y=1.6, text=title, **plain)
        for position in numbered[dial]:
            at = 1.2 * tips[position, dial]
            fig.add_annotation(x=middle + at[0], y=at[1], text=str(position + 1), **plain)
    fig.update_xaxes(visible=False, range=[-1.4, 2.8 * len(titles) - 1.4])
    fig.update_yaxes(visible=False, range=[-1.4, 1.8], scaleanchor="x")
    return fig


def preview_dials(angles, titles: Sequence[str], size: int = 104) -> bytes:
    """PNG bytes of `draw_dials`, each dial `size` pixels wide."""
    tips, numbered = hands(angles)
    picture = Image.new("RGBA", (size * len(titles), size + 26), (0, 0, 0, 0))
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(11)
    radius = 0.36 * size
    for dial, title in enumerate(titles):
        x, y = (dial + 0.5) * size, 26 + size / 2
        pen.text((x, 10), title, fill=TEXT, font=font, anchor="mm")
        pen.ellipse([x - radius, y - radius, x + radius, y + radius], outline="#AAAAAA")
        for position, (cos, sin) in enumerate(tips[:, dial]):
            pen.line([x, y, x + radius * cos, y - radius * sin], fill=COLORS[0], width=2)
            if position in numbered[dial]:
                at = (x + 1.22 * radius * cos, y - 1.22 * radius * sin)
                pen.text(at, str(position + 1), fill=TEXT, font=font, anchor="mm")
    return small_png(picture)
