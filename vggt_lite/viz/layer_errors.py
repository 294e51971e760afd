"""One number for every stage of the network, in the order in which they run, on a logarithmic axis."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from vggt_lite.viz.style import COLORS, GRID, LEGEND_ABOVE, TEXT, layout, line_of, marker_of

Series = Mapping[str, Mapping[str, float]]  # name of a line → stage → value
PARTS = {  # beginning of a stage's name → what readers call that part; an output belongs to its head
    "vit.": "ViT", "agg.": "frame, global", "cam.": "camera", "out.pose": "camera", "depth.": "depth",
    "out.depth": "depth", "point.": "points", "out.world": "points", "track.": "tracks", "out.": "tracks",
}  # fmt: skip


def prepare(series: Series) -> tuple[list[str], dict[str, np.ndarray]]:
    """Stages in order, and each line's values on them; a missing stage is NaN, a value ≤ 0 the floor.

    Raises:
        ValueError: no line, or more than four.
    """
    if not 1 <= len(series) <= len(COLORS):
        raise ValueError(f"{len(series)} lines: give one to {len(COLORS)}, so that they can be told apart.")
    stages: list[str] = []
    for line in series.values():  # a stage that an earlier line lacks follows its predecessor
        place = 0
        for stage in line:
            if stage in stages:
                place = stages.index(stage) + 1
            else:
                stages.insert(place, stage)
                place += 1
    if not stages:
        raise ValueError("series holds no stage: give {line: {stage: value}}.")
    values = {name: np.array([line.get(s, np.nan) for s in stages], float) for name, line in series.items()}
    every = np.concatenate(list(values.values()))
    seen = every[np.isfinite(every) & (every > 0)]
    low, high = (seen.min(), seen.max()) if len(seen) else (1.0, 1.0)
    for line in values.values():
        line[line <= 0] = low / 2  # a logarithm has no zero: exact agreement lies below all the rest
        line[np.isinf(line)] = high * 10
    return stages, values


def parts_of(stages: list[str]) -> list[tuple[str, int, int]]:
    """(label, first, last) of every run of stages that belong to one part."""
    runs: list[tuple[str, int, int]] = []
    for index, stage in enumerate(stages):
        label = next((label for start, label in PARTS.items() if stage.startswith(start)), "")
        label = label or stage.split(".")[0]
        if runs and runs[-1][0] == label:
            runs[-1] = (label, runs[-1][1], index)
        else:
            runs.append((label, index, index))
    return runs


def draw_layer_errors(series: Series, ylabel: str, limit: float | None = None) -> go.Figure:
    """A line a series over the stages; where a `limit` is given, a dashed line that none should cross.

    Args:
        series: Name of each line → stage → value. At most four lines.
        ylabel: What the vertical axis means.
        limit: The largest value that is still fine.
    """
    stages, values = prepare(series)
    fig = go.Figure(layout=layout(height=380))
    for index, (name, line) in enumerate(values.items()):
        fig.add_trace(
            go.Scatter(
                x=np.arange(len(stages)), y=line, name=name, customdata=stages, mode="lines+markers",
                line=line_of(index, 1.5), marker=marker_of(index, 6),
                hovertemplate="%{customdata}<br>%{y:.2g}<extra>" + name + "</extra>",
            )
        )  # fmt: skip
    if limit is not None:
        fig.add_hline(limit, line={"color": TEXT, "dash": "dash", "width": 1.5})
    runs = parts_of(stages)
    for _, first, _ in runs[1:]:
        fig.add_vline(first - 0.5, line={"color": GRID, "width": 1})
    ticks = {"tickvals": [(a + b) / 2 for _, a, b in runs], "ticktext": [label for label, _, _ in runs]}
    fig.update_xaxes(**ticks, showgrid=False, zeroline=False, title_text="stages, in the order they run")
    fig.update_yaxes(title_text=ylabel, type="log", exponentformat="power", dtick=1)
    legend = {**LEGEND_ABOVE, "x": 0}
    return fig.update_layout(showlegend=len(series) > 1, legend=legend, margin={"l": 70, "b": 60})
