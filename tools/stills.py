"""Still pictures of plotly figures, drawn by the browser and the plotly.js that draw the live ones.

Nothing is fetched: plotly.js comes with the Python package. Needs playwright and a Chromium; CHROMIUM=/path
names a binary.
"""

import base64
import importlib.util
import io
import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from PIL import Image
from plotly.offline import get_plotlyjs

from vggt_lite.viz.style import small_png

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
# Software WebGL (SwiftShader), and none of the background traffic of a desktop browser.
FLAGS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
]
WIDTH, HEIGHT = 700, 450  # pixels of a figure that takes the size of its page: a column of text
# Ways to make PNGs small, from fine to coarse: the number of colours, and whether ramps are smooth.
PALETTES = ((256, True), (256, False), (128, False), (64, False), (32, False))
DRAW = "([figure, size]) => Plotly.toImage(figure, {format: 'png', scale: 1, ...size})"


def missing() -> str | None:
    """Why nothing can be drawn here, or None."""
    if not CHROMIUM:
        return "no Chromium found: apt-get install chromium, or set CHROMIUM=/path/to/chrome"
    if not importlib.util.find_spec("playwright"):
        return "playwright is not installed: pip install -e '.[browser]'"
    return None


def draw(figures: Sequence[Mapping]) -> list[Image.Image]:
    """A picture of each figure, as large as the live one and as transparent.

    Args:
        figures: plotly's JSON: dictionaries with `data` and `layout`.

    Raises:
        RuntimeError: no Chromium, or no playwright.
    """
    if reason := missing():
        raise RuntimeError(reason)
    with ThreadPoolExecutor(1) as thread:  # playwright refuses one that runs an event loop
        return thread.submit(_draw_all, figures).result()


def _draw_all(figures: Sequence[Mapping]) -> list[Image.Image]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        page = browser.new_context(offline=True).new_page()
        page.add_script_tag(content=get_plotlyjs())
        pictures = [_draw_one(page, figure) for figure in figures]
        browser.close()
    return pictures


def _draw_one(page, figure: Mapping) -> Image.Image:
    layout = figure["layout"]
    size = {"width": layout.get("width", WIDTH), "height": layout.get("height", HEIGHT)}
    content = {"data": figure["data"], "layout": layout}
    uri = page.evaluate(DRAW, [content, size])
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))


def as_pngs(pictures: Sequence[Image.Image], room: int) -> list[bytes]:
    """PNGs that take at most `room` bytes together, if they can: the largest give up colours first."""
    pngs, steps = [small_png(picture, *PALETTES[0]) for picture in pictures], [0] * len(pictures)
    while sum(map(len, pngs)) > room and min(steps) < len(PALETTES) - 1:
        left = [index for index, step in enumerate(steps) if step < len(PALETTES) - 1]
        largest = max(left, key=lambda index: len(pngs[index]))
        steps[largest] += 1
        pngs[largest] = small_png(pictures[largest], *PALETTES[steps[largest]])
    return pngs
