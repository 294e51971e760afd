"""Figures of evaluation reports: accuracy over thresholds, errors of pairs, scores of single scenes."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from vggt_lite.viz.curves import DASHES
from vggt_lite.viz.look import COLORS, GRID, TEXT, layout

SYMBOLS = ("circle", "square", "triangle-up", "diamond")
MOST_DEGREES = 30  # shown
KINDS = {"larger": "both within", "rotation": "rotation within", "translation": "direction within"}


def style(index: int) -> dict:
    """Colour, dash and symbol by which curve number `index` can be told from the others."""
    turn = index + index // len(COLORS)  # the fifth has the first's colour, but another dash
    return {
        "color": COLORS[index % len(COLORS)],
        "dash": DASHES[turn % len(DASHES)],
        "symbol": SYMBOLS[turn % len(SYMBOLS)],
    }


def accuracy(histogram: list[int]) -> np.ndarray:
    """(30,) per cent of pairs with an error below 1, 2, … 30 degrees, from a histogram of a `Report`."""
    counts = np.asarray(histogram, dtype=float)
    return 100 * counts.cumsum()[:MOST_DEGREES] / max(counts.sum(), 1)


def curves_of(reports: Mapping) -> dict[str, list[int]]:
    """Histograms by the name of their curve: of one report all three kinds, of several the larger error."""
    known = {name: report.histograms for name, report in reports.items() if report.histograms}
    if len(known) == 1:
        (histograms,) = known.values()
        return {KINDS[kind]: histograms[kind] for kind in KINDS}
    return {name: histograms["larger"] for name, histograms in known.items()}


def draw_accuracy(reports: Mapping) -> go.Figure:
    """The curves whose areas are the AUC: share of pairs of views below each threshold.

    Args:
        reports: {name: `Report`}; those without pairs of cameras are left out.
    """
    figure = go.Figure(layout=_layout("per cent of pairs", "threshold, degrees"))
    degrees = np.arange(1, MOST_DEGREES + 1)
    for index, (name, histogram) in enumerate(curves_of(reports).items()):
        look = style(index)
        line = {"color": look["color"], "dash": look["dash"], "width": 2}
        figure.add_trace(
            go.Scatter(x=degrees, y=accuracy(histogram).round(2), name=name, mode="lines", line=line)
        )
    figure.update_yaxes(range=[0, 101])
    return figure


def draw_pair_errors(reports: Mapping, kind: str) -> go.Figure:
    """How often which error occurs: per cent of pairs in each degree, up to 30.

    Args:
        reports: {name: `Report`}. kind: "rotation" or "translation".
    """
    figure = go.Figure(layout=_layout("per cent of pairs", f"{kind} error, degrees"))
    known = {name: report.histograms[kind] for name, report in reports.items() if report.histograms}
    for index, (name, histogram) in enumerate(known.items()):
        counts = np.asarray(histogram, dtype=float)
        share = 100 * counts / max(counts.sum(), 1)
        look, beyond = style(index), share[MOST_DEGREES:].sum()
        line = {"color": look["color"], "dash": look["dash"], "width": 2, "shape": "hv"}
        values = [*share[:MOST_DEGREES].round(3), 0.0]
        label = f"{name} ({beyond:.0f} % beyond {MOST_DEGREES}°)"
        figure.add_trace(
            go.Scatter(x=np.arange(MOST_DEGREES + 1), y=values, name=label, mode="lines", line=line)
        )
    return figure


def draw_scene_spread(reports: Mapping, key: str, label: str) -> go.Figure:
    """Scores of single scenes as dots, their mean with its 95 % bootstrap interval, one row per report.

    Args:
        reports: {name: `Report`} with scenes. key: of the figure. label: what it is, for the axis.
    """
    known = {n: r for n, r in reports.items() if any(key in scene["model"] for scene in r.scenes)}
    figure = go.Figure(layout=_layout("", label, height=110 + 62 * len(known)))
    jitter = np.random.default_rng(0)
    for row, (name, report) in enumerate(known.items()):
        scenes = [scene for scene in report.scenes if key in scene["model"]]
        look, values = style(row), [scene["model"][key] for scene in scenes]
        heights = row + 0.12 + 0.3 * jitter.random(len(values))
        names = [" · ".join(filter(None, (scene["group"], scene["name"]))) for scene in scenes]
        marker = {"color": look["color"], "symbol": look["symbol"], "size": 6, "opacity": 0.45}
        figure.add_trace(
            go.Scatter(
                x=values, y=heights.round(3), mode="markers", marker=marker, text=names, showlegend=False,
                hovertemplate="%{text}: %{x:.4g}<extra></extra>",
            )
        )  # fmt: skip
        mean, interval = report.model[key], report.interval(key)
        bars = {"color": TEXT, "thickness": 2, "width": 6, "type": "data", "symmetric": False}
        if interval:
            bars |= {"array": [interval[1] - mean], "arrayminus": [mean - interval[0]]}
        marker = {
            "color": look["color"],
            "symbol": "diamond",
            "size": 12,
            "line": {"color": TEXT, "width": 1},
        }
        figure.add_trace(
            go.Scatter(
                x=[mean], y=[row - 0.12], mode="markers", marker=marker, error_x=bars if interval else None,
                showlegend=False, hovertemplate=f"mean %{{x:.4g}}<extra>{name}</extra>",
            )
        )  # fmt: skip
        if key in report.constant:
            marker = {"color": TEXT, "symbol": "x-thin", "size": 10, "line": {"color": TEXT, "width": 2}}
            figure.add_trace(
                go.Scatter(
                    x=[report.constant[key]], y=[row - 0.12], mode="markers", marker=marker,
                    showlegend=False, hovertemplate=f"constant %{{x:.4g}}<extra>{name}</extra>",
                )
            )  # fmt: skip
    figure.update_yaxes(
        tickvals=list(range(len(known))), ticktext=list(known), range=[len(known) - 0.4, -0.4], showgrid=False
    )
    return figure


def _layout(vertical: str, horizontal: str, height: int = 320) -> go.Layout:
    axis = {"gridcolor": GRID, "zerolinecolor": GRID, "linecolor": TEXT, "automargin": True}
    return layout(
        height=height, showlegend=True, margin={"l": 60, "r": 20, "t": 20, "b": 50},
        xaxis={"title": {"text": horizontal}, **axis}, yaxis={"title": {"text": vertical}, **axis},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )  # fmt: skip
