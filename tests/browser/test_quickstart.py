"""Notebook 00 as a newcomer meets it: JupyterLab, Run All, move the slider, the figure changes."""

import nbformat

from tests.browser.lab_page import (
    PATIENCE,
    assert_no_upload,
    clear_outputs,
    number_of_colors,
    open_notebook,
    run_all,
    wait_for_traces,
)

# The first live figure: its points, which the kernel replaces when a control moves.
CONTROLS = ".jp-OutputArea:has(.vggt-confidence)"
FIGURE = f"{CONTROLS} .js-plotly-plot"
# Figures that are drawn and hold data, without a pointer over them
LIVE = """() => [...document.querySelectorAll('.jp-OutputArea .js-plotly-plot')]
    .filter(plot => plot.data?.length && plot.querySelector('.main-svg')).length"""
COUNT = f"() => document.querySelector('{FIGURE}').data[0].x.length"


def test_every_cell_runs_and_the_slider_changes_the_figure(page, lab):
    open_notebook(page, lab, "00_quickstart.ipynb")
    clear_outputs(page)
    run_all(page)
    errors = page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.error']")
    assert not errors.count(), errors.first.inner_text()

    saved = nbformat.read(lab.folder / "notebooks" / "00_quickstart.ipynb", as_version=4)
    stills = [o for c in saved.cells for o in c.get("outputs", []) if "image/png" in o.get("data", {})]
    page.wait_for_function(f"count => ({LIVE})() === count", arg=len(stills), timeout=PATIENCE)
    assert not page.locator(".jp-OutputArea .jp-RenderedImage").count(), (
        "a bitmap where a live figure should be"
    )

    figure = wait_for_traces(page, FIGURE)
    figure.scroll_into_view_if_needed(timeout=PATIENCE)
    before = page.evaluate(COUNT)
    assert before > 100
    assert number_of_colors(figure) > 50

    boxes = page.locator(f"{CONTROLS} input[type=checkbox]")
    for view in (1, 2, 3):  # a twentieth of one view is less than the most points drawn
        boxes.nth(view).uncheck()
    slider = page.locator(".vggt-confidence").first
    press_end(page, slider)  # hide 95 % of the points
    page.wait_for_function(f"before => ({COUNT})() < before", arg=before, timeout=PATIENCE)
    assert page.evaluate(COUNT) > 0
    assert_no_upload(page)
    assert not page.errors, page.errors
    assert not page.outside, page.outside


def press_end(page, slider) -> None:
    """Bring the slider to 95 %. Lab takes the focus to its last cell when a run ends: then press again."""
    for _ in range(20):
        slider.locator(".noUi-handle").press("End")
        if "95 %" in slider.inner_text():
            return
        page.wait_for_timeout(1_000)
    raise AssertionError(f"the slider says {slider.inner_text()!r}")
