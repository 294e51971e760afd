"""Lesson 04 in JupyterLab on a projector: the attention explorer follows a click on a patch, and sliders."""

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
    "viz.show_attention_explorer(",
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


# Where the cross stands: per view x and y, from 1; null in the other views.
CROSSES = """() => document.querySelector('FIGURE').data
    .filter(trace => trace.marker?.symbol === 'x').map(trace => [trace.x[0], trace.y[0]])
    .filter((_, number) => number % 2 === 0)""".replace("FIGURE", FIGURE)
CONTROLS = ".jp-OutputArea:has(.vggt-layer) :is(.widget-slider, .widget-dropdown)"


def test_a_click_chooses_the_patch_and_sliders_the_rest(page, lab):
    page.set_viewport_size({"width": 1280, "height": 720})
    write_notebook(lab, "explorer.ipynb", cells_with(lab, "04_alternating_attention.ipynb", NEEDED))
    open_notebook(page, lab, "explorer.ipynb")
    run_all(page)

    figure = wait_for_traces(page, FIGURE)
    controls = page.locator(CONTROLS)
    controls.first.evaluate("control => control.scrollIntoView({block: 'start'})")
    assert number_of_colors(figure) > 50
    boxes = [control.bounding_box() for control in controls.all()]
    heights = [box["y"] for box in boxes]
    assert len(boxes) == 6 and max(heights) - min(heights) < 5, "one row of controls"
    cell = page.locator(".jp-Cell:has(.vggt-layer)").bounding_box()
    notebook = page.locator(".jp-WindowedPanel-outer").last.bounding_box()
    drawn = figure.locator(".main-svg").first.bounding_box()
    assert heights[0] > notebook["y"] - 1, "the controls are on the screen"
    assert drawn["y"] + drawn["height"] <= notebook["y"] + notebook["height"], (
        "and the whole figure below them"
    )
    assert all(box["x"] + box["width"] <= cell["x"] + cell["width"] for box in [*boxes, drawn])
    assert page.evaluate(CROSSES) == [[7, 6], [None, None], [None, None], [None, None]]

    def changed(act):
        before = json.dumps(page.evaluate(READ), separators=(",", ":"), ensure_ascii=False)
        act()
        page.wait_for_function(CHANGED, arg=before, timeout=PATIENCE)
        return page.evaluate(READ)

    def press(control: str, key: str):
        page.locator(f".vggt-{control} .noUi-handle").focus()
        page.keyboard.press(key)

    def click(subplot: str, row: int, column: int):
        box = page.locator(f"{FIGURE} .nsewdrag[data-subplot='{subplot}']").bounding_box()
        page.mouse.click(
            box["x"] + (column - 0.5) * box["width"] / 8, box["y"] + (row - 0.5) * box["height"] / 8
        )

    changed(lambda: click("x2y2", row=3, column=5))  # in the picture of view 2
    assert page.evaluate(CROSSES) == [[None, None], [5, 3], [None, None], [None, None]]
    said = [page.locator(f".vggt-{name} .widget-readout").inner_text() for name in ("view", "row", "column")]
    assert said == ["2", "3", "5"]
    changed(lambda: click("x7y7", row=8, column=1))  # in the attention map of view 3
    assert page.evaluate(CROSSES)[2] == [1, 8]

    reading, titles = changed(lambda: press("layer", "End"))
    assert len(reading) == 8 and all(sum_of_view > 0 for sum_of_view in reading[1::2])
    assert all("special" in title for title in titles[4:])
    kind = page.locator(".vggt-kind select")
    reading, titles = changed(lambda: kind.select_option("frame"))
    assert reading[1::2].count(0) == 3
    assert titles[4:6] + titles[7:] == [f"view {v}: not read" for v in (1, 2, 4)]
    page.evaluate("() => document.activeElement.blur()")
    names = [
        page.get_by_role("slider", name=f"{name} ").count() for name in ("view", "row", "column", "head")
    ]
    assert names == [1, 1, 1, 1] and page.get_by_role("combobox", name="kind").count() == 1
    assert not page.errors, page.errors
