"""How every figure looks: colours that survive colour blindness, a ground of its own, and one layout."""

import base64
import io
import os
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
import plotly.io
from PIL import Image
from plotly.colors import sample_colorscale, unlabel_rgb

# Okabe–Ito, ordered by contrast on white (5.2 : 1 … 3.1 : 1); its yellow and sky are too faint for lines.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
DASHES = ("solid", "dash", "dot", "dashdot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up")
# No grey has a contrast of 4.5 : 1 to white and to the near-black of dark themes: figures bring a ground.
GROUND = "#FFFFFF"
SPACE = "#E8E8E8"  # behind 3-D scenes: white points are seen on it
TEXT_COLOR = "#505050"
GRID = "rgba(117,117,117,0.35)"
SEQUENTIAL = "Cividis"
WORLD_UNIT = "scene units"
PAGE = 840  # pixels: what JupyterLab leaves for a figure on a projector of 1280
LEGEND_ABOVE = {"orientation": "h", "y": 1, "yanchor": "bottom"}
# Options of plotly's own buttons: no logo, and no button that uploads the figure to plotly's servers.
CONFIG = {"showSendToCloud": False, "displaylogo": False}


def max_points() -> int:
    """How many points a figure shows at most: 20,000, or fewer where VGGT_LITE_MAX_POINTS says so."""
    text = os.environ.get("VGGT_LITE_MAX_POINTS", "20000")
    if not text.isdecimal() or len(text) > 9:
        raise ValueError(f"VGGT_LITE_MAX_POINTS={text[:40]!r} is no number of points: 2000, for example.")
    return int(text)


_GRID_LINES = {"gridcolor": GRID, "zerolinecolor": GRID}
HOUSE = go.layout.Template(plotly.io.templates["plotly"])
HOUSE.layout.update(xaxis=_GRID_LINES, yaxis=_GRID_LINES, title_font_size=14)


def layout(**changes) -> go.Layout:
    """The house layout: dark grey text on a ground that is the same in all themes; slim margins."""
    base = go.Layout(
        template=HOUSE,
        paper_bgcolor=GROUND,
        plot_bgcolor=GROUND,
        font={"color": TEXT_COLOR, "size": 13},
        margin={"l": 10, "r": 10, "t": 40, "b": 10},
        uirevision="keep",  # an update keeps the reader's viewpoint
    )
    return base.update(**changes)


def line_of(index: int, width: float = 2) -> dict:
    """Colour and dashes of the index-th line of a figure; after 16 lines they repeat."""
    return {"color": COLORS[index % 4], "dash": DASHES[(index + index // 4) % 4], "width": width}


def marker_of(index: int, size: float) -> dict:
    """Colour and symbol of the index-th kind of marker in a figure; after 16 kinds they repeat."""
    return {"color": COLORS[index % 4], "symbol": SYMBOLS[(index + index // 4) % 4], "size": size}


def log_axis(low: float, high: float) -> dict:
    """A logarithmic plotly axis for values from `low` to `high`: ticks at 1, 2, 5, 10, … or at powers of ten.

    Plotly's own choice labels every digit of a short axis, one over the other.
    """
    dtick = {"dtick": "D2" if high < low * 1e4 else 1} if high > low * 4 else {}
    return {"type": "log", "tickformat": "~g", **dtick}


def color_axis(unit: str, low: float, high: float, colorscale=SEQUENTIAL, **bar) -> dict:
    """A plotly colour axis from `low` to `high`, with a slim bar that names the unit; `bar` changes that."""
    title = {"text": unit, "side": "right", "font": {"size": 12}}
    bar = {"title": title, "thickness": 10, "nticks": 5, "outlinewidth": 0, **bar}
    return {"colorscale": colorscale, "cmin": low, "cmax": high, "colorbar": bar}


def kinds_axis(kinds: Sequence[str]) -> dict:
    """A plotly colour axis for the values 0, 1, 2 …: a colour and a name for each, no scale between them."""
    count, steps = len(kinds), sample_colorscale(SEQUENTIAL, np.linspace(0, 1, max(len(kinds), 2)).tolist())
    scale = [[edge / count, color] for k, color in enumerate(steps[:count]) for edge in (k, k + 1)]
    bar = {"tickvals": list(range(count)), "ticktext": list(kinds), "nticks": None, "len": 0.25 * count}
    return color_axis("", -0.5, count - 0.5, scale, **bar)


def with_gaps(*ends: np.ndarray) -> np.ndarray:
    """N lines for one trace, (N·(K + 1), D), through K points each, K arrays (N, D); NaN lifts the pen."""
    return np.stack([*ends, np.full_like(ends[0], np.nan)], axis=1).reshape(-1, ends[0].shape[-1])


def as_array(values) -> np.ndarray | None:
    """A NumPy array of a tensor, a list or an array; None stays None."""
    if values is None:
        return None
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    return np.asarray(values)


def as_pictures(images) -> list[np.ndarray]:
    """Views as a list of uint8 (H, W, 3): from (S, 3, H, W) or (S, H, W, 3), [0, 1] floats or uint8."""
    pictures = []
    for image in images:
        image = as_array(image)
        if image.ndim != 3 or 3 not in (image.shape[0], image.shape[-1]):
            raise ValueError(f"a view has shape {image.shape}; it must be (3, H, W) or (H, W, 3).")
        if image.shape[-1] != 3:
            image = image.transpose(1, 2, 0)  # (H, W, 3)
        if image.dtype != np.uint8:
            image = (np.nan_to_num(image).clip(0, 1) * 255 + 0.5).astype(np.uint8)
        pictures.append(image)
    return pictures


def thin(image: np.ndarray, longest: int) -> np.ndarray:
    """Every k-th row and column, so that no side is longer than `longest` (maps must not be blended)."""
    step = max(1, -(-max(image.shape[:2]) // longest))
    return image[::step, ::step]


def colorize(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Values (H, W) → cividis RGBA uint8 (H, W, 4); NaN becomes transparent."""
    table = np.array([unlabel_rgb(c) for c in sample_colorscale(SEQUENTIAL, 256)])
    scaled = (np.nan_to_num(values) - low) / max(high - low, 1e-12)
    rgb = table[(scaled.clip(0, 1) * 255).astype(int)]  # (H, W, 3)
    alpha = np.isfinite(values) * 255.0
    return np.dstack([rgb, alpha]).round().astype(np.uint8)


def small_png(image: Image.Image, colors: int = 128, smooth: bool = False) -> bytes:
    """PNG bytes of a picture in few colours, with transparency: soft edges of text and lines stay soft.

    Pillow's finer methods ignore transparency, and the one that sees it is coarse. Opaque pixels get three
    quarters of the palette by a fine one, all others the rest by the coarse one.

    Args:
        image: The picture.
        colors: At most so many.
        smooth: More of them for what is common, so that ramps have no steps: for a large palette, and larger
            files. Otherwise rare colours are kept.
    """
    pixels = np.array(image.convert("RGBA"))
    pixels[pixels[..., 3] == 0] = 0  # what is clear has no colour
    opaque = pixels[..., 3] == 255
    index, palette = np.zeros(opaque.shape, np.uint8), np.zeros((0, 4), np.uint8)
    method = Image.Quantize.MEDIANCUT if smooth else Image.Quantize.MAXCOVERAGE
    fine = {"colors": 3 * colors // 4, "method": method, "kmeans": 1}
    coarse = {"colors": colors // 4, "method": Image.Quantize.FASTOCTREE}
    for part, channels, how in ((opaque, 3, fine), (~opaque, 4, coarse)):
        if part.any():
            row = Image.fromarray(pixels[part][None, :, :channels]).quantize(**how)  # (1, N, channels)
            index[part] = np.asarray(row)[0] + len(palette)
            found = np.array(row.getpalette("RGBA"), np.uint8).reshape(-1, 4)
            palette = np.concatenate([palette, found])
    small, buffer = Image.fromarray(index), io.BytesIO()
    small.putpalette(palette[:, :3].tobytes())
    small.save(buffer, "PNG", optimize=True, transparency=palette[:, 3].tobytes())
    return buffer.getvalue()


def jpeg_uri(picture: np.ndarray) -> str:
    """A picture (H, W, 3) as a JPEG that a page or a figure can hold within itself."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=90)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def png_uri(picture: np.ndarray, *options, **named) -> str:
    """A picture (H, W, 3 or 4) as a PNG in few colours that a page can hold; options of `small_png`."""
    png = small_png(Image.fromarray(picture), *options, **named)
    return "data:image/png;base64," + base64.b64encode(png).decode()
