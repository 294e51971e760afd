"""Lesson 04 in JupyterLab: the attention explorer's sliders change where the patch looks."""

import json

from tests.browser.lab_page import (
    PATIENCE,
    cells_with,
    number_of_colors,
    open_notebook,
    run_all,
    wait_for_traces,
    write_notebook,
)

# The lesson's own cells, and only those that the explorer needs.
NEEDED = [
    "from vggt_lite.utils.runtime import",
    "def my_tables(",
    "def my_spots(",
    "def my_looks(",
    "looks = my_looks(images)",
    "def draw_looks(",
    "viz.show_with_sliders(",
]
FIGURE = ".jp-OutputArea:has(.vggt-layer) .js-plotly-plot"
# Of every view: the sum of what is read there, in thousandths (what cannot be read is NaN); and the titles.
READ = """() => {
    const plot = document.querySelector('FIGURE');
    const rows = z => Array.from(z).flatMap(row => row.length === undefined ? [row] : Array.from(row));
    const heats = plot.data.filter(trace => trace.type === 'heatmap');
    const maps = heats.map(trace => rows(trace.z).filter(Number.isFinite));
    const titles = plot.layout.annotations.map(note => note.text);
    return [maps.map(values => Math.round(1000 * values.reduce((a, b) => a + b, 0))), titles];
}""".replace("FIGURE", FIGURE)
CHANGED = f"before => JSON.stringify(({READ})()) !== before"


def test_layer_and_kind_change_what_the_patch_reads(page, lab):
    write_notebook(lab, "explorer.ipynb", cells_with(lab, "04_alternating_attention.ipynb", NEEDED))
    open_notebook(page, lab, "explorer.ipynb")
    run_all(page)

    figure = wait_for_traces(page, FIGURE)
    assert number_of_colors(figure) > 50

    def moved(slider: str, key: str):
        before = page.evaluate(READ)
        page.locator(f".vggt-{slider} .noUi-handle").focus()
        page.keyboard.press(key)
        before_text = json.dumps(before, separators=(",", ":"), ensure_ascii=False)
        page.wait_for_function(CHANGED, arg=before_text, timeout=PATIENCE)
        return page.evaluate(READ)

    reading, titles = moved("layer", "End")
    assert len(reading) == 4 and all(sum_of_view > 0 for sum_of_view in reading)
    assert all("special" in title for title in titles[4:])
    reading, titles = moved("kind", "End")  # frame attention
    assert reading[1:] == [0, 0, 0] and titles[5:] == [f"view {v}: not read" for v in (2, 3, 4)]
    assert not page.errors, page.errors
