"""Slides show what the lesson shows, questions before their answers, and no solutions."""

import html
import re
from pathlib import Path

import nbformat
import pytest

from tools import slides, stills

LESSONS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("[0-9][0-9]_*.ipynb"))
v4 = nbformat.v4
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def figure(alt: str) -> nbformat.NotebookNode:
    still = v4.new_output("display_data", data={"image/png": PNG, "text/plain": alt})
    still.metadata = {"image/png": {"alt": alt}}
    return v4.new_code_cell("viz.show(…)", outputs=[still])


@pytest.fixture
def lesson() -> nbformat.NotebookNode:
    solved = figure("Solved & shown.")
    solved.metadata = {"tags": ["solution"]}
    stub = figure("Of the exercise.")
    stub.metadata = {"tags": ["exercise"]}
    cells = [
        v4.new_markdown_cell("# 03 · Attention\n\n**You will be able to** attend.\n\n[Next](04.ipynb)"),
        v4.new_markdown_cell("## A weighted average · 12 min\n\nFirst words, [linked](x.md).\n\nMore words."),
        figure("A < B"),
        v4.new_markdown_cell(
            "**Predict.** Which?\n\n<details><summary>Answer</summary>\n\nThis.\n\n</details>"
        ),
        v4.new_markdown_cell("### Exercise 3.1 · ●○○ · 5 min\n\nWrite it."),
        stub,
        v4.new_code_cell("checks.attention.weights(my_weights)"),
        v4.new_markdown_cell("<details><summary>Hint</summary>\n\nDivide.\n\n</details>"),
        solved,
        v4.new_markdown_cell("Back to the section."),
        figure("After the exercise."),
        v4.new_markdown_cell("### What follows\n\nThe weights are\n\nw = q · k,\n\nAgain.\n\nMore."),
        figure("Second"),
        v4.new_markdown_cell("## Recap\n\n| a | b |\n|---|---|\n| 1 | 2 |"),
        v4.new_markdown_cell("## Test yourself\n\n1. Why? <details><summary>Answer</summary>So.</details>"),
    ]
    return v4.new_notebook(cells=cells)


def words(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).replace("¶", " ").split())


def test_a_lesson_becomes_slides_in_its_order(lesson):
    assert [words(slide) for slide in slides.slides_of(lesson)] == [
        "03 · Attention You will be able to attend.",
        "A weighted average First words, linked.",
        "A weighted average A < B",
        "A weighted average Predict. Which?",
        "A weighted average Predict. Which? Answer. This.",
        "A weighted average After the exercise.",
        "What follows The weights are w = q · k, Again.",
        "What follows Second",
        "Recap a b 1 2",
    ]


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_every_lesson_has_slides_and_its_figures_are_on_them(path):
    notebook = nbformat.read(path, as_version=4)
    found = list(slides.slides_of(notebook))
    pictures = sum("<img" in slide for slide in found)
    assert len(found) > 10 and pictures >= 3
    assert not [slide for slide in found if "<details" in slide]


def test_the_map_of_the_network_is_a_slide():
    (drawn,) = [
        slide for slide in slides.slides_of(nbformat.read(LESSONS[0], as_version=4)) if "svg+xml" in slide
    ]
    assert "The network you will build" in drawn and "Map of VGGT" in drawn


def test_what_a_sentence_announces_is_shown_or_the_sentence_ends():
    listed = "## Two blocks\n\nThey are:\n\n- frame,\n- global.\n\nMore."
    assert slides.section(listed) == "## Two blocks\n\nThey are:\n\n- frame,\n- global."
    assert slides.section("## One\n\nCompare:\n\n```python\nx\n```") == "## One\n\nCompare."


def test_an_unknown_lesson_is_named(tmp_path, capsys):
    assert slides.main(["--out", str(tmp_path), "99_gone"]) == 2
    assert "there is no lesson '99_gone'" in capsys.readouterr().err and not list(tmp_path.iterdir())


# What stands outside of its slide, by number.
OUTSIDE = """[...document.querySelectorAll("section")].flatMap((slide, index) => {
  const {top, bottom} = slide.getBoundingClientRect();
  const boxes = [...slide.querySelectorAll("*")].map((part) => part.getBoundingClientRect());
  return boxes.some((box) => box.height && (box.top < top || box.bottom > bottom)) ? [index + 1] : [];
})"""


@pytest.mark.skipif(bool(stills.missing()), reason=str(stills.missing()))
def test_a_pdf_has_a_sheet_for_each_slide(lesson, tmp_path):
    path = tmp_path / "03_attention.ipynb"
    nbformat.write(lesson, path)
    count = slides.write(path, tmp_path, pdf=True)
    sheets = re.findall(rb"/Type\s*/Page\b", (tmp_path / "03_attention.pdf").read_bytes())
    assert len(sheets) == count == 9


@pytest.mark.skipif(bool(stills.missing()), reason=str(stills.missing()))
def test_in_a_browser_everything_stays_on_its_slide_and_keys_turn_them(tmp_path):
    from playwright.sync_api import sync_playwright

    assert slides.main(["--out", str(tmp_path)]) == 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=stills.CHROMIUM, args=stills.FLAGS)
        tab = browser.new_page(viewport={"width": 1280, "height": 720})
        outside = {}
        for path in LESSONS:
            tab.goto((tmp_path / f"{path.stem}.html").as_uri())
            outside[path.stem] = tab.evaluate(OUTSIDE)
        tab.keyboard.press("ArrowRight")
        tab.wait_for_function("Math.round(scrollY) === document.querySelector('section').offsetHeight")
        browser.close()
    assert not {name: numbers for name, numbers in outside.items() if numbers}
