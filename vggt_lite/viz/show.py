"""Put a figure into a notebook, with a caption. Still pictures are made later, by `tools/nb.py`."""

import html
import json
import os
import sys
from collections.abc import Callable

import numpy as np
import plotly.graph_objects as go

from vggt_lite.viz.live_figure import live_figure_class
from vggt_lite.viz.style import CONFIG

PLOTLY = "application/vnd.plotly.v1+json"


def require_alt(alt: str) -> str:
    """The description, or a ValueError that asks for one."""
    if not isinstance(alt, str) or not alt.strip():
        raise ValueError("alt is empty: describe in a sentence what the reader should see in this figure.")
    return alt.strip()


def show(fig: go.Figure, *, alt: str) -> None:
    """Display `fig` with a caption.

    Args:
        fig: A plotly figure.
        alt: What the figure shows and what to notice, one sentence. It is the caption, the
            screen-reader text, and all that a viewer without pictures gets.

    Raises:
        ValueError: `alt` is empty.
    """
    if any(trace.type == "scatter3d" for trace in fig.data):  # as a widget, 3-D views turn by keyboard
        show_controls(lambda: live_widget(fig), fig, alt=alt)
    else:
        display_bundle(live_form(fig), require_alt(alt))


def show_controls(make_box: Callable[[], object], fig: go.Figure, *, alt: str) -> None:
    """Display widgets with their live figure; where widgets cannot run, the figure alone.

    Args:
        make_box: Makes the widget that holds the controls and the figure.
        fig: The figure as it starts. Notebooks are saved with a still picture of it.
        alt: As for `show`.
    """
    alt = require_alt(alt)
    try:
        bundle = widget_form(make_box(), fig)
    except ImportError:  # no ipywidgets or anywidget
        bundle = live_form(fig)
    display_bundle(bundle, alt)


def live_form(fig: go.Figure) -> dict:
    """The figure as MIME data that a notebook draws."""
    if os.environ.get("PLOTLY_RENDERER"):  # a web build asks for another form
        return dict(fig._repr_mimebundle_(config=CONFIG))
    if "google.colab" in sys.modules:  # Colab draws no plotly data, but HTML
        return {"text/html": fig.to_html(config=CONFIG, include_plotlyjs="cdn", full_html=False)}
    return {PLOTLY: {**json.loads(fig.to_json()), "config": CONFIG}}


def widget_form(widget, fig: go.Figure) -> dict:
    """A widget as MIME data, and a figure for viewers without widgets. JupyterLab prefers the widget."""
    parts = {key: value for key, value in widget._repr_mimebundle_().items() if "widget" in key}
    return {**parts, **live_form(fig)}


def live_widget(fig: go.Figure) -> go.FigureWidget:
    """The figure as a widget that changes in place."""
    return live_figure_class()(without_nan(fig))


def redraw(widget: go.FigureWidget, fig: go.Figure) -> None:
    """Let the widget show `fig`, which has as many traces of the same kinds, and keep the reader's zoom."""
    with widget.batch_update():  # one message to the browser
        for old, new in zip(widget.data, without_nan(fig).data, strict=True):
            changes = new.to_plotly_json()
            changes.pop("type")
            old.update(changes, overwrite=True)
        for part in fig.layout:
            if part in ("title", "annotations", "shapes") or part.startswith("coloraxis"):
                widget.layout[part] = fig.layout[part]
            elif part.startswith("scene"):  # what is shown may change, but not from where
                for axis in ("xaxis", "yaxis", "zaxis"):
                    widget.layout[part][axis].range = fig.layout[part][axis].range


def without_nan(fig: go.Figure) -> go.Figure:
    """The same holes in heat maps, said in a way that a widget's messages allow: JSON has no NaN."""
    for trace in fig.data:
        values = np.asarray(trace.z, float) if trace.type == "heatmap" else np.zeros(0)
        if not np.isfinite(values).all():
            trace.z = np.where(np.isfinite(values), values, None).tolist()
    return fig


def display_bundle(bundle: dict, alt: str, handle=None):
    """Display MIME data with a caption, or replace what an earlier call displayed.

    Args:
        bundle: MIME type → data.
        alt: The caption.
        handle: What an earlier call returned; None displays anew.

    Returns:
        A handle, to replace the output later.
    """
    try:
        from IPython.display import Markdown, display
    except ImportError as error:
        raise ImportError(
            "figures are shown in notebooks: pip install -e '.[notebook]'. Without one, write a page "
            "with scene.save(folder) and open its index.html."
        ) from error
    bundle = {**bundle, "text/plain": alt}
    if handle is not None:
        handle.update(bundle, raw=True)
        return handle
    handle = display(bundle, raw=True, display_id=True)
    quoted = html.escape(alt, quote=False).replace("[", "&#91;")  # neither markup nor links
    display(Markdown(f"*{quoted}*"))
    return handle
