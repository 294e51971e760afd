"""Views in columns: the pictures in the first row, below them one row for each kind of map."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from vggt_lite.viz.style import PAGE, as_pictures, jpeg_uri, layout, thin

LONGEST = 512  # pixels of a picture's longer side in a live figure; larger ones are thinned


def view_panels(
    images, titles: Sequence[str] | None = None, rows: int = 1, *, width: float = 300, side: int = 20,
    top: int = 50, grid: tuple[int, int] | None = None, longest: int = LONGEST, **subplots,
) -> go.Figure:  # fmt: skip
    """Views side by side on axes that count alike in all rows, y down; the other rows are empty.

    Args:
        images: S views, (3, H, W) or (H, W, 3).
        titles: One for each view; None numbers them from 1.
        rows: How many rows of panels, the pictures' among them.
        width: Of one view on the page, pixels; less where many share it.
        side, top: Room beside and above the views.
        grid: (h, w): axes count patches from 1, at their centres; None: they count pixels from the corner
            of the picture.
        longest: Pixels of a picture's longer side.
        subplots: Further arguments of plotly's `make_subplots`.
    """
    pictures = as_pictures(images)
    width = min(width, (PAGE - side) / len(pictures) - 4)
    titles = titles or [f"view {view}" for view in range(1, len(pictures) + 1)]
    options = {
        "column_titles": list(titles),
        "horizontal_spacing": 0.01,
        "vertical_spacing": 0.02,
        **subplots,
    }
    fig = make_subplots(rows, len(pictures), **options)
    corner = 0 if grid is None else 0.5
    for column, picture in enumerate(pictures, start=1):
        tall, wide = grid or picture.shape[:2]
        fig.add_trace(picture_trace(thin(picture, longest), (tall, wide), corner), 1, column)
        fig.update_xaxes(range=[corner, corner + wide], col=column)
        fig.update_yaxes(range=[corner + tall, corner], col=column)
    square_pixels(fig)
    height = width * pictures[0].shape[0] / pictures[0].shape[1]
    fig.update_layout(layout(width=side + (width + 4) * len(pictures), height=top + height * rows))
    return fig.update_layout(showlegend=False).update_annotations(font_size=12)


def picture_trace(picture: np.ndarray, size: tuple[float, float], corner: float = 0) -> go.Image:
    """A picture (H, W, 3) stretched over `size`, height and width in units of the axes, from a `corner`."""
    return go.Image(source=jpeg_uri(picture), hoverinfo="skip", **_cells(picture, size, corner))


def map_trace(values: np.ndarray, size: tuple[float, float], **look) -> go.Heatmap:
    """A map (h, w) of any resolution over a picture of `size` (H, W); `look`: further plotly arguments."""
    return go.Heatmap(z=values, **_cells(values, size), **look)


def _cells(values: np.ndarray, size: tuple[float, float], corner: float = 0) -> dict:
    """Size of a cell, and the centre of the first one."""
    dy, dx = size[0] / values.shape[0], size[1] / values.shape[1]
    return {"x0": corner + dx / 2, "dx": dx, "y0": corner + dy / 2, "dy": dy}


def square_pixels(fig: go.Figure) -> None:
    """Hide the axes of all panels; a unit of x is as long as one of y."""
    fig.update_xaxes(visible=False, constrain="domain")
    fig.update_yaxes(visible=False, constrain="domain")
    fig.for_each_yaxis(lambda axis: axis.update(scaleanchor=axis.anchor))
