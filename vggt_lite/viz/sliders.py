"""A figure with sliders: each step calls a pure function `draw(…)`, and the figure changes in place."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from vggt_lite.viz.show import require_alt, show, show_bundle


class Sliders:
    """`draw` with one slider for each of its arguments; `box` holds the live widgets.

    Args:
        draw: A pure function of the controls' values that returns a figure; always as many traces.
        controls: Argument of `draw` → the values it may take, or pairs (what the slider shows, value).
        start: Argument → value to begin with; the first of its values when not named.
    """

    def __init__(
        self, draw: Callable[..., go.Figure], controls: Mapping[str, Sequence], start: Mapping | None = None
    ) -> None:
        import ipywidgets as w

        self.draw, start = draw, start or {}
        if not controls:
            raise ValueError("controls is empty: give {argument of draw: its values}.")
        self.sliders = {}
        for name, options in controls.items():
            first = options[0][1] if isinstance(options[0], tuple) else options[0]
            slider = w.SelectionSlider(
                options=list(options), value=start.get(name, first), description=name.replace("_", " "),
                style={"description_width": "initial"}, layout={"width": "380px"},
            )  # fmt: skip
            slider.add_class(f"vggt-{name.replace('_', '-')}")
            slider.observe(self._redraw, names="value")
            self.sliders[name] = slider
        self.figure = go.FigureWidget(without_nan(draw(**self.values)))
        self.box = w.VBox(
            [w.HBox(list(self.sliders.values()), layout={"flex_flow": "row wrap"}), self.figure]
        )

    @property
    def values(self) -> dict:
        """Where the sliders stand: what `draw` is called with."""
        return {name: slider.value for name, slider in self.sliders.items()}

    def _redraw(self, _change) -> None:
        new = without_nan(self.draw(**self.values))
        with self.figure.batch_update():  # one message to the browser; the reader's zoom and view stay
            for old, trace in zip(self.figure.data, new.data, strict=True):
                changes = trace.to_plotly_json()
                changes.pop("type")
                old.update(changes, overwrite=True)
            for part in new.layout:
                if part in ("title", "annotations", "shapes") or part.startswith("coloraxis"):
                    self.figure.layout[part] = new.layout[part]


def without_nan(figure: go.Figure) -> go.Figure:
    """The same holes in heat maps, said in a way that a widget's messages allow: JSON has no NaN."""
    for trace in figure.data:
        values = np.asarray(trace.z, float) if trace.type == "heatmap" else np.zeros(0)
        if not np.isfinite(values).all():
            trace.z = np.where(np.isfinite(values), values, None).tolist()
    return figure


def show_with_sliders(
    draw: Callable[..., go.Figure],
    controls: Mapping[str, Sequence],
    *,
    alt: str,
    preview: bytes | None = None,
    start: Mapping | None = None,
) -> None:
    """Show a figure with sliders in a notebook; a still picture where widgets cannot run (GitHub, print).

    Args:
        draw, controls, start: As for `Sliders`.
        alt: What the figure shows and what to notice, one sentence.
        preview: PNG bytes of the figure as it starts.
    """
    alt = require_alt(alt)
    try:
        bundle = Sliders(draw, controls, start).box._repr_mimebundle_()
    except ImportError:  # no ipywidgets or anywidget: the first figure
        firsts = {name: options[0] for name, options in controls.items()}
        firsts = {name: value[1] if isinstance(value, tuple) else value for name, value in firsts.items()}
        show(draw(**{**firsts, **(start or {})}), alt=alt, preview=preview)
        return
    show_bundle({key: value for key, value in bundle.items() if "widget" in key}, alt, preview)
