"""Where world points land in pictures: a pinhole camera from above, and errors of a reprojection."""

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from vggt_lite.viz.panels import view_panels
from vggt_lite.viz.style import COLORS, TEXT_COLOR, WORLD_UNIT, as_array, layout, marker_of, with_gaps

LABELS = ("bottom center", "top center", "bottom center", "top center")  # two points may share a pixel


def draw_residuals(images, observed, projected, visibility, title: str = "", numbers=None) -> go.Figure:
    """Errors of a reprojection: a ring where each point was seen, a line to where the model puts it.

    Args:
        images: S views, (3, H, W) or (H, W, 3).
        observed: (S, N, 2) pixels. projected: (S, N, 2) pixels.
        visibility: (S, N) bool; only these are drawn.
        title: Written above, with the root mean square of the errors.
        numbers: What the views are called; None counts from 1.
    """
    observed, projected, seen = as_array(observed), as_array(projected), as_array(visibility).astype(bool)
    fig = view_panels(images, [f"view {n}" for n in numbers or range(1, len(observed) + 1)], top=80)
    for view in range(len(observed)):
        a, b = observed[view][seen[view]], projected[view][seen[view]]
        x, y = with_gaps(a, b).T.astype(np.float32)
        line = {"color": COLORS[1], "width": 2.5}
        error = go.Scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip")
        fig.add_trace(error, 1, view + 1)
        ring = {"size": 7, "symbol": "circle-open", "color": COLORS[0], "line": {"width": 2}}
        x, y = a.T.astype(np.float32)
        length = np.linalg.norm(b - a, axis=-1).astype(np.float32)
        hover = "error %{customdata:.2f} px<extra></extra>"
        rings = go.Scatter(x=x, y=y, mode="markers", marker=ring, customdata=length, hovertemplate=hover)
        fig.add_trace(rings, 1, view + 1)
    return fig.update_layout(title_text=residual_title(observed, projected, seen, title), margin_t=60)


def residual_title(observed: np.ndarray, projected: np.ndarray, seen: np.ndarray, title: str = "") -> str:
    """The title with the root mean square error over all seen points, pixels."""
    rms = np.sqrt(((projected - observed) ** 2).sum(-1)[seen].mean())
    return f"{title}{': ' if title else ''}error {rms:.2f} px (root mean square)"


def draw_projection(points, intrinsics, size: tuple[int, int], unit: str = WORLD_UNIT) -> go.Figure:
    """A pinhole camera at work: seen from above, and the picture it takes.

    Left, each ray from a point to the camera's centre crosses the line z = 1 at x / z. Right, focal length
    and principal point turn that crossing into pixels.

    Args:
        points: (N, 3) in the camera's frame, z > 0; at most four.
        intrinsics: (3, 3) pixels.
        size: (H, W) of the picture.
        unit: What 1.0 means in the left panel.

    Raises:
        ValueError: too many points, or one that is not in front of the camera.
    """
    points, k = as_array(points).astype(np.float64), as_array(intrinsics).astype(np.float64)
    if len(points) > len(COLORS):
        raise ValueError(f"{len(points)} points cannot be told apart; give at most {len(COLORS)}.")
    if not (points[:, 2] > 0).all():
        raise ValueError(f"z must be positive, not {points[:, 2].tolist()}: a point is behind the camera.")
    pixels, (height, width) = (points / points[:, 2:] @ k.T)[:, :2], size
    far = 1.15 * max(points[:, 2].max(), 1.0)
    titles = ["from above", f"the picture, {width} by {height} pixels"]
    fig = make_subplots(1, 2, column_titles=titles, horizontal_spacing=0.14)
    edges = (np.array([0, width]) - k[0, 2]) / k[0, 0]  # x / z of the picture's left and right edge
    wedge = {"x": [edges[0] * far, 0, edges[1] * far], "y": [far, 0, far], "name": "edges"}
    plane = {"x": edges, "y": [1, 1], "name": "z = 1"}
    for line, look in ((wedge, {"dash": "dot"}), (plane, {"width": 4})):
        fig.add_trace(go.Scatter(**line, mode="lines", line={"color": TEXT_COLOR, **look}), 1, 1)
    for number, ((x, _, z), (u, v)) in enumerate(zip(points, pixels, strict=True), start=1):
        marker = marker_of(number - 1, 20 - 4 * number)  # what coincides stays visible
        shared = {"name": f"point {number}", "hoverinfo": "name+x+y", "textposition": "top center"}
        ray = {"x": [0, x / z, x], "y": [0, 1, z], "text": ["", "", str(number)]}
        look = {"line": {"color": marker["color"], "width": 1.5}, "marker": {**marker, "size": [0, 7, 12]}}
        fig.add_trace(go.Scatter(**ray, mode="lines+markers+text", **look, **shared), 1, 1)
        label = {"text": [f"<b>{number}</b> ({u:.0f}, {v:.0f})"], "textposition": LABELS[(number - 1) % 4]}
        spot = go.Scatter(x=[u], y=[v], mode="markers+text", marker=marker, name=shared["name"], **label)
        fig.add_trace(spot.update(hoverinfo="name+x+y", cliponaxis=False), 1, 2)
    fig.update_xaxes(title_text=f"x, right ({unit})", linecolor=TEXT_COLOR, row=1, col=1)
    fig.update_yaxes(title_text=f"z, forward ({unit})", linecolor=TEXT_COLOR, row=1, col=1, scaleanchor="x")
    frame = {"linecolor": TEXT_COLOR, "mirror": True, "row": 1, "col": 2, "constrain": "domain"}
    fig.update_xaxes(title_text="pixels, right", range=[0, width], **frame)
    fig.update_yaxes(title_text="pixels, down", range=[height, 0], scaleanchor="x2", **frame)
    fig.update_layout(layout(height=360, width=820), showlegend=False, margin={"l": 60, "b": 45, "t": 40})
    return fig.update_annotations(font_size=12)
