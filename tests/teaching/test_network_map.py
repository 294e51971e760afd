"""The map of the network: drawn by its script, in every lesson it belongs to, readable in light and dark."""

import re
from itertools import combinations
from xml.etree import ElementTree

import nbformat
import pytest

from tests.notebooks.lesson import ROOT
from tools import network_map
from tools.network_map import FILLS, NAMES

NOTEBOOKS = {path.name[:2]: path for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")}
SVG = "{http://www.w3.org/2000/svg}"


def drawings() -> dict[str, ElementTree.Element]:
    return {path.name: ElementTree.fromstring(text) for path, text in network_map.files().items()}


def words_of(drawing: ElementTree.Element) -> list[str]:
    return [element.text for element in drawing.iter(f"{SVG}text")]


def test_the_files_are_those_that_the_script_draws():
    files = network_map.files()
    assert set(files) == set(network_map.FOLDER.glob("network*.svg"))
    changed = [path.name for path, text in files.items() if path.read_text(encoding="utf-8") != text]
    assert not changed, "run: python tools/network_map.py"


def test_every_drawing_has_a_title_and_a_description_and_names_all_lessons():
    for name, drawing in drawings().items():
        assert drawing.attrib["role"] == "img" and drawing.find(f"{SVG}title").text, name
        assert len(drawing.find(f"{SVG}desc").text) > 100, name
        assert set(NOTEBOOKS) - {"00"} <= set(words_of(drawing)), name


@pytest.mark.parametrize("lesson", NAMES)
def test_a_lesson_is_told_where_it_is(lesson):
    drawing = drawings()[f"network_{lesson}.svg"]
    assert f"You are here: lesson {lesson}, {NAMES[lesson]}" in words_of(drawing)
    lit = [e for e in drawing.iter(f"{SVG}rect") if e.attrib["class"] == "here"]
    numbers = [part for part in network_map.parts(small=True) if part.lesson == lesson]
    assert len(lit) == 1 + len(numbers) and numbers, "the swatch, and every part of this lesson"


@pytest.mark.parametrize("lesson", ["00", *NAMES])
@pytest.mark.parametrize("folder", ["", "student"])
def test_lessons_and_student_copies_show_it_with_words(lesson, folder):
    path = NOTEBOOKS[lesson].parent / folder / NOTEBOOKS[lesson].name
    head = [cell.source for cell in nbformat.read(path, as_version=4).cells[:3]]
    ((alt, target),) = re.findall(r"!\[([^\]]+)\]\(([^)]+)\)", "\n".join(head))
    wanted = "network.svg" if lesson == "00" else f"network_{lesson}.svg"
    assert (path.parent / target).resolve() == network_map.FOLDER / wanted
    assert "VGGT" in alt and NAMES.get(lesson, "patch embedding") in alt


def luminance(colour: str) -> float:
    """WCAG's relative luminance of #rrggbb."""
    channels = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(theme):
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    pairs = [(text, ground) for text in ("title", "detail") for ground in ("ground", "box", "here")]
    pairs += [("on-number", "number")]
    assert not [pair for pair in pairs if contrast(*(FILLS[kind][theme] for kind in pair)) < 4.5]


def test_boxes_lie_beside_or_inside_each_other():
    for small in (True, False):
        for one, other in combinations(network_map.parts(small), 2):
            (x, y, w, h), (u, v, width, height) = one.box, other.box
            apart = x + w <= u or u + width <= x or y + h <= v or v + height <= y
            inside = x < u and y < v and u + width < x + w and v + height < y + h
            assert apart or inside, (one.title, other.title)
