"""A training one can watch: losses, gradient norms, and one held-out scene getting better."""

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from vggt_lite.viz.lines import curve, curve_trace
from vggt_lite.viz.panels import picture_trace
from vggt_lite.viz.show import display_bundle, live_widget, redraw, require_alt, widget_form
from vggt_lite.viz.style import TEXT_COLOR, WORLD_UNIT, as_array, as_pictures, color_axis, layout

PANELS = ("held-out view", "true depth", "depth now")
Charts = Mapping[str, Sequence[str]]  # title of a chart → the terms of the log it draws


def draw_dashboard(
    records: Sequence[dict], charts: Charts, image, true_depth, depth, title: str = "", log: bool = True
) -> go.Figure:
    """Three or so charts of a training log, one below the other; beside them a held-out view.

    Args:
        records: The lines of a training log; what `eval_fn` returned counts as terms, too.
        charts: Title of each chart → terms to draw; those the log does not know (yet) are empty lines.
        image: The held-out view, (3, H, W) or (H, W, 3).
        true_depth, depth: (H, W) z of that view, true and predicted, in one unit.
        title: Text above the figure, such as the step.
        log: Logarithmic vertical axes.
    """
    records = [{**line, **line.get("eval", {})} for line in records]
    known = {key for line in records for key, value in line.items() if isinstance(value, (int, float))}
    rows = max(3, len(charts))
    names = zip_longest(charts, PANELS, fillvalue="")
    titles = [text for pair in names for text in pair]
    fig = make_subplots(
        rows, 2, column_widths=[0.72, 0.28], subplot_titles=titles, horizontal_spacing=0.03,
        vertical_spacing=0.1,
    )  # fmt: skip
    for row, keys in enumerate(charts.values(), start=1):
        for index, key in enumerate(keys):
            points = curve(records, key) if key in known else (np.zeros(0), np.zeros(0))
            line = curve_trace(*points, key, index, legend=f"legend{row}", showlegend=key in known)
            fig.add_trace(line, row, 1)
        top = fig.layout[f"yaxis{2 * row - 1}"].domain[1]
        place = {"x": 0.7, "xanchor": "right", "y": top, "yanchor": "bottom", "orientation": "h"}
        fig.update_layout({f"legend{row}": {**place, "font": {"size": 11}}})
        ticks = {"type": "log", "dtick": "D2", "tickformat": "~g"} if log else {}  # 1, 2, 5, 10, …
        fig.update_yaxes(ticks, row=row, col=1)
    fig.update_xaxes(linecolor=TEXT_COLOR, col=1).update_yaxes(linecolor=TEXT_COLOR, col=1)
    fig.update_xaxes(title_text="step", row=len(charts) or 1, col=1)
    picture = as_pictures([image])[0]
    fig.add_trace(picture_trace(picture, picture.shape[:2]), 1, 2)
    for row, values in ((2, true_depth), (3, depth)):
        text = f"z %{{z:.3g}} ({WORLD_UNIT})<extra>{PANELS[row - 1]}</extra>"
        values = as_array(values).astype(np.float32)
        fig.add_trace(go.Heatmap(z=values, coloraxis="coloraxis", hovertemplate=text), row, 2)
    fig.update_xaxes(visible=False, constrain="domain", col=2)
    fig.update_yaxes(visible=False, autorange="reversed", constrain="domain", col=2)
    fig.for_each_yaxis(lambda axis: axis.update(scaleanchor=axis.anchor), col=2)
    truth = as_array(true_depth)
    # Both maps have the colours of the middle 96 % of the truth, so that they compare
    limits = np.percentile(truth[truth > 0], [2, 98]).tolist() if (truth > 0).any() else (0.0, 1.0)
    colors = color_axis(f"depth ({WORLD_UNIT})", *limits, len=0.6, y=0.3, nticks=4)
    fig.update_layout(layout(coloraxis=colors, height=190 * rows + 60, width=760, title_text=title))
    fig.update_layout(showlegend=True, margin={"l": 55, "t": 70, "b": 45})
    titles = fig.layout.annotations[: 2 * rows : 2]  # of the charts: to the left, beside the legends
    for note in titles:
        note.update(x=0, xanchor="left")
    return fig.update_annotations(font_size=12)


class Dashboard:
    """A figure in a notebook that changes while a training runs; `update` it from `eval_fn`.

    Every value drawn comes from the log, so after an interruption a new dashboard shows all of the run.

    Args:
        read: Returns the records of the run's log, for example `lambda: read_log(folder / "log.jsonl")`.
        charts: Title of each chart → terms of the log.
        alt: What the figure shows and what to notice, one sentence.
        seconds: Least time between two drawings; 0 draws at each update.
    """

    def __init__(
        self, read: Callable[[], Sequence[dict]], charts: Charts, *, alt: str, seconds: float = 2.0
    ) -> None:
        self.read, self.charts, self.alt, self.seconds = read, charts, require_alt(alt), seconds
        self.drawn = -np.inf  # when
        self.handle = self.widget = None
        self.latest = None  # (image, true depth, depth) of the last update

    def update(self, image, true_depth, depth) -> bool:
        """Draw anew, unless the last drawing is too young. Returns whether it drew."""
        self.latest = (image, true_depth, depth)
        if time.monotonic() - self.drawn < self.seconds:
            return False
        self._draw()
        return True

    def finish(self) -> None:
        """Draw the last update, however young the last drawing is; a saved notebook shows this one.

        Raises:
            ValueError: there was no update.
        """
        if self.latest is None:
            raise ValueError("there is nothing to show yet: call update(image, true_depth, depth) first.")
        fig = self._draw()
        display_bundle(widget_form(self.widget, fig), self.alt, self.handle)

    def _draw(self) -> go.Figure:
        records = self.read()
        title = f"after {records[-1]['step']:,} steps" if records else "before the first step"
        fig = draw_dashboard(records, self.charts, *self.latest, title)
        if self.widget is None:
            self.widget = live_widget(fig)
            self.handle = display_bundle(widget_form(self.widget, fig), self.alt)
        else:
            redraw(self.widget, fig)
        self.drawn = time.monotonic()
        return fig
