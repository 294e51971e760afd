"""Notebook 00 as a newcomer meets it: JupyterLab, Run All, move the slider, the figure changes."""

import io
import json

from PIL import Image

NOTEBOOK = "notebooks/00_quickstart.ipynb"
PATIENCE = 240_000  # ms; a busy machine without a GPU draws slowly, but must get there
PROMPTS = "() => [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].map(e => e.innerText)"
STARTED = f"() => ({PROMPTS})().some(text => /\\[(\\*|\\d+)\\]/.test(text))"
# Cells that wait show [ ] or [*]; a folded one, such as a solution, shows nothing.
DONE = f"() => !({PROMPTS})().some(text => /\\[[ *]\\]/.test(text))"
# The first live figure: its points, which the kernel replaces when a control moves.
FIGURE = ".jp-OutputArea:has(.vggt-confidence) .js-plotly-plot"
POINTS = """() => {
    const points = document.querySelector('FIGURE').data[0];
    return [points.x.length, points.x[0], points.y[0]];
}""".replace("FIGURE", FIGURE)
CHANGED = f"before => JSON.stringify(({POINTS})()) !== before"


def open_cleared(page, lab):
    """Open the notebook in Lab, wait for its kernel, and drop the saved outputs."""
    page.goto(f"{lab.url}/lab/tree/{NOTEBOOK}?reset&token={lab.token}")
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
    page.locator("text=/\\| Idle/").first.wait_for(timeout=PATIENCE)  # the status bar: the kernel is there
    page.click("#jp-MainMenu >> text=Edit")
    page.locator("li[data-command='editmenu:clear-all']").click()
    page.wait_for_function(f"() => !({STARTED})()")


def run_all(page):
    """Run All. Lab silently loses a command sent too early, so look, and send it again."""
    for _ in range(5):
        page.click("#jp-MainMenu >> text=Run")
        page.locator("li[data-command='runmenu:run-all']").click()
        try:
            page.wait_for_function(STARTED, timeout=10_000)
        except Exception as error:
            if "Timeout" not in str(error):
                raise
            continue
        page.wait_for_function(DONE, timeout=PATIENCE)
        return
    raise AssertionError("Run All never started")


def number_of_colors(plot) -> int:
    """How many colours a drawn plot shows: an empty canvas has a handful."""
    picture = Image.open(io.BytesIO(plot.screenshot(timeout=PATIENCE))).convert("RGB").resize((200, 140))
    return len(picture.getcolors(200 * 140))


def test_every_cell_runs_and_the_slider_changes_the_figure(page, lab):
    open_cleared(page, lab)
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
