"""Lesson 09's dashboard: one figure, drawn anew while the cell still runs, and live when it has finished."""

from tests.browser.lab_page import PATIENCE, number_of_colors, open_notebook, run_all, write_notebook

CELL = """import json
import tempfile
import time
from pathlib import Path

import torch
from vggt_lite import viz

log = Path(tempfile.mkdtemp()) / "log.jsonl"
charts = {"loss": ["camera"], "gradient norm": ["norm"], "held-out": ["error"]}
board = viz.Dashboard(log, charts, alt="Losses fall while a depth map becomes right.", seconds=0.0)
truth = torch.linspace(1, 2, 256).view(16, 16)
for step in range(1, 9):
    with open(log, "a") as file:
        line = {"step": step, "camera": 1 / step, "norm": 2 / step, "error": 1 / step}
        file.write(json.dumps(line) + "\\n")
    board.update(torch.rand(3, 16, 16), truth, truth + torch.rand(16, 16) / step)
    time.sleep(0.4)
board.finish()
"""
# Every picture that the one output has shown, noted as the browser puts it there.
WATCH = """() => {
    window.seen = new Set();
    const look = () => document.querySelectorAll('.jp-OutputArea img')
        .forEach(image => window.seen.add(image.src.length + image.src.slice(-40)));
    new MutationObserver(look).observe(document.body, {subtree: true, childList: true, attributes: true});
}"""
FIGURE = ".jp-OutputArea .js-plotly-plot"


def test_the_dashboard_changes_while_the_cell_runs_and_ends_as_a_live_figure(page, lab):
    write_notebook(lab, "dashboard.ipynb", [CELL])
    open_notebook(page, lab, "dashboard.ipynb")
    page.evaluate(WATCH)
    run_all(page)

    assert page.locator(FIGURE).count() == 0  # Lab shows the picture until the pointer comes
    page.locator(".jp-RenderedPlotly img").first.dispatch_event("mouseenter")
    figure = page.locator(FIGURE).first
    figure.wait_for(timeout=PATIENCE)
    assert page.evaluate("() => window.seen.size") >= 3, "the picture never changed while the cell ran"
    steps = page.evaluate(f"() => Array.from(document.querySelector('{FIGURE}')._fullData[0].x)")
    assert steps == list(range(1, 9))
    assert number_of_colors(figure) > 50
    assert not page.errors, page.errors
    assert not page.outside, page.outside
