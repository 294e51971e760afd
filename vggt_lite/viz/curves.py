"""Training curves, from the records that `vggt_lite.training.log.read_log` returns."""

import numpy as np
import plotly.graph_objects as go
from PIL import Image, ImageDraw, ImageFont

from vggt_lite.viz.look import COLORS, GRID, TEXT, layout, printable, small_png

DASHES = ("solid", "dash", "dot", "dashdot")


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


def draw_curves(records, keys, x="step", smooth=1, log=True, title=None, ylabel="loss") -> go.Figure:
    """Terms of a training log against steps; colour and dash differ from term to term.

    Args:
        records: What `read_log` returned.
        keys: Names of the terms to draw.
        x: The record's field on the horizontal axis.
        smooth: Average over so many records.
        log: Logarithmic vertical axis.
    """
    fig = go.Figure(layout=layout(height=320, title={"text": title} if title else None))
    for index, key in enumerate(keys):
        steps, values = curve(records, key, x, smooth)
        line = {"color": COLORS[index % len(COLORS)], "dash": DASHES[(index + index // 4) % 4], "width": 2}
        fig.add_trace(go.Scatter(x=steps, y=values.astype(np.float32), name=key, mode="lines", line=line))
    axis = {"gridcolor": GRID, "zerolinecolor": GRID, "linecolor": TEXT}
    fig.update_xaxes(title_text=x, **axis)
    fig.update_yaxes(title_text=ylabel, type="log" if log else "linear", **axis)
    fig.update_layout(showlegend=True, margin={"l": 60, "b": 45})
    return fig


def preview_curves(
    records, keys, x="step", smooth=1, log=True, title=None, ylabel="loss", size=(520, 260)
) -> bytes:
    """PNG bytes of `draw_curves`."""
    curves = [curve(records, key, x, smooth) for key in keys]
    scale = (lambda v: np.log10(np.maximum(v, 1e-12))) if log else np.asarray
    every_x = np.concatenate([c[0] for c in curves])
    every_y = scale(np.concatenate([c[1] for c in curves]))
    left, top, right, bottom = 60, 24, size[0] - 10, size[1] - 34
    picture = Image.new("RGBA", size, (0, 0, 0, 0))
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(11)

    def place(values, low, high, start, end):
        return start + (values - low) / max(high - low, 1e-12) * (end - start)

    for value in np.linspace(every_y.min(), every_y.max(), 4):
        y = place(value, every_y.min(), every_y.max(), bottom, top)
        pen.line([left, y, right, y], fill="#BBBBBB")
        pen.text((left - 5, y), f"{10**value if log else value:.3g}", fill=TEXT, font=font, anchor="rm")
    legend = max(left + 6, 16 + int(font.getlength(printable(ylabel))))
    for index, (key, (steps, values)) in enumerate(zip(keys, curves, strict=True)):
        px = place(steps, every_x.min(), every_x.max(), left, right)
        py = place(scale(values), every_y.min(), every_y.max(), bottom, top)
        color = COLORS[index % len(COLORS)]
        pen.line(np.stack([px, py], 1).ravel().tolist(), fill=color, width=2)
        pen.text((legend, 4), key, fill=color, font=font)
        legend += max(110, 14 + int(font.getlength(key)))
    label = f"{x}: {every_x.min():g} to {every_x.max():g}"
    pen.text(((left + right) / 2, size[1] - 14), label, fill=TEXT, font=font, anchor="mm")
    pen.text((4, 4), printable(ylabel), fill=TEXT, font=font)
    return small_png(picture)
