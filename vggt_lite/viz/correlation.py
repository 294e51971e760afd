"""Where a track looks and where it goes: correlation maps with the true place, tracks against the truth."""

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from vggt_lite.viz.style import (
    COLORS,
    SEQUENTIAL,
    TEXT,
    as_array,
    as_pictures,
    data_uri,
    layout,
)

PANEL = 200  # pixels of a view's width in a live figure
LEGEND = ("tracked", "tracked, said to be hidden", "true place", "true place, hidden")


@dataclass(frozen=True)
class Marks:
    """Tracks and their truth, (S, N, 2) pixels, with what is said and what is true of their visibility."""

    tracks: np.ndarray
    truth: np.ndarray
    visible: np.ndarray  # (S, N) bool
    truly_visible: np.ndarray  # (S, N) bool

    @classmethod
    def of(cls, tracks, truth, visible=None, truly_visible=None, threshold: float = 0.5) -> "Marks":
        tracks, truth = (as_array(x).astype(np.float32) for x in (tracks, truth))
        if tracks.shape != truth.shape or tracks.ndim != 3:
            raise ValueError(f"tracks {tracks.shape} and truth {truth.shape} must both be (S, N, 2).")
        sure = np.ones(tracks.shape[:2], bool)
        said = sure if visible is None else as_array(visible) > threshold
        return cls(tracks, truth, said, sure if truly_visible is None else as_array(truly_visible) > 0.5)


def draw_track_errors(images, tracks, truth, visible=None, truly_visible=None) -> go.Figure:
    """Tracks over the views, each joined by a line to where its point truly is.

    Args:
        images: S views, (3, H, W) or (H, W, 3).
        tracks, truth: (S, N, 2) positions (x, y) in pixels, from the image's corner.
        visible: (S, N) predicted visibility, compared with 0.5; None = all visible.
        truly_visible: (S, N) truth.
    """
    return _figure(as_pictures(images), None, Marks.of(tracks, truth, visible, truly_visible))


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
    marks, maps = _single(tracks, truth, truly_visible), as_array(maps)
    pictures = as_pictures(images)
    fig = _figure(pictures, maps, marks)
    low, high = limits or (float(maps.min()), float(maps.max()))
    bar = {"title": {"text": unit, "side": "right"}, "thickness": 10, "nticks": 5, "len": 0.5, "y": 0.25}
    fig.update_layout(coloraxis={"colorscale": SEQUENTIAL, "cmin": low, "cmax": high, "colorbar": bar})
    for view, (x0, y0, x1, y1) in enumerate(windows(marks, pictures[0].shape, maps.shape, radius)):
        axis = len(pictures) + view + 1
        box = {"x0": x0, "x1": x1, "y0": y0, "y1": y1, "line": {"color": "white", "width": 2}}
        fig.add_shape(type="rect", xref=f"x{axis}", yref=f"y{axis}", **box)
    return fig


def windows(marks: Marks, image_shape, maps_shape, radius) -> list[tuple[float, float, float, float]]:
    """Boxes (x0, y0, x1, y1) in pixels of the image around each view's first track; none without a radius."""
    if radius is None:
        return []
    half = (radius + 0.5) * image_shape[1] / maps_shape[-1]
    return [(x - half, y - half, x + half, y + half) for x, y in marks.tracks[:, 0].tolist()]


def _single(tracks, truth, truly_visible) -> Marks:
    """Marks of one track or of several."""
    tracks, truth = as_array(tracks), as_array(truth)
    if tracks.ndim == 2:
        tracks, truth = tracks[:, None], truth[:, None]
        truly_visible = None if truly_visible is None else as_array(truly_visible)[:, None]
    return Marks.of(tracks, truth, None, truly_visible)


def _figure(pictures, maps, marks: Marks) -> go.Figure:
    rows, columns = 1 if maps is None else 2, len(pictures)
    height, width = pictures[0].shape[:2]
    titles = [f"view {v}" for v in range(1, columns + 1)]
    fig = make_subplots(rows, columns, column_titles=titles, horizontal_spacing=0.01, vertical_spacing=0.02)
    for view, picture in enumerate(pictures):
        image = go.Image(source=data_uri(picture), x0=0.5, y0=0.5, hoverinfo="skip")
        fig.add_trace(image, 1, view + 1)
        if maps is not None:
            dy, dx = height / maps.shape[1], width / maps.shape[2]
            place = {"x0": dx / 2, "dx": dx, "y0": dy / 2, "dy": dy, "coloraxis": "coloraxis"}
            heat = go.Heatmap(z=maps[view], hovertemplate="x %{x}, y %{y}: %{z:.2f}<extra></extra>", **place)
            fig.add_trace(heat, 2, view + 1)
        for row in range(1, rows + 1):
            fig.add_traces(_traces(marks, view), rows=[row] * 3, cols=[view + 1] * 3)
    for number in range(1, rows * columns + 1):
        own = {"visible": False, "constrain": "domain"}
        fig.update_layout({f"xaxis{number}": {"range": [0, width], **own}})
        fig.update_layout({f"yaxis{number}": {"range": [height, 0], "scaleanchor": f"x{number}", **own}})
    for name, symbol in zip(LEGEND, ("circle", "circle-open", "cross", "x"), strict=True):
        marker = {"symbol": symbol, "size": 9, "color": TEXT}
        fig.add_trace(go.Scatter(x=[None], y=[None], mode="markers", marker=marker, name=name), 1, 1)
    legend = {"orientation": "h", "y": -0.02, "yanchor": "top", "x": 0}
    size = {"width": 20 + PANEL * columns + (90 if rows == 2 else 0)}
    size["height"] = 90 + round(PANEL * height / width) * rows
    fig.update_layout(layout(showlegend=True, legend=legend, **size))
    return fig


def _traces(marks: Marks, view: int) -> list[go.Scatter]:
    """Lines from tracks to truth, the true places, the tracks."""
    at, true = marks.tracks[view], marks.truth[view]
    colors = np.array(COLORS)[np.arange(len(at)) % len(COLORS)]
    ends = np.stack([at, true, np.full_like(at, np.nan)], 1).reshape(-1, 2)
    line = {"color": "white", "width": 1.5}
    off = {"showlegend": False}
    lines = go.Scatter(x=ends[:, 0], y=ends[:, 1], mode="lines", line=line, hoverinfo="skip", **off)
    shape = np.where(marks.truly_visible[view], "cross", "x")
    marker = {"symbol": shape, "size": 9, "color": "white", "line": {"color": colors, "width": 2}}
    hover = "%{customdata}: x %{x:.1f}, y %{y:.1f} px<extra></extra>"
    names = [[f"{kind} {n + 1}" for n in range(len(at))] for kind in ("true place", "track")]
    truth = {"marker": marker, "customdata": names[0], "hovertemplate": hover}
    shape = np.where(marks.visible[view], "circle", "circle-open")
    rim = {"width": 2, "color": np.where(marks.visible[view], "white", colors)}
    track = {"marker": {"symbol": shape, "size": 10, "color": colors, "line": rim}}
    track |= {"customdata": names[1], "hovertemplate": hover}
    marks = ((true, truth), (at, track))
    return [lines, *(go.Scatter(x=p[:, 0], y=p[:, 1], mode="markers", **look, **off) for p, look in marks)]
