"""Lesson 11's league: another protocol, and the rows change places without a new figure."""

from tests.browser.lab_page import PATIENCE, open_notebook, run_all, wait_for_traces, write_notebook

CELL = """from vggt_lite import viz

SCORES = {"none": {"small": 0.20, "large": 0.15}, "scale": {"small": 0.10, "large": 0.12}}


def draw(alignment):
    rows = {name: viz.Interval(x, x - 0.01, x + 0.02) for name, x in SCORES[alignment].items()}
    return viz.draw_intervals({"AbsRel": rows}, "error", order="lowest first")


viz.show_with_sliders(draw, {"alignment": list(SCORES)}, alt="Two picture sizes in the order of their error.")
"""
FIGURE = ".jp-OutputArea:has(.vggt-alignment) .js-plotly-plot"
# The names beside the rows, from top to bottom, as the browser shows them.
NAMES = """() => {
    const texts = Array.from(document.querySelectorAll('FIGURE .annotation-text'));
    const names = texts.filter(text => ['small', 'large'].includes(text.textContent.trim()));
    names.sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top);
    return names.map(text => text.textContent.trim()).join(' ');
}""".replace("FIGURE", FIGURE)


def test_the_order_of_the_rows_follows_the_protocol(page, lab):
    write_notebook(lab, "league.ipynb", [CELL])
    open_notebook(page, lab, "league.ipynb")
    run_all(page)

    wait_for_traces(page, FIGURE)
    page.wait_for_function(f"({NAMES})() === 'large small'", timeout=PATIENCE)
    page.locator(".vggt-alignment select").first.select_option("scale")
    page.wait_for_function(f"({NAMES})() === 'small large'", timeout=PATIENCE)
    assert not page.errors, page.errors
    assert not page.outside, page.outside
