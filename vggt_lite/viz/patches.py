"""Pictures cut into patches, and tokens as colours in the place of their patches."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from einops import rearrange
from plotly.subplots import make_subplots

from vggt_lite.viz.panels import picture_trace
from vggt_lite.viz.style import PAGE, as_array, as_pictures, layout

GRID_LINE = "rgba(255,255,255,0.39)"
HATCH = (117, 117, 117)


def patch_lines(height: int, width: int, patch_size: int) -> tuple[list, list]:
    """(x, y) of the lines between whole patches, None between two lines; a rest at the edge stays open."""
    bottom, right = height - height % patch_size, width - width % patch_size
    x, y = [], []
    for column in range(0, right + 1, patch_size):
        x += [column, column, None]
        y += [0, bottom, None]
    for row in range(0, bottom + 1, patch_size):
        x += [0, right, None]
        y += [row, row, None]
    return x, y


def hatch(picture: np.ndarray, mask) -> np.ndarray:
    """A copy of a picture (H, W, 3) with grey stripes where the mask (H, W) is False."""
    if mask is None:
        return picture
    row, column = np.indices(picture.shape[:2])
    step = max(2, max(picture.shape[:2]) // 60)
    striped = ~as_array(mask) & ((row + column) // step % 2 == 0)
    return np.where(striped[..., None], np.array(HATCH, np.uint8), picture)


def draw_patches(pictures, patch_size: int, titles, masks=None, scale: float = 1.0) -> go.Figure:
    """Pictures side by side in one scale, with the lines along which they are cut into patches.

    Args:
        pictures: (3, H, W) or (H, W, 3) each, of any sizes.
        patch_size: Side of a patch in pixels.
        titles: One for each picture.
        masks: For each picture (H, W) booleans or None; False, which is padding, is striped.
        scale: Screen pixels per pixel; fewer where the page is too narrow.
    """
    pictures = as_pictures(pictures)
    masks = [None] * len(pictures) if masks is None else masks
    tall, wide = max(p.shape[0] for p in pictures), [p.shape[1] for p in pictures]
    fig = make_subplots(1, len(wide), column_titles=list(titles), column_widths=wide, horizontal_spacing=0.02)
    for column, (picture, mask) in enumerate(zip(pictures, masks, strict=True), start=1):
        fig.add_trace(picture_trace(hatch(picture, mask), picture.shape[:2]), 1, column)
        x, y = patch_lines(*picture.shape[:2], patch_size)
        line = {"color": GRID_LINE, "width": 1}
        lines = go.Scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip", showlegend=False)
        fig.add_trace(lines, 1, column)
        fig.update_xaxes(range=[0, picture.shape[1]], visible=False, row=1, col=column)
        fig.update_yaxes(range=[tall, 0], visible=False, row=1, col=column)
    across = sum(wide) * (1 + 0.02 * len(wide))
    scale = min(scale, (PAGE - 20) / across)
    fig.update_layout(layout(height=50 + scale * tall, width=20 + scale * across))
    fig.update_annotations(font_size=12)
    return fig


def filter_sheet(filters, columns: int = 8) -> np.ndarray:
    """Filters (K, 3, p, p) as one picture (H, W, 3) uint8: grey is zero; each filter has its own scale."""
    filters = as_array(filters)
    filters = filters / np.abs(filters).max((1, 2, 3), keepdims=True).clip(1e-12)
    rest = -len(filters) % columns
    sheet = np.pad(filters, ((0, rest), (0, 0), (0, 0), (0, 0)))
    sheet = rearrange(sheet, "(row column) rgb y x -> (row y) (column x) rgb", column=columns)
    return ((sheet + 1) * 127.5).round().astype(np.uint8)


def pca_colors(tokens, like=None) -> np.ndarray:
    """Colours (…, 3) in [0, 1] of tokens (…, C): their three strongest directions as red, green and blue.

    All tokens given share one PCA, so equal colours mean equal tokens (in those three directions).

    Args:
        tokens: Of one or several pictures, and of one layer.
        like: Colours that an earlier call returned for the same patches. The three directions are then
            turned among themselves to resemble them, since sign and order of a PCA are arbitrary.
    """
    tokens = as_array(tokens).astype(np.float64)
    flat = tokens.reshape(-1, tokens.shape[-1])
    flat = flat - flat.mean(0)
    values = flat @ np.linalg.svd(flat, full_matrices=False)[2][:3].T  # (N, 3)
    if like is not None:
        goal = as_array(like).reshape(-1, 3)
        u, _, v = np.linalg.svd(values.T @ (goal - goal.mean(0)))
        values = values @ (u @ v)
    low, high = np.percentile(values, [2, 98], axis=0)
    colors = ((values - low) / (high - low).clip(1e-12)).clip(0, 1)
    return colors.reshape(*tokens.shape[:-1], 3)


def draw_tokens(images, rows: Mapping[str, np.ndarray], titles=None, width: int = 260) -> go.Figure:
    """Pictures, and below each one row or more of coloured tokens in the place of their patches.

    Args:
        images: S views, (3, H, W) or (H, W, 3), of one size.
        rows: Name of the row → colours (S, h, w, 3) in [0, 1], for example from `pca_colors`.
        titles: One for each view; None numbers them.
        width: Of one view on the screen, pixels; less where many share it.
    """
    pictures = as_pictures(images)
    width = min(width, (PAGE - 50) // len(pictures) - 6)
    titles = titles or [f"view {v}" for v in range(1, len(pictures) + 1)]
    fig = make_subplots(
        1 + len(rows), len(pictures), column_titles=list(titles), row_titles=["picture", *rows],
        horizontal_spacing=0.01, vertical_spacing=0.02,
    )  # fmt: skip
    for column, picture in enumerate(pictures, start=1):
        fig.add_trace(picture_trace(picture, picture.shape[:2]), 1, column)
        for row, colors in enumerate(rows.values(), start=2):
            z = (as_array(colors[column - 1]) * 255).round().astype(np.uint8)
            text = "patch in row %{y}, column %{x}<extra></extra>"
            fig.add_trace(go.Image(z=z, hovertemplate=text), row, column)
    fig.update_xaxes(visible=False, constrain="domain")
    fig.update_yaxes(visible=False, constrain="domain")
    tall = width * pictures[0].shape[0] / pictures[0].shape[1]
    size = {"height": 50 + (tall + 8) * (1 + len(rows)), "width": 50 + (width + 6) * len(pictures)}
    return fig.update_layout(layout(**size)).update_annotations(font_size=12)
