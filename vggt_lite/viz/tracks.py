"""Tracks over the views, alone or beside the truth, and correlation maps: where a track looks."""

import numpy as np
import plotly.graph_objects as go

from vggt_lite.viz.panels import map_trace, view_panels
from vggt_lite.viz.style import COLORS, TEXT_COLOR, as_array, as_pictures, color_axis, with_gaps

SYMBOLS = ("circle", "square", "diamond", "cross", "x", "triangle-up")
WIDTH = 200  # pixels of a view in a live figure with truth
HOVER = "%{customdata}: x %{x:.1f}, y %{y:.1f} px<extra></extra>"
LEGEND = {
    "tracked": "circle", "tracked, said to be hidden": "circle-open", "true place": "cross",
    "true place, hidden": "x",
}  # fmt: skip


def draw_tracks(images, tracks, visibility=None, shown: int = 24, threshold: float = 0.5) -> go.Figure:
    """The first `shown` tracks over the views: filled where visible, hollow where the point is hidden.

    Args:
        images: S views, (3, H, W) or (H, W, 3).
        tracks: (S, N, 2) positions (x, y) in pixels, from the image's corner.
        visibility: (S, N) booleans, or probabilities compared with `threshold`; None = all visible.
        shown: At most so many tracks. Colour and shape together tell one from another.
    """
    pictures, tracks = as_pictures(images), as_array(tracks)[:, :shown].astype(np.float32)
    visible = np.ones(tracks.shape[:2]) if visibility is None else as_array(visibility)[:, :shown]
    number = np.arange(tracks.shape[1])
    colors = np.array(COLORS)[number % len(COLORS)]
    symbols = np.array(SYMBOLS)[number // len(COLORS) % len(SYMBOLS)]
    names = [f"track {n + 1}" for n in number]
    fig = view_panels(pictures, width=230 * pictures[0].shape[1] / pictures[0].shape[0])
    for view, seen in enumerate(visible > threshold):
        rim = {"width": 1.2, "color": np.where(seen, "white", colors)}
        symbol = np.where(seen, symbols, np.char.add(symbols, "-open"))
        marker = {"size": 9, "color": colors, "symbol": symbol, "line": rim}
        fig.add_trace(_places(tracks[view], names, marker), 1, view + 1)
    return fig


def draw_track_errors(images, tracks, truth, visible=None, truly_visible=None) -> go.Figure:
    """Tracks over the views, each joined by a line to where its point truly is.

    Args:
        images: S views, (3, H, W) or (H, W, 3).
        tracks, truth: (S, N, 2) positions (x, y) in pixels, from the image's corner.
        visible: (S, N) predicted visibility, compared with 0.5; None = all visible.
        truly_visible: (S, N) truth.
    """
    return _with_truth(images, tracks, truth, visible, truly_visible, rows=1)


def draw_correlation(
    images, maps, tracks, truth, truly_visible=None, radius=None, unit="correlation", limits=None
) -> go.Figure:
    """The views, and under each how much every place of it resembles the query.

    Args:
        images: S views. maps: S correlation maps (h, w) of any resolution, drawn as large as the views.
        tracks, truth: (S, 2) or (S, N, 2) pixels: the present estimates, and where the points are.
        truly_visible: (S,) or (S, N) truth.
        radius: Draw the window of (2 · radius + 1)² map pixels around each estimate; None draws none.
        limits: Values at the two ends of the colours; from the data when omitted.
    """
    pictures, maps = as_pictures(images), as_array(maps)
    tracks, truth, seen = as_array(tracks), as_array(truth), as_array(truly_visible)
    if tracks.ndim == 2:  # one track
        tracks, truth, seen = tracks[:, None], truth[:, None], None if seen is None else seen[:, None]
    fig = _with_truth(pictures, tracks, truth, None, seen, rows=2)
    size = pictures[0].shape[:2]
    for view, values in enumerate(maps, start=1):
        text = "x %{x}, y %{y}: %{z:.2f}<extra></extra>"
        fig.add_trace(map_trace(values, size, coloraxis="coloraxis", hovertemplate=text), 2, view)
        if radius is not None:
            half = (radius + 0.5) * size[1] / maps.shape[-1]
            x, y = tracks[view - 1, 0].tolist()
            box = {"x0": x - half, "x1": x + half, "y0": y - half, "y1": y + half}
            fig.add_shape(type="rect", line={"color": "white", "width": 2}, **box, row=2, col=view)
    low, high = limits or (float(maps.min()), float(maps.max()))
    return fig.update_layout(coloraxis=color_axis(unit, low, high, len=0.5, y=0.25))


def _with_truth(images, tracks, truth, visible, truly_visible, rows: int) -> go.Figure:
    """The views, with lines from tracks to truth, true places and tracks in all rows, and a legend."""
    tracks, truth = (as_array(x).astype(np.float32) for x in (tracks, truth))
    if tracks.shape != truth.shape or tracks.ndim != 3:
        raise ValueError(f"tracks {tracks.shape} and truth {truth.shape} must both be (S, N, 2).")
    sure = np.ones(tracks.shape[:2])
    said, seen = (sure if x is None else as_array(x) for x in (visible, truly_visible))
    colors = np.array(COLORS)[np.arange(tracks.shape[1]) % len(COLORS)]
    names = [[f"{kind} {n + 1}" for n in range(len(colors))] for kind in ("true place", "track")]
    fig = view_panels(images, rows=rows, width=WIDTH, side=20 if rows == 1 else 110, top=90)
    for view, (said_here, seen_here) in enumerate(zip(said > 0.5, seen > 0.5, strict=True)):
        x, y = with_gaps(tracks[view], truth[view]).T
        line = {"color": "white", "width": 1.5}
        lines = go.Scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip", showlegend=False)
        symbol, rim = np.where(seen_here, "cross", "x"), {"color": colors, "width": 2}
        places = _places(truth[view], names[0], {"symbol": symbol, "size": 9, "color": "white", "line": rim})
        symbol = np.where(said_here, "circle", "circle-open")
        rim = {"color": np.where(said_here, "white", colors), "width": 2}
        marks = _places(tracks[view], names[1], {"symbol": symbol, "size": 10, "color": colors, "line": rim})
        for row in range(1, rows + 1):
            fig.add_traces([lines, places, marks], rows=[row] * 3, cols=[view + 1] * 3)
    for name, symbol in LEGEND.items():
        marker = {"symbol": symbol, "size": 9, "color": TEXT_COLOR}
        fig.add_trace(go.Scatter(x=[None], y=[None], mode="markers", marker=marker, name=name), 1, 1)
    legend = {"orientation": "h", "y": -0.02, "yanchor": "top", "x": 0}
    return fig.update_layout(showlegend=True, legend=legend)


def _places(pixels: np.ndarray, names: list[str], marker: dict) -> go.Scatter:
    """Markers at pixels (N, 2), each with its name."""
    x, y = pixels.T
    return go.Scatter(
        x=x, y=y, mode="markers", marker=marker, customdata=names, hovertemplate=HOVER, showlegend=False
    )
