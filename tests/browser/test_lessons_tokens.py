"""Lesson 02's slider over the stages of the ViT: another stage, other colours, in place."""

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
pictures = torch.rand(2, 3, 64, 96, generator=generator)
stages = {name: torch.rand(2, 8, 12, 16, generator=generator) for name in ("entry", "block 1", "norm")}
colors = {name: viz.pca_colors(tokens) for name, tokens in stages.items()}


def draw(stage):
    return viz.draw_tokens(pictures, {"tokens": colors[stage]})


viz.show_with_sliders(draw, {"stage": list(colors)}, alt="Two pictures and the colours of their tokens.")
"""
FIGURE = ".jp-OutputArea:has(.vggt-stage) .js-plotly-plot"
# The first coloured token of the first picture, as the browser holds it.
TOKEN = """() => {
    const images = document.querySelector('FIGURE').data.filter(trace => trace.z);
    const cell = Array.from(images[0].z)[0][0];
    return JSON.stringify([images.length, Array.from(cell)]);
}""".replace("FIGURE", FIGURE)


def test_the_slider_over_stages_changes_the_colours_in_place(page, lab):
    write_notebook(lab, "tokens.ipynb", [CELL])
    open_notebook(page, lab, "tokens.ipynb")
    run_all(page)

    figure = wait_for_traces(page, FIGURE)
    before = page.evaluate(TOKEN)
    assert number_of_colors(figure) > 50
    page.locator(".vggt-stage .noUi-handle").first.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"before => ({TOKEN})() !== before", arg=before, timeout=PATIENCE)
    assert "block 1" in page.locator(".vggt-stage").first.inner_text()
    assert not page.errors, page.errors
    assert not page.outside, page.outside
