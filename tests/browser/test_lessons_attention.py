"""Lesson 03 in JupyterLab: the frequency slider moves, and the similarity figure changes with it."""

import json

from tests.browser.lab_page import (
    PATIENCE,
    cells_with,
    open_notebook,
    run_all,
    wait_for_traces,
    write_notebook,
)

# The lesson's own cells, and only those that the slider needs.
NEEDED = ["from vggt_lite.model import", "def similarity(", "viz.show_with_sliders("]
FIGURE = ".jp-OutputArea:has(.vggt-frequency) .js-plotly-plot"
# Values of a heat map travel as typed arrays (rows in one piece) or as lists of rows: read both.
VALUES = """() => {
    const z = document.querySelector('FIGURE').data[0].z;
    return Array.from(z).flatMap(row => row.length === undefined ? [row] : Array.from(row))
        .map(value => Math.round(100 * value));
}""".replace("FIGURE", FIGURE)
CHANGED = f"before => JSON.stringify(({VALUES})()) !== before"


def test_the_frequency_slider_changes_the_similarity_of_patches(page, lab):
    write_notebook(lab, "rotary.ipynb", cells_with(lab, "03_attention_and_rope.ipynb", NEEDED))
    open_notebook(page, lab, "rotary.ipynb")
    run_all(page)

    wait_for_traces(page, FIGURE)
    before = page.evaluate(VALUES)
    assert min(before) < -90 and max(before) == 100  # one radian a patch: stripes of both signs
    page.locator(".vggt-frequency .noUi-handle").focus()
    page.keyboard.press("End")  # all frequencies together
    page.wait_for_function(CHANGED, arg=json.dumps(before, separators=(",", ":")), timeout=PATIENCE)
    after = page.evaluate(VALUES)
    assert len(after) == len(before) == 16 * 16
    assert min(after) > 0 and max(after) == 100  # one hill
    assert not page.errors, page.errors
