"""The built site, served from this machine (`make site` first): pages load, search finds, dark is dark."""

import io
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image

from tools.website import check
from tools.website.build import SITE

pytestmark = pytest.mark.skipif(not (SITE / "index.html").exists(), reason="no site here: make site")
LESSON = "notebooks/04_alternating_attention.html"
PAGES = [
    "index.html",
    LESSON,
    "api/vggt_lite.model.camera_head.html",
    "teaching/equations.html",
    "README.html",
]
PICTURES = """() => Promise.all([...document.querySelectorAll('article img')].map(
    image => { image.loading = 'eager'
        return image.decode().then(() => [image.naturalWidth, image.alt]) }))"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args) -> None:
        pass


@pytest.fixture(scope="module")
def address():
    """Where the site is served."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=SITE)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def tab(page, address):
    """A tab the size of a projector; nothing may fail or come from elsewhere."""
    page.set_viewport_size({"width": 1280, "height": 720})
    page.address = address
    yield page
    assert not page.errors, page.errors
    assert not page.outside, page.outside


def visit(tab, name: str) -> None:
    tab.goto(tab.address + name)
    tab.locator("article h1").first.wait_for()


def test_no_link_between_the_pages_is_broken():
    assert len(list(SITE.rglob("*.html"))) > 100
    assert not check.broken_links(SITE)


def test_the_first_page_shows_the_map_and_leads_to_every_lesson(tab):
    visit(tab, "index.html")
    pictures = tab.evaluate(PICTURES)
    assert len(pictures) == 2 and all(width > 300 and len(alt) > 40 for width, alt in pictures)
    links = tab.locator("article a").evaluate_all("links => links.map(a => a.getAttribute('href'))")
    assert len({link for link in links if link.startswith("notebooks/")}) == 14
    assert tab.get_by_role("heading", name="What you will be able to do").count() == 1


def test_a_lesson_shows_its_pictures_with_words_and_no_raw_objects(tab):
    visit(tab, LESSON)
    pictures = tab.evaluate(PICTURES)
    assert len(pictures) > 5 and all(width > 100 and len(alt) > 20 for width, alt in pictures)
    shown = tab.locator("article").inner_text()
    assert not [words for words in ("<IPython", "FigureWidget", "interactive(", "![") if words in shown]


def test_solutions_are_folded_and_open_on_demand(tab):
    visit(tab, LESSON)
    folded = tab.locator("article details.hide").first
    assert folded.get_attribute("open") is None
    folded.locator("summary").click()
    assert folded.locator("pre").first.is_visible()


def test_search_finds_alternating_attention(tab):
    visit(tab, "index.html")
    tab.goto(tab.address + "search.html?q=alternating+attention")
    tab.locator("#search-results li a").first.wait_for()
    found = tab.locator("#search-results li a").evaluate_all(
        "links => links.map(a => a.getAttribute('href'))"
    )
    assert any(link.split("?")[0].split("#")[0] == LESSON for link in found)


def test_formulas_are_drawn(tab):
    visit(tab, "teaching/equations.html")
    boxes = tab.locator("article math").evaluate_all("all => all.map(m => m.getBoundingClientRect().width)")
    assert len(boxes) > 20 and all(width > 4 for width in boxes)
    clipped = "all => all.filter(m => getComputedStyle(m).overflow !== 'visible').length"
    assert tab.locator("article math").evaluate_all(clipped) == 0


def test_the_first_page_needs_no_server(page):
    page.goto((SITE / "index.html").as_uri())
    assert all(width > 300 for width, _ in page.evaluate(PICTURES))
    assert not page.errors and not page.outside


def test_dark_mode_turns_the_page_and_the_map_dark(tab):
    visit(tab, "index.html")
    light = brightness(tab)
    tab.evaluate("() => localStorage.setItem('mode', 'dark')")
    visit(tab, "index.html")
    assert tab.locator("html").get_attribute("data-theme") == "dark"
    for before, after in zip(light, brightness(tab), strict=True):
        assert before > 200 and after < 60
    visit(tab, LESSON)
    grounds = "all => [...new Set(all.map(i => getComputedStyle(i).backgroundColor))]"
    assert tab.locator("article img[src$='.png']").evaluate_all(grounds) == ["rgb(255, 255, 255)"]


# Text of an article whose contrast to its ground is under 4.5, as WCAG 2 counts it; of a sign, under 3.
FAINT = """() => {
    const parse = color => (color.match(/[\\d.]+/g) || []).map(Number);
    const luminance = ([r, g, b]) => [r, g, b].map(v => v / 255)
        .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
    const ground = e => { const c = parse(getComputedStyle(e).backgroundColor);
        return c[3] !== 0 ? c : e.parentElement ? ground(e.parentElement) : [255, 255, 255] };
    const found = {};
    for (const e of document.querySelectorAll('article *')) {
        const text = [...e.childNodes].filter(n => n.nodeType === 3).map(n => n.data).join('').trim();
        if (!text || !e.checkVisibility()) continue;
        const color = getComputedStyle(e).color, values = [luminance(parse(color)), luminance(ground(e))];
        const ratio = (Math.max(...values) + 0.05) / (Math.min(...values) + 0.05);
        const least = text.length > 1 ? 4.5 : 3;
        if (ratio < least) found[`${e.className || e.tagName} ${color}`] = [ratio.toFixed(2), text];
    }
    return found;
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out_from_its_ground(tab, theme):
    visit(tab, "index.html")
    tab.evaluate("theme => localStorage.setItem('mode', theme)", theme)
    for name in ("index.html", LESSON, PAGES[2]):
        visit(tab, name)
        assert tab.locator("html").get_attribute("data-theme") == theme
        assert tab.evaluate(FAINT) == {}, name


def brightness(tab) -> tuple[int, int]:
    """Grey values of the page's ground, and of the map's."""
    image = tab.locator("article img").first
    box = image.bounding_box()
    shot = Image.open(io.BytesIO(tab.screenshot())).convert("L")
    inside = shot.getpixel((int(box["x"] + box["width"] - 6), int(box["y"] + box["height"] - 6)))
    return shot.getpixel((int(box["x"]) - 8, int(box["y"]) + 20)), inside


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_cut_off_on_a_projector(tab, name):
    visit(tab, name)
    assert tab.evaluate("() => document.documentElement.scrollWidth") <= 1280
    width = tab.evaluate("() => document.querySelector('article').getBoundingClientRect().right")
    tables = tab.locator("article table").evaluate_all("all => all.map(t => t.getBoundingClientRect().right)")
    assert all(right <= width + 1 for right in tables), "a table that is too wide scrolls by itself"
