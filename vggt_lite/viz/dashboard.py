"""A training one can watch: losses, gradient norms, and one held-out scene getting better."""

import base64
import io
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from PIL import Image, ImageDraw, ImageFont
from plotly.subplots import make_subplots

from vggt_lite.training.log import read_log
from vggt_lite.viz.curves import DASHES, curve, preview_curves
from vggt_lite.viz.look import (
    COLORS,
    GRID,
    SEQUENTIAL,
    TEXT,
    WORLD_UNIT,
    as_array,
    as_pictures,
    colorize,
    data_uri,
    layout,
    printable,
    small_png,
)
from vggt_lite.viz.show import PLOTLY, require_alt

Charts = Mapping[str, Sequence[str]]  # title of a chart → the terms of the log it draws


def flat_records(records: Sequence[dict]) -> list[dict]:
    """The lines of a log; what `watch` returned stands beside the step instead of in a dictionary."""
    return [{**line, **line.get("watch", {})} for line in records]


def charts_to_draw(records: Sequence[dict], charts: Charts) -> dict[str, list[str]]:
    """The charts with those of their terms that at least one line of the log carries."""
    known = {key for line in records for key, value in line.items() if isinstance(value, (int, float))}
    return {title: [key for key in keys if key in known] for title, keys in charts.items()}


def depth_limits(true_depth) -> tuple[float, float]:
    """The range of both depth maps' colours: the middle 96 % of the truth, so that they compare."""
    truth = as_array(true_depth)
    low, high = np.percentile(truth[truth > 0], [2, 98]) if (truth > 0).any() else (0.0, 1.0)
    return float(low), float(high)


def draw_dashboard(
    records: Sequence[dict], charts: Charts, image, true_depth, depth, title: str = "", log: bool = True
) -> go.Figure:
    """Three or so charts of a training log, one below the other; beside them a held-out view.

    Args:
        records: What `read_log` returned; what a `watch` function returned counts as terms, too.
        charts: Title of each chart → terms to draw; terms the log does not know (yet) are left out.
        image: The held-out view, (3, H, W) or (H, W, 3).
        true_depth, depth: (H, W) z of that view, true and predicted, in one unit.
        title: Text above the figure, such as the step.
        log: Logarithmic vertical axes.
    """
    records = flat_records(records)
    charts = charts_to_draw(records, charts)
    rows = max(3, len(charts))
    titles = [text for row in range(rows) for text in (_title(charts, row), _panel_name(row))]
    fig = make_subplots(
        rows, 2, column_widths=[0.72, 0.28], subplot_titles=titles, horizontal_spacing=0.03,
        vertical_spacing=0.1,
    )  # fmt: skip
    for row, keys in enumerate(charts.values(), start=1):
        for index, key in enumerate(keys):
            steps, values = curve(records, key)
            line = {"color": COLORS[index % len(COLORS)], "dash": DASHES[index % len(DASHES)], "width": 2}
            fig.add_trace(
                go.Scatter(
                    x=steps, y=values.astype(np.float32), name=key, mode="lines", line=line,
                    legend=f"legend{row}",
                ),
                row,
                1,
            )  # fmt: skip
        top = fig.layout[f"yaxis{2 * row - 1}"].domain[1]
        place = {"x": 0.66, "xanchor": "right", "y": top, "yanchor": "top", "font": {"size": 11}}
        fig.update_layout({f"legend{row}": {**place, "bgcolor": "rgba(0,0,0,0)"}})
        ticks = {"type": "log", "dtick": "D2"} if log else {"type": "linear"}  # 1, 2, 5, 10, …
        fig.update_yaxes(ticks, row=row, col=1)
    axis = {"gridcolor": GRID, "zerolinecolor": GRID, "linecolor": TEXT}
    for row in range(1, rows + 1):
        fig.update_xaxes(**axis, row=row, col=1)
        fig.update_yaxes(**axis, row=row, col=1)
    fig.update_xaxes(title_text="step", row=len(charts) or 1, col=1)
    low, high = depth_limits(true_depth)
    fig.add_trace(go.Image(source=data_uri(as_pictures([image])[0]), hoverinfo="skip"), 1, 2)
    for row, values in ((2, true_depth), (3, depth)):
        text = f"z %{{z:.3g}} ({WORLD_UNIT})<extra>{_panel_name(row - 1)}</extra>"
        values = as_array(values).astype(np.float32)
        fig.add_trace(go.Heatmap(z=values, coloraxis="coloraxis", hovertemplate=text), row, 2)
    bar = {"title": {"text": f"depth ({WORLD_UNIT})", "side": "right", "font": {"size": 11}}}
    bar |= {"thickness": 10, "len": 0.6, "y": 0.3, "nticks": 4, "outlinewidth": 0}
    colors = {"colorscale": SEQUENTIAL, "cmin": low, "cmax": high, "colorbar": bar}
    for row in range(1, 4):
        fig.update_xaxes(visible=False, constrain="domain", row=row, col=2)
        fig.update_yaxes(
            visible=False, autorange="reversed", constrain="domain", scaleanchor=f"x{2 * row}", row=row, col=2
        )
    fig.update_layout(layout(coloraxis=colors, height=190 * rows + 60, width=760))
    fig.update_layout(title={"text": title, "font": {"size": 15}} if title else None, showlegend=True)
    fig.update_layout(margin={"l": 55, "t": 70, "b": 45})
    fig.update_annotations(font_size=12)
    return fig


def preview_dashboard(
    records: Sequence[dict], charts: Charts, image, true_depth, depth, title: str = "", log: bool = True
) -> bytes:
    """PNG bytes of `draw_dashboard`; quick enough to be drawn anew every second."""
    records = flat_records(records)
    charts = charts_to_draw(records, charts)
    font, head, tile, wide, gap = ImageFont.load_default(12), 26, 150, 430, 22
    rows = max(3, len(charts))
    sheet = Image.new("RGBA", (wide + tile + 70, head + rows * (tile + gap)), (0, 0, 0, 0))
    pen = ImageDraw.Draw(sheet)
    pen.text((8, 4), printable(title), fill=TEXT, font=ImageFont.load_default(14))
    for row, (name, keys) in enumerate(charts.items()):
        top = head + row * (tile + gap)
        pen.text((8, top), printable(name), fill=TEXT, font=font)
        if keys:
            chart = preview_curves(records, keys, log=log, ylabel="", size=(wide, tile))
            sheet.alpha_composite(Image.open(io.BytesIO(chart)).convert("RGBA"), (0, top + 15))
    low, high = depth_limits(true_depth)
    panels = [as_pictures([image])[0], *(colorize(as_array(d), low, high) for d in (true_depth, depth))]
    for row, panel in enumerate(panels):
        top = head + row * (tile + gap)
        pen.text((wide + 8, top), _panel_name(row), fill=TEXT, font=font)
        side = tile - 2
        size = (side, round(side * panel.shape[0] / panel.shape[1]))
        picture = Image.fromarray(panel).convert("RGBA").resize(size, Image.Resampling.NEAREST)
        sheet.paste(picture, (wide + 8, top + 17))
    ramp = np.linspace(high, low, 2 * tile)[:, None].repeat(9, 1)
    left, top = wide + tile + 12, head + tile + gap + 17
    sheet.paste(Image.fromarray(colorize(ramp, low, high)), (left, top))
    for text, at, anchor in (
        (f"{high:.2g}", top, "la"),
        ("depth", top + tile, "lm"),
        (f"{low:.2g}", top + 2 * tile, "ld"),
    ):
        pen.text((left + 13, at), text, fill=TEXT, font=font, anchor=anchor)
    return small_png(sheet)


def _title(charts: Charts, row: int) -> str:
    return list(charts)[row] if row < len(charts) else ""


def _panel_name(row: int) -> str:
    return ("held-out view", "true depth", "depth now")[row] if row < 3 else ""


class Dashboard:
    """A figure in a notebook that is drawn anew while a training runs; `update` it from `watch`.

    While it runs a still picture is replaced, at most every `seconds`; `finish` leaves the live figure.
    Every value drawn comes from the log, so after an interruption a new dashboard shows all of the run.

    Args:
        log: The run's `log.jsonl`.
        charts: Title of each chart → terms of the log.
        alt: What the figure shows and what to notice, one sentence.
        seconds: Least time between two drawings; 0 draws at each update.
    """

    def __init__(self, log: Path | str, charts: Charts, *, alt: str, seconds: float = 2.0) -> None:
        self.log, self.charts, self.alt, self.seconds = Path(log), charts, require_alt(alt), seconds
        self.drawn = -np.inf  # when
        self.handle = None
        self.latest = None  # arguments of the last drawing

    def update(self, image, true_depth, depth) -> bool:
        """Draw anew, unless the last drawing is too young. Returns whether it drew."""
        self.latest = (image, true_depth, depth)
        if time.monotonic() - self.drawn < self.seconds:
            return False
        records = read_log(self.log)
        self._put({}, preview_dashboard(records, self.charts, *self.latest, self._step(records)))
        self.drawn = time.monotonic()
        return True

    def finish(self) -> None:
        """Put the live figure in the picture's place.

        Raises:
            ValueError: nothing was ever drawn.
        """
        if self.latest is None:
            raise ValueError("there is nothing to show yet: call update(image, true_depth, depth) first.")
        records = read_log(self.log)
        arguments = (records, self.charts, *self.latest, self._step(records))
        live = {PLOTLY: json.loads(draw_dashboard(*arguments).to_json())}
        self._put(live, preview_dashboard(*arguments))

    @staticmethod
    def _step(records: Sequence[dict]) -> str:
        return f"after {records[-1]['step']:,} steps" if records else "before the first step"

    def _put(self, bundle: dict, picture: bytes) -> None:
        """Show the figure, or replace the one that is there."""
        from IPython.display import Markdown, display

        bundle = {**bundle, "image/png": base64.b64encode(picture).decode(), "text/plain": self.alt}
        how = {"raw": True, "metadata": {"image/png": {"alt": self.alt}}}
        if self.handle is None:
            self.handle = display(bundle, display_id=True, **how)
            display(Markdown(f"*{self.alt}*"))
        else:
            self.handle.update(bundle, **how)
