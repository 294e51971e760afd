"""A figure with controls: each step calls a pure function `draw(…)`, and the figure changes in place."""

from collections.abc import Callable, Mapping, Sequence

import plotly.graph_objects as go

from vggt_lite.viz.show import live_widget, redraw, show_controls
from vggt_lite.viz.style import PAGE


class Sliders:
    """`draw` with one control for each of its arguments; `box` holds the live widgets.

    Args:
        draw: A pure function of the controls' values that returns a figure; always as many traces.
        controls: Argument of `draw` → the values it may take, or pairs (what the slider shows, value). Two
            words make a menu instead of a slider.
        start: Argument → value to begin with; the first of its values when not named.
    """

    def __init__(
        self, draw: Callable[..., go.Figure], controls: Mapping[str, Sequence], start: Mapping | None = None
    ) -> None:
        import ipywidgets as w

        self.draw, self.sliders, self._is_moving = draw, {}, False
        for name, value in start_values(controls, start).items():
            options = list(controls[name])
            is_menu = len(options) == 2 and all(isinstance(option, str) for option in options)
            slider = (w.Dropdown if is_menu else w.SelectionSlider)(
                options=options, value=value, description=name.replace("_", " "),
                style={"description_width": "initial"}, layout={"flex": "1 1 100px", "max_width": "380px"},
            )  # fmt: skip
            slider.add_class(f"vggt-{name.replace('_', '-')}")
            slider.observe(self._redraw, names="value")
            self.sliders[name] = slider
        self.figure = live_widget(draw(**self.values))
        look = {"flex_flow": "row wrap", "grid_gap": "0 12px", "max_width": f"{PAGE}px"}
        row = w.HBox(list(self.sliders.values()), layout=look)
        self.box = w.VBox([row, self.figure])

    @property
    def values(self) -> dict:
        """Where the controls stand: what `draw` is called with."""
        return {name: slider.value for name, slider in self.sliders.items()}

    def choose(self, **values) -> None:
        """Move several controls, and draw once."""
        before, self._is_moving = self.values, True
        for name, value in values.items():
            self.sliders[name].value = value
        self._is_moving = False
        if self.values != before:
            self._redraw(None)

    def _redraw(self, _change) -> None:
        if not self._is_moving:
            redraw(self.figure, self.draw(**self.values))


def start_values(controls: Mapping[str, Sequence], start: Mapping | None = None) -> dict:
    """Argument → the value to begin with: what `start` says, else the first of its values.

    Raises:
        ValueError: `controls` is empty.
    """
    if not controls:
        raise ValueError("controls is empty: give {argument of draw: its values}.")
    firsts = {name: options[0] for name, options in controls.items()}
    firsts = {name: value[1] if isinstance(value, tuple) else value for name, value in firsts.items()}
    return {**firsts, **(start or {})}


def show_with_sliders(
    draw: Callable[..., go.Figure], controls: Mapping[str, Sequence], *, alt: str,
    start: Mapping | None = None,
) -> None:  # fmt: skip
    """Show a figure with sliders in a notebook.

    Args:
        draw, controls, start: As for `Sliders`.
        alt: What the figure shows and what to notice, one sentence.
    """
    first = draw(**start_values(controls, start))
    show_controls(lambda: Sliders(draw, controls, start).box, first, alt=alt)
