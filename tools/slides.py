"""Slides of a lesson, made of the lesson itself: goals, sections, figures with captions, predictions, recap.

    python tools/slides.py [03_attention_and_rope …]     these or all lessons: outputs/slides/NAME.html
    python tools/slides.py --pdf 03_attention_and_rope   the same, and NAME.pdf beside it
    python tools/slides.py --out FOLDER …                into another folder

A page needs no network and no kernel: arrow keys turn the slides. The PDF is printed by a headless Chromium.
Figures are the lesson's own stills: run the lesson first (`tools/nb.py run`) if they are old. The answer to a
prediction has a slide of its own, after the question.
"""

import argparse
import base64
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
from jinja2 import Environment
from markupsafe import Markup
from nbconvert.filters.markdown_mistune import markdown2html_mistune

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # when run as a script

from tools import stills  # noqa: E402
from vggt_lite.utils.files import atomic_write, file_target, write_text  # noqa: E402

LEFT_OUT = ("Test yourself", "Further")  # and exercises
MINUTES = re.compile(r" · \d+ min.*$| · [●○]+.*$", re.MULTILINE)
QUESTION = re.compile(r"\*\*(?:Predict|Think)\b.*?(?=\s*<details>|\Z)", re.DOTALL)
ANSWER = re.compile(r"<details><summary>Answer</summary>\s*(.*?)\s*</details>", re.DOTALL)
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\([^)]+\)")
DRAWING = re.compile(r"!\[([^\]]*)\]\((figures/\w+\.svg)\)")  # the map of the network, beside the lessons
OF_EXERCISE = {"exercise", "check", "solution", "answer"}  # tags
PAGE = Environment(autoescape=True).from_string("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ title }}</title><style>
  :root { color-scheme: light; }
  html { scroll-snap-type: y mandatory; font: 2.6vw/1.35 system-ui, sans-serif; }
  body { margin: 0; color: #111; background: #fff; }
  section { box-sizing: border-box; width: 100vw; height: 56.25vw; padding: 3vw 5vw; overflow: hidden;
    scroll-snap-align: start; display: flex; flex-direction: column; justify-content: center;
    break-after: page; position: relative; }
  h1, h2 { margin: 0 0 1.5vw; line-height: 1.15; }
  h1 { font-size: 4.6vw; } h2 { font-size: 3.4vw; }
  small { position: absolute; left: 5vw; right: 5vw; bottom: 1.2vw; font-size: 1.3vw; color: #555;
    display: flex; justify-content: space-between; }
  .anchor-link { display: none; }
  img { max-width: 100%; max-height: 32vw; object-fit: contain; margin: 0 auto; width: 100%; }
  figure { margin: 0; } figcaption { font-size: 1.9vw; margin-top: 1vw; color: #333; }
  table { border-collapse: collapse; font-size: 1.9vw; } td, th { padding: .4vw 1vw; text-align: left;
    border-bottom: 1px solid #bbb; }
  pre, code { font-size: 1.9vw; }
  .dense { font-size: 2vw; }
  @page { size: 13.333in 7.5in; margin: 0; }
  @media print { section { width: 13.333in; height: 7.5in; } }
</style></head><body>
{% for slide in slides %}<section>{{ slide }}
<small><span>{{ title }}</span><span>{{ loop.index }} / {{ slides | length }}</span></small></section>
{% endfor %}<script>
  const slides = [...document.querySelectorAll("section")];
  const step = {ArrowRight: 1, ArrowDown: 1, PageDown: 1, " ": 1, ArrowLeft: -1, ArrowUp: -1, PageUp: -1};
  addEventListener("keydown", (event) => {
    if (!(event.key in step)) return;
    event.preventDefault();
    const now = Math.round(scrollY / slides[0].offsetHeight);
    slides[Math.max(0, Math.min(slides.length - 1, now + step[event.key]))].scrollIntoView();
  });
</script></body></html>
""")
FIGURE = Environment(autoescape=True).from_string(
    '<h2>{{ heading }}</h2><figure><img src="data:image/{{ kind }};base64,{{ data }}" alt="{{ alt }}">'
    "<figcaption>{{ alt }}</figcaption></figure>"
)
MOST_WORDS = 70  # of a slide in large letters


def slides_of(notebook: nbformat.NotebookNode) -> Iterator[Markup]:
    """The slides of a lesson, in its order: the HTML of each."""
    first, *rest = notebook.cells
    yield text_slide(opening(first.source))
    heading, in_exercise = None, False
    for cell in rest:
        if cell.cell_type == "markdown" and (found := re.match(r"###? (.+)", cell.source)):
            in_exercise = found[1].startswith("Exercise")
            if not in_exercise:
                heading = None if found[1].startswith(LEFT_OUT) else MINUTES.sub("", found[1])
                if heading:
                    yield text_slide(section(cell.source))
                    yield from drawings(cell.source, heading)
        elif not belongs_to_exercise(cell):
            in_exercise = False  # its section goes on
        if heading is None or in_exercise or "solution" in cell.metadata.get("tags", []):
            continue
        if cell.cell_type == "markdown":
            yield from predictions(cell.source, heading)
        else:
            yield from figures(cell, heading)


def opening(source: str) -> str:
    """Title and goals; where to go next is for the notebook."""
    return "\n\n".join(part for part in source.split("\n\n") if part.startswith(("# ", "**You will")))


def belongs_to_exercise(cell: nbformat.NotebookNode) -> bool:
    """Whether a cell after the heading of an exercise still belongs to it: stub, check, hint, answer."""
    return bool(OF_EXERCISE & set(cell.metadata.get("tags", []))) or cell.source.startswith(
        ("<details>", "checks.")
    )


def section(source: str) -> str:
    """A section's heading and first paragraph, with what its last sentence announces; the recap in full."""
    source = MINUTES.sub("", DRAWING.sub("", source)).rstrip()
    title, *paragraphs = source.replace("### ", "## ").split("\n\n")
    if title == "## Recap":
        return source
    shown = []
    for part in paragraphs:
        if part.startswith(("```", "**Predict", "**Think", "<")):
            break
        shown.append(part)
        if part.startswith("    ") or part.endswith((".", "?", "!", ")", "|")):
            break
    text = "\n\n".join([title, *shown])
    return text[:-1] + "." if text.endswith(":") else text  # what it announces is code


def drawings(source: str, heading: str) -> Iterator[Markup]:
    """Drawings of a text cell, each on a slide of its own."""
    for alt, name in DRAWING.findall(source):
        svg = base64.b64encode((ROOT / "notebooks" / name).read_bytes()).decode()
        yield Markup(FIGURE.render(heading=heading, kind="svg+xml", data=svg, alt=alt))


def figures(cell: nbformat.NotebookNode, heading: str) -> Iterator[Markup]:
    """The stills of a cell, each with its caption."""
    for output in cell.outputs:
        if png := output.get("data", {}).get("image/png"):
            alt = output.metadata.get("image/png", {}).get("alt") or output.data.get("text/plain", "")
            yield Markup(FIGURE.render(heading=heading, kind="png", data="".join(png.split()), alt=alt))


def predictions(source: str, heading: str) -> Iterator[Markup]:
    """The question, then its answer."""
    if question := QUESTION.search(source):
        yield text_slide(f"## {heading}\n\n{question[0]}")
        if answer := ANSWER.search(source, question.end()):
            yield text_slide(f"## {heading}\n\n{question[0]}\n\n**Answer.** {answer[1]}")


def text_slide(markdown: str) -> Markup:
    """Markdown as HTML: links as plain words, small letters where there is much."""
    html = Markup(markdown2html_mistune(LINK.sub(r"\1", markdown)))
    dense = len(markdown.split()) > MOST_WORDS
    return Markup('<div class="{}">{}</div>').format("dense" if dense else "", html)


def write(path: Path, folder: Path, pdf: bool = False) -> int:
    """Write the slides of one lesson. Returns their number."""
    notebook = nbformat.read(path, as_version=4)
    slides = list(slides_of(notebook))
    page = folder / f"{path.stem}.html"
    write_text(page, PAGE.render(title=path.stem, slides=slides))
    if pdf:
        with atomic_write(page.with_suffix(".pdf")) as temporary:
            print_pdf(page, temporary)
    return len(slides)


def print_pdf(page: Path, target: Path) -> None:
    """Print a page as a PDF, a sheet for each slide.

    Raises:
        RuntimeError: no Chromium, or no playwright.
    """
    if reason := stills.missing():
        raise RuntimeError(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=stills.CHROMIUM, args=stills.FLAGS)
        tab = browser.new_context(offline=True).new_page()
        tab.goto(page.resolve().as_uri())
        tab.pdf(path=str(target), prefer_css_page_size=True, print_background=True)
        browser.close()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--out", type=Path, default=ROOT / "outputs" / "slides", metavar="FOLDER")
    parser.add_argument("--pdf", action="store_true")
    args = parser.parse_args(arguments)
    lessons = {path.stem: path for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))}
    if unknown := [name for name in args.names if name not in lessons]:
        print(f"there is no lesson {unknown[0]!r}; there are: {', '.join(lessons)}", file=sys.stderr)
        return 2
    try:
        folder = file_target(args.out / "_.html").parent
        for name in args.names or lessons:
            print(f"{folder / name}.html: {write(lessons[name], folder, args.pdf)} slides", flush=True)
    except (OSError, ValueError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
