"""Calibration: the error that confidence claims against the error that is found."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from vggt_lite.viz.style import COLORS, TEXT, as_array, layout, marker_of

Series = Mapping[str, tuple[object, object]]  # name → (claimed, found), each (K,)


def points_of(series: Series) -> dict[str, np.ndarray]:
    """Each series as points (K, 2) of claimed and found error, sorted by the claim.

    Raises:
        ValueError: no series, more than can be told apart, or errors that a logarithm cannot show.
    """
    if not 1 <= len(series) <= len(COLORS):
        raise ValueError(f"{len(series)} series; give 1 to {len(COLORS)}: {{name: (claimed, found)}}.")
    points = {}
    for name, (claimed, found) in series.items():
        pairs = np.stack([as_array(claimed), as_array(found)], -1).astype(np.float64)
        if pairs.ndim != 2 or not (pairs > 0).all() or not np.isfinite(pairs).all():
            raise ValueError(f"{name}: claimed and found must be (K,) numbers above 0; both axes are log.")
        points[name] = pairs[pairs[:, 0].argsort()]
    return points


def span_of(points: Mapping[str, np.ndarray]) -> tuple[float, float]:
    """Range of both axes, a little wider than the data."""
    every = np.concatenate(list(points.values()))
    return float(every.min()) / 1.3, float(every.max()) * 1.3


def draw_calibration(series: Series, unit: str) -> go.Figure:
    """Found error against claimed error, both logarithmic; the dashed line is where claims come true.

    Above the line errors are larger than claimed (too sure of itself), below it smaller (too modest).

    Args:
        series: Name → (claimed (K,), found (K,)): mean errors of K groups of pixels.
        unit: What an error of 1 means.
    """
    points = points_of(series)
    low, high = span_of(points)
    fig = go.Figure(layout=layout(width=560, height=400, showlegend=True))
    dashed = {"color": TEXT, "dash": "dash", "width": 1.5}
    fig.add_trace(go.Scatter(x=[low, high], y=[low, high], mode="lines", line=dashed, name="as claimed"))
    for index, (name, pairs) in enumerate(points.items()):
        marker = marker_of(index, 9)
        hover = f"claimed %{{x:.3f}}, found %{{y:.3f}} {unit}<extra>{name}</extra>"
        look = {"marker": marker, "line": {"color": marker["color"], "width": 2}, "hovertemplate": hover}
        x, y = pairs.T
        fig.add_trace(go.Scatter(x=x, y=y, mode="lines+markers", name=name, **look))
    axis = {"type": "log", "range": np.log10([low, high]).tolist(), "linecolor": TEXT}
    axis |= {"tickvals": ticks(low, high), "tickformat": ".2~g"}
    fig.update_xaxes(title_text=f"claimed error ({unit})", **axis)
    fig.update_yaxes(title_text=f"found error ({unit})", **axis)
    fig.update_layout(margin={"l": 65, "b": 50}, legend={"x": 0.02, "y": 0.98})
    return fig


def ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten between two numbers."""
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    every = (float(f"{digit}e{power}") for power in powers for digit in (1, 2, 5))
    return [tick for tick in every if low <= tick <= high]
