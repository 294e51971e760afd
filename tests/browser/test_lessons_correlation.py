"""Lesson 07's slider over the levels of the pyramid: coarser cells and a larger window, in place."""

from tests.browser.lab_page import (
    PATIENCE,
    number_of_colors,
    open_notebook,
    run_all,
    wait_for_traces,
    write_notebook,
)

CELL = """import torch
from vggt_lite import viz

generator = torch.Generator().manual_seed(0)
pictures = torch.rand(2, 3, 32, 32, generator=generator)
level_maps = [torch.rand(2, 32 // 2**level, 32 // 2**level, generator=generator) for level in (1, 2, 3)]
at = torch.tensor([[10.0, 12.0], [14.0, 12.0]])


def draw(level):
    return viz.draw_correlation(pictures, level_maps[level], at, at + 2, radius=1)


viz.show_with_sliders(draw, {"level": (0, 1, 2)}, alt="Two pictures, their correlation maps and a window.")
"""
FIGURE = ".jp-OutputArea:has(.vggt-level) .js-plotly-plot"
# Width of the first map's cells and of its window, in pixels of the picture.
SIZES = """() => {
    const plot = document.querySelector('FIGURE');
    const map = plot.data.find(trace => trace.type === 'heatmap'), box = plot.layout.shapes[0];
    return JSON.stringify([map.dx, Math.round(box.x1 - box.x0)]);
}""".replace("FIGURE", FIGURE)


def test_the_slider_over_levels_enlarges_cells_and_window(page, lab):
    write_notebook(lab, "correlation.ipynb", [CELL])
    open_notebook(page, lab, "correlation.ipynb")
    run_all(page)

    figure = wait_for_traces(page, FIGURE)
    assert page.evaluate(SIZES) == "[2,6]"
    assert number_of_colors(figure) > 50
    page.locator(".vggt-level .noUi-handle").first.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"() => ({SIZES})() === '[4,12]'", timeout=PATIENCE)
    assert not page.errors, page.errors
    assert not page.outside, page.outside
