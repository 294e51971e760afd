"""Build the site of the course: site/index.html. `make site` does it, in an environment of its own.

Pages are the lessons as they are committed (nothing is run), the Markdown files of the repository and the API
from the docstrings. Links between pages that lead nowhere fail the build; other addresses are
not asked.
"""

import base64
import html
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath

import nbformat

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # when run as a script

from tools.publishing import Repository, repository  # noqa: E402
from tools.website import check, source_pages  # noqa: E402

HERE = Path(__file__).resolve().parent
SITE = ROOT / "site"
WORK = ROOT / "outputs" / "site"  # sources as gathered, and what Sphinx keeps between builds
MAX_BYTES = 60_000_000
PAGES = ("*.md", "docs/*.md", "teaching/**/*.md", "notebooks/[0-9][0-9]_*.ipynb", "benchmarks/README.md")
PAGES += ("data/README.md", "tests/golden/README.md", "vggt_lite/*/*/README.md")
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!https?:|mailto:|#)([^)\s]+)\)")
CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)
KEYS = re.compile(r"teaching/.*(key|solution)")  # answers that a class should not find by searching
# A picture for light pages, with another one for dark pages before it: here the light one serves both
THEMED = re.compile(r'<picture>.*?<img src="(.+?)" alt="(.+?)"></picture>')
REFERENCE = ("glossary", "equations", "syllabus")  # named in index.template


def pages_of(root: Path) -> set[str]:
    """The files that become pages, as seen from the repository."""
    names = {path.relative_to(root).as_posix() for pattern in PAGES for path in root.glob(pattern)}
    return {name for name in names if not KEYS.search(name)}


def gather(folder: Path, published: Repository | None) -> None:
    """Write what Sphinx reads: pages without the API, pictures, and the Python files that they link to."""
    pages = pages_of(ROOT)
    shutil.rmtree(folder, ignore_errors=True)
    linked = set()
    for name in pages:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".ipynb"):
            lesson = lesson_page(name, pages, linked, folder, published)
            target.write_text(nbformat.writes(lesson), encoding="utf-8")
        else:
            text = (ROOT / name).read_text(encoding="utf-8")
            target.write_text(page(text, name, pages, linked), encoding="utf-8")
    index = page(first_page(pages), "index.md", pages, linked)
    (folder / "index.md").write_text(index, encoding="utf-8")
    for name in sorted(linked):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)


def first_page(pages: set[str]) -> str:
    """index.template, with pictures and table from the README, which holds the only copy of them."""
    readme = THEMED.sub(r"![\2](\1)", (ROOT / "README.md").read_text(encoding="utf-8"))
    pictures = re.findall(r"^!\[.+?\]\(.+?\)$", readme, re.MULTILINE)
    table = re.search(r"^\| \| notebook \|.*?(?=\n\n)", readme, re.MULTILINE | re.DOTALL)[0]
    notes = sorted(n.removesuffix(".md") for n in pages if n.startswith("teaching/"))
    notes = ["teaching/syllabus"] + [n for n in notes if PurePosixPath(n).name not in REFERENCE]
    parts = {"hero": pictures[0], "map": pictures[1], "lessons": table, "teachers": "\n".join(notes)}
    text = (HERE / "index.template").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], text)


def page(text: str, name: str, pages: set[str], linked: set[str]) -> str:
    """Markdown whose links lead to pages of the site.

    Args:
        text: what stands in the file.
        name: the file, as seen from the repository.
        pages: files that are pages.
        linked: gets the files beyond them that a link needs.
    """

    def moved(match: re.Match) -> str:
        is_picture, words, target = match.groups()
        path, _, anchor = target.partition("#")
        file = os.path.normpath(PurePosixPath(name).parent / path).replace(os.sep, "/")
        if file in pages:
            return match[0]
        if not (ROOT / file).is_file() or KEYS.search(file):
            return words  # a folder, or an answer: named, not linked
        linked.add(file)
        if is_picture or not file.endswith(".py"):
            return match[0]
        up = "../" * (len(PurePosixPath(name).parts) - 1)
        return f'<a href="{up}{source_pages.page_of(file)}.html{anchor and "#" + anchor}">{words}</a>'

    parts = CODE.split(THEMED.sub(r"![\2](\1)", text))
    return "".join(part if part.startswith("`") else LINK.sub(moved, part) for part in parts)


def lesson_page(
    name: str, pages: set[str], linked: set[str], folder: Path, published: Repository | None
) -> nbformat.NotebookNode:
    """The lesson as committed; stills as files with alt texts, solutions folded, buttons below its card."""
    notebook = nbformat.read(ROOT / name, as_version=4)
    stem = PurePosixPath(name).stem
    stills = 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = page(cell.source, name, pages, linked)
            continue
        for output in cell.outputs:
            if words := output.get("data", {}).get("text/markdown"):
                output.data["text/markdown"] = page(words, name, pages, linked)
        if cell.metadata.get("jupyter", {}).get("source_hidden"):
            cell.metadata["tags"] = [*cell.metadata.get("tags", []), "hide-cell"]
        for output in cell.outputs:
            if png := output.get("data", {}).pop("image/png", None):
                stills += 1
                file = folder / "notebooks" / "stills" / f"{stem[:2]}_{stills:02d}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(base64.b64decode(png))
                alt = re.sub(r"([\\\[\]])", r"\\\1", output.metadata["image/png"]["alt"])
                output.data["text/markdown"] = f"![{alt}](stills/{file.name})"
    if published:
        notebook.cells.insert(1, nbformat.v4.new_markdown_cell(buttons(stem, published)))
    return notebook


def buttons(stem: str, published: Repository) -> str:
    """Where else to go with this lesson."""
    copy = f"notebooks/student/{stem}.ipynb"
    links = {
        "Open in Colab": published.colab(copy),
        "Open in Codespaces": published.codespaces,
    }
    marked = [f'<a href="{html.escape(address)}">{words}</a>' for words, address in links.items()]
    marked.append(f'<a href="student/{stem}.ipynb" download>Download the student copy</a>')
    return f'<p class="site-buttons">{" ".join(marked)}</p>'


def build(site: Path = SITE, work: Path = WORK) -> None:
    """Gather, run Sphinx, check; the old site stays until the new one is complete.

    Raises:
        SystemExit: Sphinx failed or warned, a link leads nowhere, or the site is too large.
    """
    from tools.website import api  # griffe, which only the site's own environment has

    published = repository()
    gather(work / "source", published)
    api.write(ROOT, work / "source")
    new = work / "html"
    shutil.rmtree(new, ignore_errors=True)
    command = [
        "sphinx",
        "--builder",
        "html",
        "--conf-dir",
        str(HERE),
        "--doctree-dir",
        str(work / "doctrees"),
    ]
    command += ["--fail-on-warning", "--keep-going", "--quiet", str(work / "source"), str(new)]
    if code := subprocess.call([sys.executable, "-m", *command], cwd=ROOT):
        sys.exit(code)
    if published:
        shutil.copytree(ROOT / "notebooks" / "student", new / "notebooks" / "student")
    if broken := check.broken_links(new):
        sys.exit("links that lead nowhere:\n" + "\n".join(broken))
    size = sum(path.stat().st_size for path in new.rglob("*") if path.is_file())
    if size > MAX_BYTES:
        sys.exit(f"the site has {size:,} bytes; it may have {MAX_BYTES:,}")
    shutil.rmtree(site, ignore_errors=True)
    shutil.move(new, site)
    print(f"{site / 'index.html'}: {size / 1e6:.0f} MB, all links between its pages lead somewhere")


if __name__ == "__main__":
    build()
