"""The stand-alone page, opened from a file: it draws, its controls work, and it asks nobody for anything."""

import pytest
import torch
from markupsafe import Markup

from tests.browser.lab_page import assert_no_upload
from vggt_lite.data import normalize_scene
from vggt_lite.evaluation import bundled_report
from vggt_lite.evaluation.report_page import write_report_page
from vggt_lite.inference import Reconstruction
from vggt_lite.synthetic import generate_scenes
from vggt_lite.viz import write_html, write_page

PATIENCE = 120_000  # ms; software WebGL is slow
SHOWN = "k => document.querySelectorAll('.plot')[k].data[0].x.length"
EYES = "() => [...document.querySelectorAll('.plot')].map(p => p.layout.scene.camera.eye.x)"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    truth = Reconstruction.from_batch(normalize_scene(generate_scenes(1_000_000, 1, 2, 24, 24)))
    scene = Reconstruction.from_batch(normalize_scene(generate_scenes(1_000_000, 1, 2, 24, 24)))
    scene.point_conf = 1 + torch.rand(scene.depth.shape, generator=torch.Generator().manual_seed(0))
    return write_html(scene, tmp_path_factory.mktemp("page") / "index.html", truth, {"views": 2})


def test_slider_and_views_change_the_points_and_both_figures_turn_together(page, path):
    page.goto(path.as_uri(), timeout=PATIENCE)
    page.wait_for_function(
        "() => document.querySelectorAll('.js-plotly-plot').length === 2", timeout=PATIENCE
    )
    assert page.evaluate(SHOWN, 0) == 2 * 24 * 24
    page.locator("input[type=range]").focus()
    page.keyboard.press("End")
    page.wait_for_function(f"() => ({SHOWN})(0) < 100", timeout=PATIENCE)
    assert "95 %" in page.locator("output").inner_text()
    assert page.evaluate(SHOWN, 1) == 2 * 24 * 24  # the truth has no doubts to hide

    page.locator("input[type=checkbox]").first.uncheck()
    page.wait_for_function(f"() => ({SHOWN})(1) === 24 * 24", timeout=PATIENCE)

    points = {"eye": (1.25, -1, -1), "up": (0, -1, 0), "center": (0, 0, 0)}
    camera = {name: dict(zip("xyz", point, strict=True)) for name, point in points.items()}
    turn = "camera => Plotly.relayout(document.querySelector('.plot'), {'scene.camera': camera})"
    page.evaluate(turn, camera)
    page.wait_for_function(f"() => ({EYES})().every(x => x === 1.25)", timeout=PATIENCE)
    assert_no_upload(page)
    assert not page.errors, page.errors
    assert not page.outside, page.outside


def test_a_report_draws_all_its_figures(page, tmp_path):
    nano = bundled_report("nano")
    path = write_report_page({"nano": nano, "again": nano}, tmp_path / "report.html")
    page.goto(path.as_uri(), timeout=PATIENCE)
    page.wait_for_function(
        "() => [...document.querySelectorAll('.figure')].every(f => f.querySelector('.main-svg .trace'))",
        timeout=PATIENCE,
    )
    assert page.locator(".figure").count() > 5
    assert not page.errors, page.errors
    assert not page.outside, page.outside


def test_a_page_runs_no_script_but_its_own(page, tmp_path):
    script = "<script>document.title = 'acted'</script>"
    handler = "<img src='data:,' onerror='document.title = \"acted\"'>"
    path = write_page(tmp_path / "page.html", "quiet", map(Markup, [script, handler, "<p id='end'>"]))
    page.goto(path.as_uri(), timeout=PATIENCE)
    page.locator("#end").wait_for(state="attached")
    assert page.title() == "quiet"
