"""A live figure in a busy browser: anywidget gives it up, and it changes all the same."""

from tests.browser.lab_page import PATIENCE, open_notebook, run_all, wait_for_traces, write_notebook

CELL = """from vggt_lite import viz

def draw(height):
    return viz.draw_bars({"bar": {"height": height}}, "unit").update_layout(title=f"height {height}")


viz.show_with_sliders(draw, {"height": [1, 2, 3]}, alt="A bar.")
"""
FIGURE = ".jp-OutputArea:has(.vggt-height) .js-plotly-plot"
# anywidget allows two seconds
GIVE_UP_AT_ONCE = """AbortSignal.timeout = () => {
    const controller = new AbortController();
    queueMicrotask(() => controller.abort());
    return controller.signal;
}"""


def test_a_figure_changes_even_if_its_code_loaded_too_late(page, lab):
    page.add_init_script(GIVE_UP_AT_ONCE)
    write_notebook(lab, "live.ipynb", [CELL])
    open_notebook(page, lab, "live.ipynb")
    run_all(page)

    wait_for_traces(page, FIGURE)
    page.locator(".vggt-height .noUi-handle").first.press("End")
    said = f"() => document.querySelector('{FIGURE}').textContent.includes('height 3')"
    page.wait_for_function(said, timeout=PATIENCE)
    assert page.late, "anywidget did not give up: this test shows nothing"
    assert not page.errors, page.errors
