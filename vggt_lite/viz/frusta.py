"""Cameras that move from step to step: frusta, the way their centres came, and where they should arrive."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from PIL import Image, ImageDraw, ImageFont

from vggt_lite.viz.cloud import Cameras, Cloud
from vggt_lite.viz.look import COLORS, TEXT, WORLD_UNIT, layout, printable, small_png
from vggt_lite.viz.scene import camera_traces, point_trace, scene_layout

TRAIL = COLORS[3]
FRUSTUM = 0.3  # how far a frustum reaches, as a share of the cameras' extent


def trails(path: Sequence[Cameras]) -> np.ndarray:
    """Where each camera stood at every step, (S, K, 3).

    Raises:
        ValueError: no step, or steps with different numbers of cameras.
    """
    counts = {len(cameras.centers) for cameras in path}
    if len(counts) != 1:
        raise ValueError(
            f"path must hold the same cameras at every step; their numbers are {sorted(counts)}."
        )
    return np.stack([cameras.centers for cameras in path], axis=1)


def extent_of(*groups: Cameras) -> float:
    """The longest side of the box that holds all centres; 1 where there is only one place."""
    centers = np.concatenate([cameras.centers for cameras in groups])
    return float((centers.max(0) - centers.min(0)).max()) or 1.0


def surroundings(cameras: Cameras) -> tuple[np.ndarray, np.ndarray]:
    """Low and high corner of what is shown: the cameras, with room to arrive from, and what they look at."""
    extent = extent_of(cameras)
    seen = np.concatenate([cameras.centers, cameras.frusta(extent).reshape(-1, 3)])
    return seen.min(0) - 0.15 * extent, seen.max(0) + 0.15 * extent


def draw_frusta(
    cloud: Cloud, path: Sequence[Cameras], step: int, true_cameras: Cameras, title: str | None = None
) -> go.Figure:
    """Cameras at one step (solid, numbered), the way they came, the true ones (dashed), the scene's points.

    Args:
        cloud: Points of the scene, in the world of the cameras; those near the true cameras are seen.
        path: The cameras at each step.
        step: Which of them to draw; what is shown around them does not depend on it.
        true_cameras: Where they should arrive.
        title: Text above the figure.
    """
    ways = trails(path)
    low, high = surroundings(true_cameras)
    size = FRUSTUM * extent_of(true_cameras)
    so_far = np.where(np.arange(len(path))[:, None] <= step, ways, np.nan)  # (S, K, 3)
    gap = np.full((len(ways), 1, 3), np.nan)
    x, y, z = np.concatenate([so_far, gap], axis=1).reshape(-1, 3).T.astype(np.float32)
    look = {"line": {"color": TRAIL, "width": 5}, "marker": {"color": TRAIL, "size": 3}}
    trail = go.Scatter3d(x=x, y=y, z=z, mode="lines+markers", name="their way", hoverinfo="skip", **look)
    truth = camera_traces(true_cameras, size, truth=True, numbered=False)
    return go.Figure(
        [point_trace(cloud), *camera_traces(path[step], size), trail, *truth],
        layout(
            height=460,
            title={"text": title, "font": {"size": 15}} if title else None,
            scene=scene_layout(low, high),
            showlegend=True,
            legend={"orientation": "h", "y": 1, "x": 1, "xanchor": "right", "yanchor": "bottom"},
            annotations=[
                {"text": f"{WORLD_UNIT}, first camera's frame", "showarrow": False, "x": 1, "y": 0,
                 "xref": "paper", "yref": "paper", "xanchor": "right", "yanchor": "bottom",
                 "font": {"size": 11}}
            ],
        ),
    )  # fmt: skip


def wedges(cameras: Cameras, depth: float) -> np.ndarray:
    """Frusta seen from above: centre, left and right edge at half height, as (S, 3, 2) of x and z."""
    frusta = cameras.frusta(depth)  # (S, 5, 3): centre, corners clockwise from top left
    left, right = (frusta[:, 1] + frusta[:, 4]) / 2, (frusta[:, 2] + frusta[:, 3]) / 2
    return np.stack([frusta[:, 0], left, right], axis=1)[..., [0, 2]]


def preview_frusta(
    path: Sequence[Cameras], true_cameras: Cameras, names: Sequence[str], size: int = 150
) -> bytes:
    """PNG bytes: the cameras of every step from above, side by side; the true ones dashed.

    Args:
        path, true_cameras: As for `draw_frusta`.
        names: What each step is called.
        size: Pixels of a panel's side.
    """
    trails(path)  # the same cameras at every step, or an error
    size_of_wedge = FRUSTUM * extent_of(*path, true_cameras)
    drawn = [wedges(cameras, size_of_wedge) for cameras in (true_cameras, *path)]
    corners = np.concatenate([wedge.reshape(-1, 2) for wedge in drawn])
    low, high = corners.min(0), corners.max(0)
    font, margin, top = ImageFont.load_default(12), 14, 20
    zoom = (size - 2 * margin) / float((high - low).max())
    height = 2 * margin + round(zoom * float(high[1] - low[1]))
    sheet = Image.new("RGBA", (len(path) * size, top + height + 18), (0, 0, 0, 0))
    pen = ImageDraw.Draw(sheet)

    def place(points: np.ndarray, panel: int) -> np.ndarray:
        x, z = np.moveaxis((points - (low + high) / 2) * zoom, -1, 0)
        return np.stack([(panel + 0.5) * size + x, top + height / 2 - z], -1)  # z, forward, goes up

    for panel, name in enumerate(names):
        pen.text(((panel + 0.5) * size, 10), printable(name), fill=TEXT, font=font, anchor="mm")
        for wedge in place(drawn[0], panel):
            _outline(pen, wedge, COLORS[1], dashed=True)
        for number, wedge in zip(path[panel].numbers, place(drawn[panel + 1], panel), strict=True):
            _outline(pen, wedge, COLORS[0], dashed=False)
            at = tuple(wedge[0] + (0, 8))
            pen.text(
                at, str(number), fill=COLORS[0], font=font, anchor="mm", stroke_width=1, stroke_fill="white"
            )
    words = "from above: x to the right, z (forward) up; predicted solid, true dashed"
    pen.text(
        (sheet.width / 2, sheet.height - 8), words, fill=TEXT, font=ImageFont.load_default(11), anchor="mm"
    )
    return small_png(sheet)


def _outline(pen: ImageDraw.ImageDraw, corners: np.ndarray, color: str, dashed: bool) -> None:
    """A triangle (3, 2) in pixels."""
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        pieces = max(2, int(np.hypot(*(end - start)) / 3)) if dashed else 1
        stops = np.linspace(start, end, pieces + 1)
        for a, b in list(zip(stops[:-1], stops[1:], strict=True))[::2]:
            pen.line([*a, *b], fill=color, width=2)
