"""The map of the network in a browser: no text leaves the drawing or covers another, in light and dark."""

import pytest

from tests.browser.lab_page import PATIENCE
from tools.network_map import FOLDER

# Rectangles that text takes, in pixels of the drawing
TEXTS = """() => [...document.querySelectorAll('text')].map(t => {
    const box = t.getBBox(); return [t.textContent, box.x, box.y, box.x + box.width, box.y + box.height]})"""
SIZE = "() => { const b = document.documentElement.viewBox.baseVal; return [b.width, b.height] }"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("network*.svg")), ids=lambda path: path.stem)
def test_every_text_has_its_own_place(page, path):
    page.goto(path.as_uri())
    texts = page.evaluate(TEXTS)
    assert len(texts) > 25
    width, height = page.evaluate(SIZE)
    outside = [t[0] for t in texts if t[1] < 4 or t[2] < 0 or t[3] > width - 4 or t[4] > height]
    assert not outside
    covered = [
        (one[0], other[0])
        for k, one in enumerate(texts)
        for other in texts[:k]
        if one[1] < other[3] and other[1] < one[3] and one[2] + 3 < other[4] and other[2] + 3 < one[4]
    ]
    assert not covered


def test_the_drawing_follows_the_colours_of_the_system(page):
    grounds = {}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.goto((FOLDER / "network.svg").as_uri())
        grounds[scheme] = page.evaluate("() => getComputedStyle(document.querySelector('.ground')).fill")
    assert grounds == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 30)"}


@pytest.mark.parametrize("name", ["04_alternating_attention.ipynb", "student/04_alternating_attention.ipynb"])
def test_jupyterlab_shows_it_in_the_lesson_and_in_its_student_copy(page, lab, name):
    page.goto(f"{lab.url}/lab/tree/notebooks/{name}?reset&token={lab.token}")
    image = page.locator(".jp-MarkdownCell img[alt^='Map of VGGT']").first
    image.wait_for(timeout=PATIENCE)
    page.wait_for_function("i => i.complete", arg=image.element_handle())
    assert image.evaluate("i => i.naturalWidth") == 700
