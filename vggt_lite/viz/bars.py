"""Bars: how a whole is made up of parts, one bar for each whole."""

from collections.abc import Mapping

import plotly.graph_objects as go

from vggt_lite.viz.style import COLORS, LEGEND_ABOVE, layout

Bars = Mapping[str, Mapping[str, float]]  # name of a bar → name of a piece → its length
GREY = "#9A9A9A"  # the piece after those with a colour of their own
PATTERNS = ("", "/", "x", ".", "-")  # so that pieces differ in print and for the colour-blind


def draw_bars(bars: Bars, unit: str, number: str = ".3g") -> go.Figure:
    """One horizontal bar a row, from top to bottom, stacked from its pieces; the sum stands at its end.

    Args:
        bars: Name of each bar → name of each piece → its length; a piece may be missing from a bar.
        unit: What a length of 1 means, for the axis and the hover text.
        number: Format of the sums.

    Raises:
        ValueError: no bar, more kinds of pieces than can be told apart, or a length below zero.
    """
    rows, names = list(bars), list(dict.fromkeys(piece for bar in bars.values() for piece in bar))
    if not names:
        raise ValueError("bars is empty: give {bar: {piece: length}}.")
    if len(names) > len(PATTERNS):
        raise ValueError(f"{len(names)} kinds of pieces {names}; at most {len(PATTERNS)} can be told apart.")
    if wrong := [bar for bar, pieces in bars.items() if any(not value >= 0 for value in pieces.values())]:
        raise ValueError(f"bars {wrong} have a piece that is negative or NaN; lengths must be 0 or more.")
    fig = go.Figure(layout=layout(height=90 + 34 * len(rows), barmode="stack"))
    for index, piece in enumerate(names):
        marker = {"color": (*COLORS, GREY)[index], "line": {"width": 0}}
        marker["pattern"] = {"shape": PATTERNS[index], "fillmode": "overlay", "fgcolor": "white"}
        marker["pattern"] |= {"size": 6, "solidity": 0.15}
        fig.add_trace(
            go.Bar(
                y=rows, x=[bars[row].get(piece, 0) for row in rows], name=piece, orientation="h",
                marker=marker, hovertemplate=f"%{{y}}: {piece} %{{x:{number}}} {unit}<extra></extra>",
            )
        )  # fmt: skip
    for row in rows:
        total = sum(bars[row].values())
        fig.add_annotation(x=total, y=row, text=f" {total:{number}}", showarrow=False, xanchor="left")
    fig.update_xaxes(title_text=unit)
    fig.update_yaxes(autorange="reversed", automargin=True, showgrid=False)
    legend = {**LEGEND_ABOVE, "x": 0, "traceorder": "normal"}
    return fig.update_layout(showlegend=len(names) > 1, legend=legend, margin={"b": 45, "r": 60})
