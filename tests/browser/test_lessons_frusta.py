"""Lesson 05's slider over rounds: the cameras walk on, in place."""

from tests.browser.lab_page import (
    PATIENCE,
    number_of_colors,
    open_notebook,
    run_all,
    wait_for_traces,
    write_notebook,
)

CELL = """import numpy as np
from vggt_lite import viz


def cameras(shift):
    where = np.tile(np.eye(3, 4, dtype=np.float32), (3, 1, 1))
    where[:, 0, 3] = -shift * np.arange(3)
    lens = np.tile(np.array([[32.0, 0, 32], [0, 32, 32], [0, 0, 1]], np.float32), (3, 1, 1))
    return viz.Cameras(where, lens, 3 * [(64, 64)], [1, 2, 3])


points = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32) + np.float32([1, 0, 3])
colors = np.random.default_rng(1).integers(0, 256, (300, 3)).astype(np.uint8)
cloud = viz.Cloud(points, colors, np.ones(300, np.float32), np.zeros(300, int))
path = [cameras(0.2), cameras(0.6), cameras(0.9)]
viz.show_with_sliders(
    lambda round: viz.draw_frusta(cloud, path, round - 1, cameras(1.0), f"after round {round}"),
    {"round": [1, 2, 3]},
    alt="Three cameras on their way.",
)
"""
FIGURE = ".jp-OutputArea:has(.vggt-round) .js-plotly-plot"
# The cameras' lines, as the browser holds them, and the title above.
STATE = """() => {
    const plot = document.querySelector('FIGURE');
    const lines = plot.data.filter(trace => trace.name === 'cameras')[0];
    return JSON.stringify([Array.from(lines.x).slice(10, 30), plot.layout.title.text]);
}""".replace("FIGURE", FIGURE)


def test_the_slider_over_rounds_moves_the_cameras_in_place(page, lab):
    write_notebook(lab, "frusta.ipynb", [CELL])
    open_notebook(page, lab, "frusta.ipynb")
    run_all(page)

    figure = wait_for_traces(page, FIGURE)
    before = page.evaluate(STATE)
    assert "after round 1" in before
    assert number_of_colors(figure) > 20
    page.locator(".vggt-round .noUi-handle").first.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"before => ({STATE})() !== before", arg=before, timeout=PATIENCE)
    page.wait_for_function(f"() => ({STATE})().includes('after round 2')", timeout=PATIENCE)
    assert not page.errors, page.errors
    assert not page.outside, page.outside
