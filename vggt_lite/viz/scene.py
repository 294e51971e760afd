"""The 3-D figure: coloured points, and cameras as numbered frusta, in the first camera's frame."""

import numpy as np
import plotly.graph_objects as go

from vggt_lite.viz.cloud import Cameras, Cloud
from vggt_lite.viz.style import (
    COLORS,
    LEGEND_ABOVE,
    SPACE,
    TEXT_COLOR,
    WORLD_UNIT,
    layout,
    max_points,
    with_gaps,
)

GRID_LINE = "#8A8A8A"  # WebGL draws thin lines; a faint one vanishes
# OpenCV's y points down, so "up" on the screen is −y. The eye sits behind the first camera, to its
# right and above it; plotly counts in units of the drawn box.
CAMERA = {
    "up": {"x": 0, "y": -1, "z": 0}, "eye": {"x": 0.45, "y": -0.55, "z": -1.25},
    "center": {"x": 0.05, "y": 0.08, "z": 0},
}  # fmt: skip
# One closed pyramid without lifting the pen: centre → corners → outline.
PYRAMID = (1, 0, 2, 3, 0, 4, 1, 2, 3, 4)


def point_trace(cloud: Cloud, percentile: float = 0.0, views=None, limit: int | None = None) -> go.Scatter3d:
    """The cloud's points as one trace; see `Cloud.select` for what is shown."""
    shown = cloud.select(percentile, views, limit)
    index, scale = cloud.palette
    x, y, z = np.ascontiguousarray(cloud.points[shown].T, np.float32)
    most = min(len(cloud), max_points())  # of the whole cloud: dots keep their size while a slider moves
    marker = {
        "size": float(np.clip(1.6 * (20_000 / most) ** 0.5, 1.6, 3.5)), "line": {"width": 0},
        "color": index[shown], "colorscale": scale, "cmin": 0, "cmax": max(len(scale) - 1, 1),
    }  # fmt: skip
    look = {"mode": "markers", "marker": marker, "hoverinfo": "skip", "showlegend": False}
    return go.Scatter3d(x=x, y=y, z=z, name="points", **look)


def camera_traces(cameras: Cameras, size: float, truth: bool = False, numbered: bool = True) -> list:
    """Frusta as one line trace (the truth's dashed unless they stand alone), and their numbers."""
    color, name = (COLORS[1], "true cameras") if truth else (COLORS[0], "cameras")
    frusta = cameras.frusta(size)[:, PYRAMID]  # (S, 10, 3)
    x, y, z = with_gaps(*frusta.swapaxes(0, 1)).T.astype(np.float32)
    line = {"color": color, "width": 4, "dash": "solid" if numbered else "dash"}
    lines = go.Scatter3d(x=x, y=y, z=z, mode="lines", line=line, name=name, hoverinfo="skip")
    if not numbered:
        return [lines]
    x, y, z = cameras.centers.T.astype(np.float32)
    labels = [f"<b>{number}</b>" for number in cameras.numbers]
    numbers = go.Scatter3d(
        x=x, y=y, z=z, mode="text", text=labels, textposition="top center", showlegend=False, name="numbers",
        textfont={"color": TEXT_COLOR, "size": 16},
        hovertemplate="view %{text}<br>x %{x:.2f}, y %{y:.2f}, z %{z:.2f}<extra></extra>",
    )  # fmt: skip
    return [lines, numbers]


def frustum_size(cameras: Cameras | None, low: np.ndarray, high: np.ndarray) -> float:
    """How far a drawn frustum reaches: visible in the scene, but not into its neighbour."""
    extent = float((high - low).max())
    if cameras is None or len(cameras.centers) < 2:
        return 0.08 * extent
    step = np.linalg.norm(np.diff(cameras.centers, axis=0), axis=-1)
    return float(np.clip(0.6 * np.median(step), 0.04 * extent, 0.08 * extent))


def frame_of(cloud: Cloud, *cameras: Cameras | None) -> tuple[np.ndarray, np.ndarray]:
    """(low, high) corners of what a figure shows: the middle of the cloud and all cameras."""
    corners = [cloud.bounds] + [c.centers for c in cameras if c is not None]
    corners = np.concatenate(corners)
    low, high = corners.min(0), corners.max(0)
    margin = 0.06 * (high - low).max() + 1e-6
    return low - margin, high + margin


def scene_layout(low: np.ndarray, high: np.ndarray) -> dict:
    """Equal scale on the three axes, fixed ranges (a slider must not make the scene jump)."""
    span = (high - low) / np.cbrt(np.prod(high - low))
    axis = {
        "showbackground": False, "gridcolor": GRID_LINE, "zerolinecolor": GRID_LINE, "color": TEXT_COLOR,
        "showspikes": False, "nticks": 6, "gridwidth": 1, "tickfont": {"size": 11},
    }  # fmt: skip
    titles = ("x, right", "y, down", "z, forward")
    axes = {
        f"{letter}axis": {**axis, "range": [*ends], "title": {"text": title, "font": {"size": 12}}}
        for letter, title, *ends in zip("xyz", titles, low.tolist(), high.tolist(), strict=True)
    }
    aspect = dict(zip("xyz", span.tolist(), strict=True))
    return {**axes, "aspectmode": "manual", "aspectratio": aspect, "camera": CAMERA, "dragmode": "orbit"}


def draw_scene(
    cloud: Cloud, cameras: Cameras | None = None, true_cameras: Cameras | None = None,
    percentile: float = 0.0, views=None, title: str | None = None, unit: str = WORLD_UNIT,
    frame: tuple[np.ndarray, np.ndarray] | None = None,
) -> go.Figure:  # fmt: skip
    """A scene one can turn: points, predicted cameras (solid, numbered), true cameras (dashed).

    Args:
        cloud: The points; at most `max_points()` of them are drawn.
        cameras: Cameras in the same world.
        true_cameras: The truth to compare with, in the same world and scale.
        percentile: Hide this share of the points (0 … 100), the least trusted first.
        views: Which views' points to draw, counted from 0; None draws all.
        title: Text above the figure.
        unit: What 1.0 means on the axes.
        frame: Low and high corner of what is shown, so that two figures compare; None fits the scene.
    """
    low, high = frame or frame_of(cloud, cameras, true_cameras)
    size = frustum_size(true_cameras or cameras, low, high)
    traces = [point_trace(cloud, percentile, views)]
    if cameras is not None:
        traces += camera_traces(cameras, size)
    if true_cameras is not None:
        traces += camera_traces(true_cameras, size, truth=True, numbered=cameras is None)
    note = f"{unit}, first camera's frame"
    if len(cloud) > max_points():
        note += f"; a sample of {max_points():,} of {len(cloud):,} points"
    compared = cameras is not None and true_cameras is not None
    return scene_figure(traces, low, high, title, note, showlegend=compared)


def scene_figure(traces: list, low, high, title: str | None, note: str, **options) -> go.Figure:
    """One 3-D panel that shows the box from `low` to `high`, with a note in its lower right corner."""
    corner = {"x": 1, "y": 0, "xref": "paper", "yref": "paper", "xanchor": "right", "yanchor": "bottom"}
    options |= {"paper_bgcolor": SPACE, "scene": scene_layout(low, high)}
    fig = go.Figure(traces, layout(height=440, title_text=title, **options))
    fig.add_annotation(text=note, showarrow=False, font_size=11, **corner)
    return fig.update_layout(legend={**LEGEND_ABOVE, "x": 1, "xanchor": "right"})
