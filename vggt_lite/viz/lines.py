"""Lines: terms of a log over steps, found error over claimed error, a number for each stage of a network."""

from collections.abc import Mapping, Sequence
from itertools import groupby

import numpy as np
import plotly.graph_objects as go

from vggt_lite.viz.style import (
    COLORS,
    GRID,
    LEGEND_ABOVE,
    TEXT_COLOR,
    as_array,
    layout,
    line_of,
    log_axis,
    marker_of,
)

PARTS = {  # beginning of a stage's name → what readers call that part; an output belongs to its head
    "vit.": "ViT", "agg.": "frame, global", "cam.": "camera", "out.pose": "camera", "depth.": "depth",
    "out.depth": "depth", "point.": "points", "out.world": "points", "track.": "tracks", "out.": "tracks",
}  # fmt: skip


def curve(records: list[dict], key: str, x: str = "step", smooth: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """(x, values) of one term over the records that carry it; `smooth` averages so many neighbours."""
    pairs = [(r[x], r[key]) for r in records if isinstance(r.get(key), (int, float)) and x in r]
    if not pairs:
        known = sorted({k for r in records for k, v in r.items() if isinstance(v, (int, float))})
        raise ValueError(f"no record of the log has both {x!r} and {key!r}; it holds {known}.")
    steps, values = np.array(pairs, float).T
    if smooth > 1 and len(values) >= smooth:
        values = np.convolve(values, np.ones(smooth) / smooth, "valid")
        steps = steps[smooth - 1 :]
    return steps, values


def curve_trace(steps: np.ndarray, values: np.ndarray, name: str, index: int, **options) -> go.Scatter:
    """The index-th curve of a figure."""
    values = values.astype(np.float32)
    return go.Scatter(x=steps, y=values, name=name, mode="lines", line=line_of(index), **options)


def draw_curves(records, keys, x="step", smooth=1, log=True, title=None, ylabel="loss") -> go.Figure:
    """Terms of a training log against steps; colour and dash differ from term to term.

    Args:
        records: One dictionary for each place on the horizontal axis, such as the lines of a training log.
        keys: Names of the terms to draw.
        x: The record's field on the horizontal axis.
        smooth: Average over so many records.
        log: Logarithmic vertical axis.
    """
    fig = go.Figure(layout=layout(height=320, title_text=title, showlegend=True))
    for index, key in enumerate(keys):
        fig.add_trace(curve_trace(*curve(records, key, x, smooth), key, index))
    fig.update_xaxes(title_text=x, linecolor=TEXT_COLOR)
    values = np.concatenate([trace.y for trace in fig.data])
    values = values[values > 0] if log else values
    scale = log_axis(values.min(), values.max()) if log and len(values) else {"tickformat": "~g"}
    fig.update_yaxes(title_text=ylabel, linecolor=TEXT_COLOR, **scale)
    return fig.update_layout(margin={"l": 60, "b": 45})


def draw_calibration(series: Mapping[str, tuple[Sequence, Sequence]], unit: str) -> go.Figure:
    """Found error against claimed error, both logarithmic; the dashed line is where claims come true.

    Above the line errors are larger than claimed (too sure of itself), below it smaller (too modest).

    Args:
        series: Name → (claimed (K,), found (K,)): mean errors of K groups of pixels.
        unit: What an error of 1 means.

    Raises:
        ValueError: no series, more than can be told apart, or errors that a logarithm cannot show.
    """
    _check_count(series, "{name: (claimed, found)}")
    fig, ends = go.Figure(layout=layout(width=560, height=400, showlegend=True)), []
    for index, (name, (claimed, found)) in enumerate(series.items()):
        pairs = np.stack([as_array(claimed), as_array(found)], -1).astype(np.float64)
        if pairs.ndim != 2 or not (pairs > 0).all() or not np.isfinite(pairs).all():
            raise ValueError(f"{name}: claimed and found must be (K,) numbers above 0; both axes are log.")
        x, y = pairs[pairs[:, 0].argsort()].T
        ends += [pairs.min(), pairs.max()]
        marker = marker_of(index, 9)
        hover = f"claimed %{{x:.3f}}, found %{{y:.3f}} {unit}<extra>{name}</extra>"
        look = {"marker": marker, "line": {"color": marker["color"], "width": 2}, "hovertemplate": hover}
        fig.add_trace(go.Scatter(x=x, y=y, mode="lines+markers", name=name, **look))
    ends = [min(ends) / 1.3, max(ends) * 1.3]  # a little wider than the data
    dashed = {"color": TEXT_COLOR, "dash": "dash", "width": 1.5}
    fig.add_trace(go.Scatter(x=ends, y=ends, mode="lines", line=dashed, name="as claimed"))
    axis = {"range": np.log10(ends).tolist(), "linecolor": TEXT_COLOR}
    axis |= log_axis(*ends)
    fig.update_xaxes(title_text=f"claimed error ({unit})", **axis)
    fig.update_yaxes(title_text=f"found error ({unit})", **axis)
    return fig.update_layout(margin={"l": 65, "b": 50}, legend={"x": 0.02, "y": 0.98})


def draw_layer_errors(
    series: Mapping[str, Mapping[str, float]], ylabel: str, limit: float | None = None
) -> go.Figure:
    """A line a series over the stages; where a `limit` is given, a dashed line that none should cross.

    A value of 0, which a logarithm lacks, is drawn below all others, and an infinite one above.

    Args:
        series: Name of each line → stage → value, in the order in which stages run. At most four lines.
        ylabel: What the vertical axis means.
        limit: The largest value that is still fine.
    """
    _check_count(series, "{line: {stage: value}}")
    stages: list[str] = []
    for line in series.values():  # a stage that an earlier line lacks follows its predecessor
        place = 0
        for stage in line:
            if stage not in stages:
                stages.insert(place, stage)
            place = stages.index(stage) + 1
    if not stages:
        raise ValueError("series holds no stage: give {line: {stage: value}}.")
    values = np.array([[line.get(stage, np.nan) for stage in stages] for line in series.values()], float)
    seen = values[np.isfinite(values) & (values > 0)]
    low, high = (seen.min(), seen.max()) if len(seen) else (1.0, 1.0)
    values[values <= 0] = low / 2
    values[np.isinf(values)] = 10 * high
    fig = go.Figure(layout=layout(height=380))
    for index, (name, line) in enumerate(zip(series, values, strict=True)):
        hover = "%{customdata}<br>%{y:.2g}<extra>" + name + "</extra>"
        look = {"line": line_of(index, 1.5), "marker": marker_of(index, 6), "hovertemplate": hover}
        x = np.arange(len(stages))
        fig.add_trace(go.Scatter(x=x, y=line, name=name, customdata=stages, mode="lines+markers", **look))
    if limit is not None:
        fig.add_hline(limit, line={"color": TEXT_COLOR, "dash": "dash", "width": 1.5})
    runs = [list(run) for _, run in groupby(range(len(stages)), lambda index: _part_of(stages[index]))]
    for run in runs[1:]:
        fig.add_vline(run[0] - 0.5, line={"color": GRID, "width": 1})
    middles, names = [(run[0] + run[-1]) / 2 for run in runs], [_part_of(stages[run[0]]) for run in runs]
    fig.update_xaxes(tickvals=middles, ticktext=names, showgrid=False, zeroline=False)
    fig.update_xaxes(title_text="stages, in the order they run")
    fig.update_yaxes(title_text=ylabel, type="log", exponentformat="power", dtick=1)
    legend = {**LEGEND_ABOVE, "x": 0}
    return fig.update_layout(showlegend=len(series) > 1, legend=legend, margin={"l": 70, "b": 60})


def _part_of(stage: str) -> str:
    """What readers call the part of the network that a stage belongs to."""
    known = (label for start, label in PARTS.items() if stage.startswith(start))
    return next(known, stage.split(".")[0])


def _check_count(series: Mapping, wanted: str) -> None:
    if not 1 <= len(series) <= len(COLORS):
        raise ValueError(
            f"{len(series)} lines in series; give 1 to {len(COLORS)}, which can be told apart: {wanted}."
        )
