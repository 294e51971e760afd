"""Lesson 03 in JupyterLab: the frequency slider moves, and the similarity figure changes with it."""

import json

from tests.browser.test_quickstart import PATIENCE, STARTED

NOTEBOOK = "rotary_slider.ipynb"  # the lesson's own cells, and only those that the slider needs
FIGURE = ".jp-OutputArea:has(.vggt-frequency) .js-plotly-plot"
# Values of a heat map travel as typed arrays (rows in one piece) or as lists of rows: read both.
VALUES = """() => {
    const z = document.querySelector('FIGURE').data[0].z;
    return Array.from(z).flatMap(row => row.length === undefined ? [row] : Array.from(row))
        .map(value => Math.round(100 * value));
}""".replace("FIGURE", FIGURE)
CHANGED = f"before => JSON.stringify(({VALUES})()) !== before"


def needed_cells(source):
    """The cell that defines `similarity`, the one that shows the slider, and the imports before them."""
    import nbformat

    lesson = nbformat.read(source, as_version=4)
    code = [cell for cell in lesson.cells if cell.cell_type == "code"]
    wanted = ("from vggt_lite.layers import", "def similarity(", "viz.show_with_sliders(")
    lesson.cells = [next(cell for cell in code if word in cell.source) for word in wanted]
    for cell in lesson.cells:
        cell.outputs, cell.execution_count = [], None
    return lesson


def test_the_frequency_slider_changes_the_similarity_of_patches(page, lab):
    import nbformat

    notebooks = lab.folder / "notebooks"
    nbformat.write(needed_cells(notebooks / "03_attention_and_rope.ipynb"), notebooks / NOTEBOOK)
    page.goto(f"{lab.url}/lab/tree/notebooks/{NOTEBOOK}?reset&token={lab.token}")
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
    page.locator("text=/\\| Idle/").first.wait_for(timeout=PATIENCE)
    page.click("#jp-MainMenu >> text=Run")
    page.locator("li[data-command='runmenu:run-all']").click()
    page.wait_for_function(STARTED, timeout=PATIENCE)

    page.locator(FIGURE).first.wait_for(timeout=PATIENCE)
    before = page.evaluate(VALUES)
    assert min(before) < -90 and max(before) == 100  # one radian a patch: stripes of both signs
    page.locator(".vggt-frequency .noUi-handle").focus()
    page.keyboard.press("End")  # all frequencies together
    page.wait_for_function(CHANGED, arg=json.dumps(before, separators=(",", ":")), timeout=PATIENCE)
    after = page.evaluate(VALUES)
    assert len(after) == len(before) == 16 * 16
    assert min(after) > 0 and max(after) == 100  # one hill
    assert not page.errors, page.errors
