"""Bars: how a whole is made up of parts, one bar for each whole."""

from collections.abc import Mapping

import plotly.graph_objects as go
from PIL import Image, ImageDraw, ImageFont

from vggt_lite.viz.look import COLORS, GRID, TEXT, layout, printable, small_png

Bars = Mapping[str, Mapping[str, float]]  # name of a bar → name of a piece → its length
GREY = "#9A9A9A"  # the piece after those with a colour of their own
PATTERNS = ("", "/", "x", ".", "-")  # so that pieces differ in print and for the colour-blind


def pieces_of(bars: Bars) -> list[str]:
    """Names of the pieces, in the order in which they first appear.

    Raises:
        ValueError: no bar, more kinds of pieces than can be told apart, or a length below zero.
    """
    names = list(dict.fromkeys(piece for bar in bars.values() for piece in bar))
    if not names:
        raise ValueError("bars is empty: give {bar: {piece: length}}.")
    if len(names) > len(PATTERNS):
        raise ValueError(f"{len(names)} kinds of pieces {names}; at most {len(PATTERNS)} can be told apart.")
    if wrong := [bar for bar, pieces in bars.items() if any(not value >= 0 for value in pieces.values())]:
        raise ValueError(f"bars {wrong} have a piece that is negative or NaN; lengths must be 0 or more.")
    return names


def draw_bars(bars: Bars, unit: str, number: str = ".3g") -> go.Figure:
    """One horizontal bar a row, from top to bottom, stacked from its pieces; the sum stands at its end.

    Args:
        bars: Name of each bar → name of each piece → its length; a piece may be missing from a bar.
        unit: What a length of 1 means, for the axis and the hover text.
        number: Format of the sums.
    """
    names, rows = pieces_of(bars), list(bars)
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
        text = {"text": f" {total:{number}}", "showarrow": False, "xanchor": "left"}
        fig.add_annotation(x=total, y=row, **text)
    fig.update_xaxes(title_text=unit, gridcolor=GRID, zerolinecolor=GRID)
    fig.update_yaxes(autorange="reversed", automargin=True)
    legend = {"orientation": "h", "y": 1, "yanchor": "bottom", "x": 0, "traceorder": "normal"}
    fig.update_layout(showlegend=len(names) > 1, legend=legend, margin={"b": 45, "r": 60})
    return fig


def preview_bars(bars: Bars, unit: str, number: str = ".3g", width: int = 560) -> bytes:
    """PNG bytes of `draw_bars`."""
    names, rows = pieces_of(bars), list(bars)
    font = ImageFont.load_default(12)
    left = 14 + max(int(font.getlength(row)) for row in rows)
    top, step, right = 28 if len(names) > 1 else 8, 26, width - 58
    picture = Image.new("RGBA", (width, top + step * len(rows) + 24), (0, 0, 0, 0))
    pen = ImageDraw.Draw(picture)
    if len(names) > 1:
        x = left
        for index, piece in enumerate(names):
            pen.rectangle([x, 6, x + 11, 17], fill=(*COLORS, GREY)[index])
            pen.text((x + 16, 5), printable(piece), fill=TEXT, font=font)
            x += 34 + int(font.getlength(piece))
    longest = max(sum(bars[row].values()) for row in rows) or 1.0
    for line, row in enumerate(rows):
        y, edge = top + step * line, float(left)
        pen.text((left - 8, y + 9), printable(row), fill=TEXT, font=font, anchor="rm")
        for index, piece in enumerate(names):
            length = bars[row].get(piece, 0) / longest * (right - left)
            if length >= 0.5:
                pen.rectangle([edge, y, max(edge, edge + length - 1), y + 18], fill=(*COLORS, GREY)[index])
            edge += length
        pen.text((edge + 6, y + 9), f"{sum(bars[row].values()):{number}}", fill=TEXT, font=font, anchor="lm")
    pen.text(
        ((left + right) / 2, top + step * len(rows) + 10), printable(unit), fill=TEXT, font=font, anchor="mm"
    )
    return small_png(picture)
