"""Clouds side by side in one frame, seen from one place: two answers to the same question."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from vggt_lite.viz.cloud import Cameras, Cloud
from vggt_lite.viz.scene import camera_traces, frame_of, frustum_size, point_trace, scene_layout
from vggt_lite.viz.style import PAGE, SPACE, layout, max_points

Cases = Mapping[str, tuple[Cloud, Cameras | None]]  # title → the points, and the cameras if there are any
DOT = 1.8  # pixels across: panels are small


def common_frame(cases: Cases) -> tuple[np.ndarray, np.ndarray]:
    """(low, high) corners of a box that holds the middle of every cloud, and every camera.

    Raises:
        ValueError: no case.
    """
    if not cases:
        raise ValueError("cases is empty: give {title: (cloud, cameras or None)}.")
    boxes = [frame_of(cloud, cameras) for cloud, cameras in cases.values()]
    return np.min([low for low, _ in boxes], axis=0), np.max([high for _, high in boxes], axis=0)


def draw_side_by_side(cases: Cases) -> go.Figure:
    """One panel for each case, all with the same box, viewpoint and scale. Each panel turns by itself.

    Args:
        cases: Title → (cloud, cameras or None), in one world; at most `max_points()` points in all.
    """
    low, high = common_frame(cases)
    fig = make_subplots(
        1, len(cases), specs=[[{"type": "scene"}] * len(cases)], subplot_titles=list(cases),
        horizontal_spacing=0.01,
    )  # fmt: skip
    for column, (cloud, cameras) in enumerate(cases.values(), start=1):
        points = point_trace(cloud, limit=max_points() // len(cases))
        fig.add_trace(points.update(marker_size=DOT), 1, column)
        if cameras is not None:
            for trace in camera_traces(cameras, frustum_size(cameras, low, high)):
                fig.add_trace(trace.update(showlegend=False), 1, column)
    fig.update_scenes(scene_layout(low, high))
    panel = min(310, PAGE // len(cases))
    size = {"height": 350, "width": 30 + panel * len(cases)}
    fig.update_layout(layout(**size, showlegend=False, paper_bgcolor=SPACE))
    fig.update_annotations(font_size=13)
    return fig
