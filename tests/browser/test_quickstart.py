"""Notebook 00 as a newcomer meets it: JupyterLab, Run All, move the slider, the figure changes."""

import json

from tests.browser.lab_page import PATIENCE, clear_outputs, number_of_colors, open_notebook, run_all

# The first live figure: its points, which the kernel replaces when a control moves.
FIGURE = ".jp-OutputArea:has(.vggt-confidence) .js-plotly-plot"
POINTS = """() => {
    const points = document.querySelector('FIGURE').data[0];
    return [points.x.length, points.x[0], points.y[0]];
}""".replace("FIGURE", FIGURE)
CHANGED = f"before => JSON.stringify(({POINTS})()) !== before"


def test_every_cell_runs_and_the_slider_changes_the_figure(page, lab):
    open_notebook(page, lab, "00_quickstart.ipynb")
    clear_outputs(page)
    run_all(page)
    errors = page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.error']")
    assert not errors.count(), errors.first.inner_text()

    figure = page.locator(FIGURE).first
    figure.scroll_into_view_if_needed(timeout=PATIENCE)
    before = page.evaluate(POINTS)
    assert before[0] > 100
    assert number_of_colors(figure) > 50

    slider = page.locator(".vggt-confidence").first
    slider.locator(".noUi-handle").focus()
    page.keyboard.press("End")  # hide 95 % of the points
    page.wait_for_function(CHANGED, arg=json.dumps(before, separators=(",", ":")), timeout=PATIENCE)
    after = page.evaluate(POINTS)
    assert "95 %" in slider.inner_text()
    assert 0 < after[0] < before[0]
    assert not page.errors, page.errors
    assert not page.outside, page.outside
