"""One number for every stage of the network, in the order in which they run, on a logarithmic axis."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from PIL import Image, ImageDraw, ImageFont

from vggt_lite.viz.look import COLORS, GRID, TEXT, layout, printable, small_png

Series = Mapping[str, Mapping[str, float]]  # name of a line → stage → value
SYMBOLS = ("circle", "x", "diamond", "square")
DASHES = ("solid", "dash", "dot", "dashdot")
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


def draw_stages(series: Series, ylabel: str, limit: float | None = None) -> go.Figure:
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
                line={"color": COLORS[index], "dash": DASHES[index], "width": 1.5},
                marker={"symbol": SYMBOLS[index], "size": 6},
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
    fig.update_yaxes(title_text=ylabel, type="log", gridcolor=GRID, exponentformat="power", dtick=1)
    legend = {"orientation": "h", "y": 1, "yanchor": "bottom", "x": 0}
    fig.update_layout(showlegend=len(series) > 1, legend=legend, margin={"l": 70, "b": 60})
    return fig


def preview_stages(series: Series, ylabel: str, limit: float | None = None, size=(640, 300)) -> bytes:
    """PNG bytes of `draw_stages`."""
    stages, values = prepare(series)
    logs = {name: np.log10(line) for name, line in values.items()}
    every = np.concatenate([*logs.values(), [] if limit is None else [np.log10(limit)]])
    low, high = np.floor(np.nanmin(every)), np.ceil(np.nanmax(every)) + 1e-9
    left, top, right, bottom = 46, 38, size[0] - 8, size[1] - 34
    picture = Image.new("RGBA", size, (0, 0, 0, 0))
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(11)

    def x_of(index):
        return left + 6 + (right - left - 12) * np.asarray(index) / max(len(stages) - 1, 1)

    def y_of(log):
        return bottom - (bottom - top) * (np.asarray(log) - low) / max(high - low, 1e-9)

    for decade in range(int(low), int(high) + 1, max(1, round((high - low) / 6))):
        pen.line([left, y_of(decade), right, y_of(decade)], fill="#CCCCCC")
        pen.text((left - 5, y_of(decade)), f"1e{decade}", fill=TEXT, font=font, anchor="rm")
    for label, first, last in parts_of(stages):
        if first:
            pen.line([x_of(first - 0.5), top, x_of(first - 0.5), bottom], fill="#CCCCCC")
        if (room := x_of(last + 0.5) - x_of(first - 0.5)) < font.getlength(label):
            label = label[: max(1, int(len(label) * room / font.getlength(label)) - 1)] + "."
        pen.text((x_of((first + last) / 2), bottom + 9), label, fill=TEXT, font=font, anchor="mm")
    if limit is not None:
        y = float(y_of(np.log10(limit)))
        for x in range(left, right, 10):
            pen.line([x, y, x + 5, y], fill=TEXT, width=2)
    x_legend = left
    for index, (name, line) in enumerate(logs.items()):
        known = np.isfinite(line)
        path = np.stack([x_of(np.arange(len(stages))), y_of(line)], 1)[known]
        pen.line(path.ravel().tolist(), fill=COLORS[index])
        for x, y in path:
            _mark(pen, x, y, index)
        if len(series) > 1:
            _mark(pen, x_legend + 4, 26, index)
            pen.text((x_legend + 12, 26), printable(name), fill=TEXT, font=font, anchor="lm")
            x_legend += 26 + int(font.getlength(name))
    pen.text((4, 4), printable(ylabel), fill=TEXT, font=font)
    pen.text(
        ((left + right) / 2, size[1] - 10), "stages, in the order they run", fill=TEXT, font=font, anchor="mm"
    )
    return small_png(picture)


def _mark(pen: ImageDraw.ImageDraw, x: float, y: float, index: int, r: float = 2.5) -> None:
    """A disc, cross, diamond or square, as in the live figure."""
    color = COLORS[index]
    if index == 0:
        pen.ellipse([x - r, y - r, x + r, y + r], fill=color)
    elif index == 1:
        pen.line([x - r, y - r, x + r, y + r], fill=color, width=2)
        pen.line([x - r, y + r, x + r, y - r], fill=color, width=2)
    elif index == 2:
        pen.polygon([(x, y - r - 1), (x + r + 1, y), (x, y + r + 1), (x - r - 1, y)], fill=color)
    else:
        pen.rectangle([x - r, y - r, x + r, y + r], fill=color)
