"""Scores with how sure they are: a point, an interval around it, and the runs it was made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from vggt_lite.viz.style import TEXT_COLOR, layout, marker_of

ORDERS = {None: 0, "lowest first": 1, "highest first": -1}


@dataclass(frozen=True)
class Interval:
    """A score, the range it may lie in, and single runs where there are few enough to show."""

    middle: float
    low: float
    high: float
    runs: Sequence[float] = ()

    @staticmethod
    def of_runs(runs: Sequence[float]) -> "Interval":
        """Mean ± standard deviation of a few runs; one run alone has no width."""
        values = np.asarray(runs, float)
        spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
        middle = float(values.mean())
        return Interval(middle, middle - spread, middle + spread, tuple(values.tolist()))


Panels = Mapping[str, Mapping[str, Interval]]  # title of a panel → name of a row → its score


def draw_intervals(
    panels: Panels, units: Mapping[str, str] | str, *, order: str | None = None, title: str | None = None,
    number: str = ".3f",
) -> go.Figure:  # fmt: skip
    """Panels side by side with one row for each name: the score, its interval, its runs as small rings.

    A name keeps its colour and its sign where rows are ordered, so that one sees who changed places. The
    number of traces depends on the panels and names only, as `show_with_sliders` wants it.

    Args:
        panels: Title → name → `Interval`; all panels have the same names.
        units: What the axis of each panel shows, by its title; one text is for all.
        order: "lowest first" or "highest first" puts the best row on top; None keeps the order given.
        number: Format of the scores.

    Raises:
        ValueError: nothing to draw, panels of different rows, an unknown order, a score that is not finite.
    """
    if order not in ORDERS:
        raise ValueError(f"order={order!r} is unknown; choose one of {list(ORDERS)}.")
    names = list(next(iter(panels.values()), ()))
    if not names or any(list(rows) != names for rows in panels.values()):
        raise ValueError(f"panels must all have the same rows, at least one; got {dict(panels)}.")
    spacing = 0.24 if order else 0.12
    titles = [folded(panel) for panel in panels]
    fig = make_subplots(1, len(panels), subplot_titles=titles, horizontal_spacing=spacing)
    for column, (panel, rows) in enumerate(panels.items(), start=1):
        axis = str(column) if column > 1 else ""
        axes = {"xref": f"x{axis} domain", "yref": f"y{axis}", "showarrow": False}
        from_top = sorted(names, key=lambda name, rows=rows: ORDERS[order] * rows[name].middle)
        for index, (label, score) in enumerate(rows.items()):
            values = [score.low, score.middle, score.high]
            if not np.isfinite(values).all() or values != sorted(values):
                raise ValueError(f"{label}: low ≤ middle ≤ high must be finite numbers; got {values}.")
            place, marker = from_top.index(label), marker_of(index, 12)
            color = marker["color"]
            error = {"array": [score.high - score.middle], "arrayminus": [score.middle - score.low]}
            error |= {"type": "data", "symmetric": False, "thickness": 3, "width": 6, "color": color}
            hover = f"%{{x:{number}}} ({score.low:{number}} to {score.high:{number}})<extra>{label}</extra>"
            main = go.Scatter(
                x=[score.middle], y=[place], mode="markers", name=label, hovertemplate=hover, marker=marker,
                error_x=error,
            )  # fmt: skip
            ring = {"color": color, "symbol": "circle-open", "size": 8}
            runs = go.Scatter(
                x=list(score.runs), y=[place + 0.25] * len(score.runs), mode="markers", marker=ring,
                hovertemplate=f"%{{x:{number}}}<extra>one of {label}</extra>",
            )  # fmt: skip
            fig.add_traces([main, runs], rows=1, cols=column)
            if order or column == 1:  # rows in one order are named once
                fig.add_annotation(x=0, y=place, text=f"{label} ", xanchor="right", **axes)
            text = f"{score.middle:{number}}"
            if float(text.rstrip("%")) == 0:
                text = text.lstrip("-")  # a minus before zero says nothing
            fig.add_annotation(x=1, y=place, text=f" {text}", xanchor="left", **axes)
        unit = units if isinstance(units, str) else units[panel]
        fig.update_xaxes(title_text=folded(unit), row=1, col=column)
    fig.update_xaxes(zerolinecolor=TEXT_COLOR, zerolinewidth=1.5)  # often "no difference"
    fig.update_xaxes(tickformat="~g", nticks=4, tickangle=0)
    fig.update_yaxes(range=[len(names) - 0.4, -0.6], visible=False)
    fig.update_annotations(font_size=13)
    fig.update_layout(layout(height=160 + 38 * len(names), title_text=title, showlegend=False))
    return fig.update_layout(margin={"l": 170, "r": 60, "t": 85, "b": 60})


def folded(text: str) -> str:
    """A title in lines of about 28 letters: panels stand side by side."""
    return "<br>".join(wrap(text, 28))
