"""Lesson 09's dashboard: one figure that changes while the cell still runs."""

from tests.browser.lab_page import (
    PATIENCE,
    assert_no_upload,
    number_of_colors,
    open_notebook,
    run_all,
    wait_for_traces,
    write_notebook,
)

CELL = """import json
import tempfile
import time
from pathlib import Path

import torch
from vggt_lite import viz

log = Path(tempfile.mkdtemp()) / "log.jsonl"
charts = {"loss": ["camera"], "gradient norm": ["norm"], "held-out": ["error"]}
read = lambda: [json.loads(line) for line in log.read_text().splitlines()]
board = viz.Dashboard(read, charts, alt="Losses fall while a depth map becomes right.", seconds=0.0)
truth = torch.linspace(1, 2, 256).view(16, 16)
for step in range(1, 9):
    with open(log, "a") as file:
        line = {"step": step, "camera": 1 / step, "norm": 2 / step, "error": 1 / step}
        file.write(json.dumps(line) + "\\n")
    board.update(torch.rand(3, 16, 16), truth, truth + torch.rand(16, 16) / step)
    time.sleep(0.4)
board.finish()
"""
# How many steps the figure showed, each time the page changed.
WATCH = """() => {
    window.seen = new Set();
    const look = () => document.querySelectorAll('.jp-OutputArea .js-plotly-plot')
        .forEach(plot => plot._fullData?.length && window.seen.add(plot._fullData[0].x.length));
    new MutationObserver(look).observe(document.body, {subtree: true, childList: true, attributes: true});
}"""
FIGURE = ".jp-OutputArea .js-plotly-plot"


def test_the_dashboard_changes_in_place_while_the_cell_runs(page, lab):
    write_notebook(lab, "dashboard.ipynb", [CELL])
    open_notebook(page, lab, "dashboard.ipynb")
    page.evaluate(WATCH)
    run_all(page)

    figure = wait_for_traces(page, FIGURE)
    assert page.locator(FIGURE).count() == 1
    steps = f"() => Array.from(document.querySelector('{FIGURE}')._fullData[0]?.x || []).join()"
    page.wait_for_function(f"() => ({steps})() === '1,2,3,4,5,6,7,8'", timeout=PATIENCE)
    assert page.evaluate("() => window.seen.size") >= 3, "the figure never changed while the cell ran"
    assert number_of_colors(figure) > 50
    assert_no_upload(page)
    assert not page.errors, page.errors
    assert not page.outside, page.outside
