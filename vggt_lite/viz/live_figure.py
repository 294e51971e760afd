"""Plotly's figure widget, as one that still works in a busy browser."""

from functools import cache
from pathlib import Path

import plotly.graph_objects as go

from vggt_lite.viz.style import CONFIG

FILES = (Path(__file__).with_name(name) for name in ("turn.js", "live_figure.js"))
CODE = "".join(file.read_text(encoding="utf-8") for file in FILES)
CSS = """
:is(.js-plotly-plot, .noUi-handle):focus-visible { outline: 3px solid #0072B2; outline-offset: -3px; }
[class*="vggt-"] .widget-readout { min-width: 2em; max-width: none; flex-shrink: 0; padding-left: 6px; }
"""


@cache
def live_figure_class() -> type[go.FigureWidget]:
    """The class of live figures, made at first use: it needs ipywidgets and anywidget.

    Plotly's own widget fails in a browser that is busy, in two ways. It announces itself first and sends its
    traces in a second message, which a browser still loading code misses: empty axes for ever. This one sends
    both in one message. And anywidget does not wait for plotly's code: see live_figure.js.
    """
    from traitlets import Bool, Unicode

    class LiveFigure(go.FigureWidget):
        _esm = CODE
        _css = CSS
        _plotly = Unicode(str(go.FigureWidget._esm)).tag(sync=True)
        _probe = Bool(False).tag(sync=True)  # live_figure.js sets it, to be told of its own change
        _complete = False

        def __init__(self, fig: go.Figure) -> None:
            super().__init__(fig)
            self._config = CONFIG  # plotly has no public way to set a widget's options
            self._complete = True
            self.open()

        def open(self) -> None:
            """Announce the widget to the browser. ipywidgets calls this before plotly has set the traces."""
            if self._complete:
                super().open()

    return LiveFigure
