"""Cameras that move from step to step: frusta, the path of their centres, and where they should arrive."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from vggt_lite.viz.cloud import Cameras, Cloud
from vggt_lite.viz.scene import camera_traces, point_trace, scene_figure
from vggt_lite.viz.style import TEXT_COLOR, WORLD_UNIT, with_gaps

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


def draw_frusta(
    cloud: Cloud, path: Sequence[Cameras], step: int, true_cameras: Cameras, title: str | None = None
) -> go.Figure:
    """Cameras at one step (solid, numbered), their paths, the true ones (dashed), the scene's points.

    Args:
        cloud: Points of the scene, in the world of the cameras; those near the true cameras are seen.
        path: The cameras at each step.
        step: Which of them to draw; what is shown around them does not depend on it.
        true_cameras: Where they should arrive.
        title: Text above the figure.
    """
    ways, centers = trails(path), true_cameras.centers
    extent = float(np.ptp(centers, axis=0).max()) or 1.0
    seen = np.concatenate([centers, true_cameras.frusta(extent).reshape(-1, 3)])
    margin = 0.15 * extent  # room to arrive from
    low, high, size = seen.min(0) - margin, seen.max(0) + margin, FRUSTUM * extent
    so_far = np.where(np.arange(len(path))[:, None] <= step, ways, np.nan)  # (S, K, 3)
    x, y, z = with_gaps(*so_far.swapaxes(0, 1)).T.astype(np.float32)
    look = {"line": {"color": TEXT_COLOR, "width": 2}, "marker": {"color": TEXT_COLOR, "size": 2.5}}
    look |= {"mode": "lines+markers", "name": "path of each camera", "hoverinfo": "skip"}
    trail = go.Scatter3d(x=x, y=y, z=z, **look)
    truth = camera_traces(true_cameras, size, truth=True, numbered=False)
    traces = [point_trace(cloud), *camera_traces(path[step], size), trail, *truth]
    return scene_figure(traces, low, high, title, f"{WORLD_UNIT}, first camera's frame", showlegend=True)
