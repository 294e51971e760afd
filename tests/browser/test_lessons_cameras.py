"""Notebook 01's new figures in JupyterLab: sliders and a click move the epipolar line; residuals shrink."""

import json

import pytest

from tests.browser.lab_page import PATIENCE, open_notebook, run_all, wait_for_traces, write_notebook

CODE = """
import torch
from vggt_lite import viz
from vggt_lite.synthetic import generate_scenes

scene = generate_scenes(1_000_002, 1, 2, 48, 64, num_tracks=20).apply(lambda x: x[0])
views = viz.Epipolar(scene.images, scene.cam_from_world, scene.intrinsics, scene.depth)
viz.show_epipolar(views, start=(30, 20), alt="A point and its line.")
"""
RESIDUALS = """
def draw(step):
    landed = scene.tracks + (4.0 - step)
    return viz.draw_residuals(scene.images, scene.tracks, landed, scene.track_visibility)


viz.show_with_sliders(draw, {"step": [0, 1, 2, 3]}, alt="Errors that shrink.")
"""
EPIPOLAR = ".jp-OutputArea:has(.vggt-x) .js-plotly-plot"
SHRINKING = ".jp-OutputArea:has(.vggt-step) .js-plotly-plot"
LINE = f"""() => {{
    const line = document.querySelector('{EPIPOLAR}').data.find(trace => trace.name == 'epipolar line');
    return [...line.y];
}}"""
TITLE = f"() => document.querySelector('{SHRINKING}').layout.title.text"
MOVED = f"before => JSON.stringify(({LINE})()) !== before"


@pytest.fixture
def figures(page, lab):
    """A notebook with the two kinds of figures, run."""
    write_notebook(lab, "cameras.ipynb", [CODE, RESIDUALS])
    open_notebook(page, lab, "cameras.ipynb")
    run_all(page)
    wait_for_traces(page, EPIPOLAR)
    wait_for_traces(page, SHRINKING)
    return page


def test_the_line_follows_slider_and_click_and_residuals_shrink(figures):
    page = figures
    plot = page.locator(EPIPOLAR).first
    plot.scroll_into_view_if_needed(timeout=PATIENCE)
    before = page.evaluate(LINE)
    page.locator(".vggt-y .noUi-handle").focus()
    page.keyboard.press("End")
    page.wait_for_function(MOVED, arg=json.dumps(before, separators=(",", ":")), timeout=PATIENCE)

    before = page.evaluate(LINE)
    drag = plot.locator(".nsewdrag").first
    box = drag.bounding_box()
    page.mouse.click(box["x"] + 0.3 * box["width"], box["y"] + 0.3 * box["height"])
    page.wait_for_function(MOVED, arg=json.dumps(before, separators=(",", ":")), timeout=PATIENCE)

    title = page.evaluate(TITLE)
    page.locator(".vggt-step .noUi-handle").focus()
    page.keyboard.press("End")
    page.wait_for_function(f"before => ({TITLE})() !== before", arg=title, timeout=PATIENCE)
    assert not page.errors, page.errors
    assert not page.outside, page.outside


def test_what_stands_beside_a_slider_is_not_cut(figures):
    figures.set_viewport_size({"width": 1280, "height": 720})
    figures.locator(".vggt-guess .noUi-handle").scroll_into_view_if_needed(timeout=PATIENCE)
    cut = "all => all.filter(e => e.scrollWidth > e.clientWidth).map(e => e.innerText)"
    assert figures.locator(".widget-readout").evaluate_all(cut) == []
