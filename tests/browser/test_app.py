"""The app in a real browser, from bad uploads to the downloaded files; `make app ARGS=--help` installs it."""

import os
import re
import signal
import subprocess
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks import APP_VENV, python_of
from vggt_lite.synthetic import generate_scenes

pytestmark = pytest.mark.skipif(not python_of(APP_VENV).exists(), reason="no Gradio here: make app")
ROOT = Path(__file__).resolve().parents[2]
MOST_VIEWS = 30
PATIENCE = 120_000  # ms; software WebGL is slow
# Float32 in base64: four bytes a point
POINTS = "() => atob(document.querySelector('.js-plotly-plot')?.data[0].x.bdata ?? '').length / 4"


class App:
    """A running app."""

    def __init__(self, folder: Path) -> None:
        options = f"app --port 0 --weights nano --most-views {MOST_VIEWS} --most-megabytes 1".split()
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        self.log = (folder / "log").open("w+")
        self.process = subprocess.Popen(
            [python_of(APP_VENV), "-m", "vggt_lite.cli", *options],
            stdout=self.log, stderr=self.log, cwd=ROOT, text=True,
            env={**os.environ, "PYTHONPATH": path, "TMPDIR": str(folder), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        deadline = time.monotonic() + PATIENCE / 1000
        while not (found := re.search(r"open (\S+)", self.output())):
            assert self.process.poll() is None and time.monotonic() < deadline, self.output()
            time.sleep(0.1)
        self.url = found[1]
        (self.folder,) = folder.glob("vggt-lite-*")

    def output(self) -> str:
        return Path(self.log.name).read_text(encoding="utf-8")

    def files(self, suffix: str = "") -> list[Path]:
        return [path for path in self.folder.rglob(f"*{suffix}") if path.is_file()]


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    running = App(tmp_path_factory.mktemp("app"))
    yield running
    running.process.kill()
    running.process.wait()


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Three of one generated room."""
    folder = tmp_path_factory.mktemp("photographs")
    for number, picture in enumerate(generate_scenes(1_000_003, 1, 3, 96, 128).images[0]):
        pixels = (picture.permute(1, 2, 0) * 255).byte().numpy()
        Image.fromarray(pixels).save(folder / f"view{number}.png")
    return sorted(folder.iterdir())


@pytest.fixture
def tab(page, app):
    """The page, the size of a projector; nothing may fail or come from elsewhere."""
    page.set_default_timeout(PATIENCE)
    page.set_viewport_size({"width": 1280, "height": 720})
    page.goto(app.url)
    button(page, "Reconstruct").wait_for()
    yield page
    assert not page.errors, page.errors
    assert not page.outside, page.outside
    assert "Traceback" not in app.output()


def button(tab, name: str):
    return tab.get_by_role("button", name=name, exact=True)


def drop(tab, *paths: Path) -> None:
    """Upload these instead of what is there."""
    if tab.get_by_label("Clear", exact=True).count():
        tab.get_by_label("Clear", exact=True).first.click()
    tab.locator("input[type=file]").first.set_input_files(paths)
    tab.locator("a[download]").nth(len(paths) - 1).wait_for()


def status(tab, words: str) -> str:
    """Wait for these words in the status; all of it."""
    tab.locator("#status p", has_text=words).first.wait_for()
    return tab.locator("#status").inner_text()


def test_from_photographs_to_files(tab, app, photographs, tmp_path):
    drop(tab, *photographs)
    button(tab, "Reconstruct").click()
    assert "3 views of 64×48 pixels: about " in status(tab, "done in")
    tab.wait_for_function(f"() => ({POINTS})() === 3 * 48 * 64")
    assert tab.evaluate("() => document.documentElement.scrollWidth") <= 1280
    names = tab.evaluate("() => [...document.querySelectorAll('input:not([type=file])')].map(i => i.closest("
        "'label, .block')?.innerText?.trim() || i.ariaLabel)")  # fmt: skip
    assert all(names), "each control has a name"

    tab.get_by_role("spinbutton", name="Hide least trusted").fill("50")
    tab.get_by_role("spinbutton", name="Hide least trusted").press("Enter")
    tab.get_by_label("edges").check()
    tab.wait_for_function(f"() => ({POINTS})() < 1.5 * 48 * 64")

    button(tab, "Refine").click()
    status(tab, "refined")  # by so many points, or not: the package says why

    for name in ("colmap", "nerfstudio", "glb", "tum", "ply"):
        tab.get_by_label(name, exact=True).check()
    button(tab, "Make files").click()
    with tab.expect_download() as download:
        tab.get_by_text("Download", exact=True).click()
    download.value.save_as(tmp_path / "scene.zip")
    with zipfile.ZipFile(tmp_path / "scene.zip") as archive:
        assert {"result/index.html", "scene.glb", "points.ply", "trajectory.txt"} < set(archive.namelist())
        assert "colmap/images/view0.png" in archive.namelist()

    assert app.files(".png") and app.files(".zip")
    button(tab, "Delete").click()
    status(tab, "deleted.")
    assert not app.files(".zip") and not [path for path in app.files() if path.stat().st_size]


def test_what_cannot_be_used_is_said_in_the_packages_words(tab, photographs, tmp_path):
    text, damaged, large = tmp_path / "text.jpg", tmp_path / "damaged.png", tmp_path / "large.bmp"
    text.write_text("no picture")
    damaged.write_bytes(photographs[0].read_bytes()[:2000])
    Image.fromarray(np.zeros((500, 600, 3), np.uint8)).save(large)
    many = [tmp_path / f"many{number}.png" for number in range(MOST_VIEWS + 1)]
    for path in many:
        path.write_bytes(photographs[0].read_bytes()[:4000])
    other = tmp_path / "other.bmp"
    other.write_bytes(large.read_bytes())

    def refused(words: str, *paths: Path) -> None:
        if paths:
            drop(tab, *paths)
        button(tab, "Reconstruct").click()
        said = status(tab, words)
        assert tab.locator("#status .failed").count() and str(tmp_path) not in said and "/tmp" not in said

    refused("there are no photographs yet")
    refused("text.jpg is not a picture Pillow can read", text)
    refused("damaged.png is damaged", photographs[1], damaged)
    refused(f"there are {MOST_VIEWS + 1} views, and {MOST_VIEWS} are allowed", *many)
    refused("the files have 2 MB together, and 1 MB are allowed", large, other)
    button(tab, "Refine").click()
    status(tab, "there is no scene yet")

    drop(tab, photographs[0])
    button(tab, "Reconstruct").click()
    status(tab, "done in")
    button(tab, "Refine").click()
    status(tab, "refining needs two or more views")


def test_a_file_over_the_limit_does_not_arrive(tab, app, tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (800, 800, 3), np.uint8)).save(
        tmp_path / "a.bmp"
    )
    tab.locator("input[type=file]").first.set_input_files(tmp_path / "a.bmp")
    tab.get_by_text(re.compile("exceeds? the maximum")).first.wait_for()
    assert not app.files("a.bmp")


def test_cancel_stops_the_work_and_the_next_one_runs(tab, photographs, tmp_path):
    paths = [tmp_path / f"view{number}.png" for number in range(MOST_VIEWS)]
    for path in paths:
        path.write_bytes(photographs[0].read_bytes())
    drop(tab, *paths)
    tab.get_by_role("combobox", name=re.compile("Weights")).fill("tiny")
    tab.keyboard.press("Enter")
    button(tab, "Reconstruct").click()
    tab.get_by_text(re.compile("loading tiny|30 views of")).first.wait_for()
    button(tab, "Cancel").click()
    assert "done" not in status(tab, "stopped.")
    drop(tab, *photographs[:2])
    button(tab, "Reconstruct").click()
    assert "2 views of" in status(tab, "done in")


def test_dark_is_dark(tab, app):
    tab.emulate_media(color_scheme="dark")
    tab.goto(app.url)
    button(tab, "Reconstruct").wait_for()
    colour = tab.evaluate(
        "() => getComputedStyle(document.querySelector('.gradio-container')).backgroundColor"
    )
    assert max(map(int, re.findall(r"\d+", colour)[:3])) < 60


def test_at_the_end_no_file_is_left(app):  # the last test of this file
    app.process.send_signal(signal.SIGTERM)
    assert app.process.wait(60) is not None
    assert not app.folder.exists() and "stopped; its files are removed" in app.output()
