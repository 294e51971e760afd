"""Tracks: the same physical points, marked in every view."""

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from vggt_lite.viz.style import COLORS, as_array, as_pictures, data_uri, layout, thin

SYMBOLS = ("circle", "square", "diamond", "cross", "x", "triangle-up")
LONGEST = 512  # pixels of a picture's longer side in a live figure


def draw_tracks(images, tracks, visibility=None, shown: int = 24, threshold: float = 0.5) -> go.Figure:
    """The first `shown` tracks over the views: filled where visible, hollow where the point is hidden.

    Args:
        images: S views, (3, H, W) or (H, W, 3).
        tracks: (S, N, 2) positions (x, y) in pixels, from the image's corner.
        visibility: (S, N) booleans, or probabilities compared with `threshold`; None = all visible.
        shown: At most so many tracks. Colour and shape together tell one from another.
    """
    pictures, tracks, visible = _prepare(images, tracks, visibility, shown, threshold)
    number = np.arange(tracks.shape[1])
    colors = np.array(COLORS)[number % len(COLORS)]
    symbols = np.array(SYMBOLS)[number // len(COLORS) % len(SYMBOLS)]
    titles = [f"view {v}" for v in range(1, len(pictures) + 1)]
    fig = make_subplots(1, len(pictures), column_titles=titles, horizontal_spacing=0.01)
    for view, picture in enumerate(pictures):
        height, width = picture.shape[:2]
        step = max(1, -(-max(height, width) // LONGEST))
        image = go.Image(
            source=data_uri(thin(picture, LONGEST)),
            dx=step,
            dy=step,
            x0=step / 2,
            y0=step / 2,
            hoverinfo="skip",
        )
        fig.add_trace(image, 1, view + 1)
        x, y = tracks[view].T.astype(np.float32)
        rim = {"width": 1.2, "color": np.where(visible[view], "white", colors)}
        symbol = np.where(visible[view], symbols, np.char.add(symbols, "-open"))
        marker = {"size": 9, "color": colors, "symbol": symbol, "line": rim}
        text = "track %{customdata}: x %{x:.1f}, y %{y:.1f} px<extra></extra>"
        marks = go.Scatter(
            x=x,
            y=y,
            mode="markers",
            marker=marker,
            customdata=number + 1,
            hovertemplate=text,
            showlegend=False,
        )
        fig.add_trace(marks, 1, view + 1)
        axis = {"visible": False, "constrain": "domain", "row": 1, "col": view + 1}
        anchor = "x" if view == 0 else f"x{view + 1}"
        fig.update_xaxes(range=[0, width], **axis)
        fig.update_yaxes(range=[height, 0], scaleanchor=anchor, **axis)
    aspect = pictures[0].shape[1] / pictures[0].shape[0]
    fig.update_layout(layout(height=280, width=20 + (230 * aspect + 4) * len(pictures)))
    fig.update_annotations(font_size=12)
    return fig


def _prepare(images, tracks, visibility, shown: int, threshold: float):
    """Pictures, tracks (S, n, 2) and visibility (S, n) as booleans, n ≤ shown."""
    tracks = as_array(tracks)[:, :shown]
    visible = np.ones(tracks.shape[:2], bool)
    if visibility is not None:
        visible = as_array(visibility)[:, :shown] > threshold
    return as_pictures(images), tracks, visible
