"""The first 3-D figure of fresh kernels on a busy machine: always drawn, never empty axes.

FRESH_KERNELS=20 opens as many; a test run opens a few.
"""

import os
import subprocess
import sys
from contextlib import contextmanager

import pytest

from tests.browser.lab_page import (
    PATIENCE,
    number_of_colors,
    open_notebook,
    run_all,
    wait_for_traces,
    write_notebook,
)

COUNT = int(os.environ.get("FRESH_KERNELS", "3"))
CELL = """from vggt_lite import viz
from vggt_lite.inference import Reconstruction
from vggt_lite.synthetic import generate_scenes

scene = Reconstruction.from_batch(generate_scenes(1_000_000, 1, 2, 48, 48))
viz.show_reconstruction(scene, alt="A room.")"""
FIGURE = ".jp-OutputArea .js-plotly-plot"
EYE = "() => Object.values(document.querySelector('FIGURE')._fullLayout.scene._scene.getCamera().eye)"
EYE = EYE.replace("FIGURE", FIGURE)


@contextmanager
def load():
    """Every core has something else to do."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in os.sched_getaffinity(0)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


@pytest.mark.parametrize("number", range(COUNT))
def test_the_first_cloud_of_a_fresh_kernel_is_drawn(page, lab, number):
    name = f"fresh_{number}.ipynb"
    write_notebook(lab, name, [CELL])
    with load():
        open_notebook(page, lab, name)
        run_all(page)
        figure = wait_for_traces(page, FIGURE)
        for _ in range(100):
            if number_of_colors(figure) > 50:
                break
            page.wait_for_timeout(200)
        else:
            raise AssertionError("the figure holds its data, but shows nothing")
    assert not page.errors, page.errors


def test_arrow_keys_turn_a_scene_and_lab_does_not_go_to_the_next_cell(page, lab):
    write_notebook(lab, "keys.ipynb", [CELL, "1 + 1"])
    open_notebook(page, lab, "keys.ipynb")
    run_all(page)
    figure = wait_for_traces(page, FIGURE)
    number_of_colors(figure)
    assert "Arrow keys" in figure.get_attribute("aria-label")
    page.locator(".vggt-confidence .noUi-handle").focus()
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.classList.contains('js-plotly-plot')"):
            break
    else:
        raise AssertionError("the figure cannot be reached with the tab key")
    assert figure.evaluate("plot => getComputedStyle(plot).outlineStyle") == "solid", "the focus can be seen"

    def after(key):
        page.keyboard.press(key)
        return page.evaluate(EYE)

    start = page.evaluate(EYE)
    right = after("ArrowRight")
    # Around the vertical; plotly eases into a new view, so values are near, not equal
    assert right[1] == pytest.approx(start[1], abs=0.02) and right[0] > start[0] + 0.1
    assert after("ArrowLeft") == pytest.approx(start, abs=0.02)
    assert after("ArrowUp")[1] < start[1]  # y points down
    after("ArrowDown")
    near, far = sum(x * x for x in after("+")), sum(x * x for x in start)
    assert near < far
    active = "() => document.activeElement.classList.contains('js-plotly-plot')"
    assert page.evaluate(active)
    page.locator(".vggt-confidence .noUi-handle").first.press("End")  # fewer points, the same view
    page.wait_for_function(
        f"() => document.querySelector('{FIGURE}').data[0].x.length < 1000", timeout=PATIENCE
    )
    assert sum(x * x for x in page.evaluate(EYE)) == pytest.approx(near, rel=0.05)
    assert not page.errors, page.errors
