"""Copies of the notebooks for a class: same text, same stubs, no solutions, no outputs.

    python tools/student.py write                    notebooks/student/ from notebooks/
    python tools/student.py verify                   exit code 1 if a copy is out of step
    python tools/student.py write --code-only DIR    headings and code without prose, to recall a lesson

Cells tagged `solution` are dropped, everything else is kept: `answer`, the folded model answer of an exercise
that asks for words, and `piece`, by which vggt_lite/course/pieces.py finds what a learner wrote. The bytes
depend on the notebook alone. The id of a copy's first cell is a digest of the rest: what somebody changed
since, or put beside it, is kept and named, with exit code 1. `write --overwrite` replaces changed copies, and
nothing else.
"""

import argparse
import hashlib
import re
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # when run as a script

from tools import nb  # noqa: E402
from tools.publishing import Repository, repository  # noqa: E402
from vggt_lite.utils.files import write_text  # noqa: E402

Notebook = Cell = nbformat.NotebookNode
SOLUTION = "solution"
KEPT_TAGS = ("exercise", "piece", "raises-exception")  # outputs are gone: nothing is left to compare
UNSIGNED = "student-000"  # id of the first cell, until the rest is known
SIGNED = re.compile(r'"id": "student-([0-9a-f]{40})"')
RELATIVE_LINK = re.compile(r"\]\((?!https?:|mailto:|#|attachment:)([^)\s]+)\)")


def student_copy(
    notebook: Notebook, name: str, code_only: bool = False, published: Repository | None = None
) -> Notebook:
    """A new notebook without solutions and outputs.

    Args:
        notebook: The lesson.
        name: Its file name, for the first line of the copy.
        code_only: Keep headings, exercises and code, drop the prose.
        published: Where Colab finds the repository; the copy then begins with a cell that sets Colab up.
    """
    cells = [header(name)]
    if published:
        cells.append(nbformat.v4.new_code_cell(published.colab_cell))
    for cell in notebook.cells:
        if SOLUTION in cell.metadata.get("tags", []):
            continue
        source = cell.source if cell.cell_type == "code" else moved_down(cell.source)
        if code_only and cell.cell_type == "markdown":
            source = headings(source)
        if source or cell.cell_type == "code":
            cells.append(plain_cell(cell, source))
    for number, cell in enumerate(cells):
        cell.id = f"student-{number:03d}"
    copy = nbformat.v4.new_notebook(cells=cells)
    return nb.clean(copy)


def header(name: str) -> Cell:
    made = "without solutions; made by `python tools/student.py write`, so change the lesson, not the copy"
    return nbformat.v4.new_markdown_cell(f"*Student copy of {name}, {made}.*")


def plain_cell(cell: Cell, source: str) -> Cell:
    """The cell as nobody has run it yet."""
    new = nbformat.v4.new_code_cell if cell.cell_type == "code" else nbformat.v4.new_markdown_cell
    copy = new(source)
    if tags := [tag for tag in cell.metadata.get("tags", []) if tag in KEPT_TAGS]:
        copy.metadata["tags"] = tags
    if attachments := cell.get("attachments"):
        copy["attachments"] = attachments
    return copy


def moved_down(source: str) -> str:
    """Links as seen from one folder further down; those to other lessons lead to their student copies."""

    def moved(match: re.Match) -> str:
        target = match[1]
        is_lesson = re.fullmatch(r"(\./)?\d\d_\w+\.ipynb(#.*)?", target)
        return match[0] if is_lesson else f"](../{target})"

    return RELATIVE_LINK.sub(moved, source)


def headings(source: str) -> str:
    """The headings of a Markdown cell; an exercise keeps its task too."""
    if source.lstrip().startswith("### Exercise"):
        return source
    return "\n".join(line for line in source.splitlines() if re.match(r"#{1,4} ", line))


def copies(code_only: bool = False) -> dict[str, str]:
    """File name → text of every student copy, signed."""
    lessons, published = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")), repository()
    return {
        path.name: signed(
            nb.as_text(student_copy(nbformat.read(path, as_version=4), path.name, code_only, published))
        )
        for path in lessons
    }


def signed(text: str) -> str:
    """The text of a copy, with a digest of it as the id of its first cell. JupyterLab keeps ids."""
    return text.replace(UNSIGNED, f"student-{hashlib.sha256(text.encode()).hexdigest()[:40]}", 1)


def is_untouched(name: str, text: str) -> bool:
    """Whether a notebook is, to the byte, a copy that this tool wrote under this name."""
    unsigned, found = SIGNED.subn(f'"id": "{UNSIGNED}"', text, count=1)
    return bool(found) and f"*Student copy of {name}, " in text and text == signed(unsigned)


def problems(folder: Path) -> list[str]:
    """What is out of step in a folder of student copies."""
    wanted = copies()
    found = {path.name: content(path) for path in folder.glob("*.ipynb")}
    missing = [f"{name}: no student copy" for name in wanted if name not in found]
    orphans = [f"{name}: there is no such lesson" for name in sorted(found) if name not in wanted]
    both = sorted(wanted.keys() & found.keys())
    return missing + orphans + [f"{name}: differs" for name in both if wanted[name] != found[name]]


def write(folder: Path, code_only: bool = False, overwrite: bool = False) -> list[str]:
    """Write the copies, and delete those whose lesson is gone.

    Args:
        folder: where to.
        code_only: as for `student_copy`.
        overwrite: replace copies that somebody changed, too.

    Returns:
        Names of the notebooks that were kept, since they are not as this tool left them.
    """
    wanted = copies(code_only)
    there = {path.name: content(path) for path in folder.glob("*.ipynb")}
    kept = {name for name, text in there.items() if not is_untouched(name, text)}
    for name in there.keys() - wanted.keys() - kept:
        (folder / name).unlink()
    if overwrite:
        kept -= wanted.keys()
    for name in wanted.keys() - kept:
        write_text(folder / name, wanted[name])
    return sorted(kept)


def content(path: Path) -> str:
    """A notebook's text; of what is no text, something that no copy is."""
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("action", choices=("write", "verify"))
    parser.add_argument("--code-only", type=Path, metavar="DIR")
    parser.add_argument("--overwrite", action="store_true")
    args = parser.parse_args(arguments)
    student = ROOT / "notebooks" / "student"
    folder = args.code_only or student
    if not any(student.parent.glob("[0-9][0-9]_*.ipynb")):
        print(f"{student.parent} holds no lessons to copy: take a fresh copy from where you got this folder")
        return 2
    if args.action == "verify":
        found = problems(student)
        print("\n".join(found or ["the student copies are in step"]))
        if found:
            print("run: python tools/student.py write")
        return int(bool(found))
    if args.code_only and folder.resolve() in (student, student.parent):
        print(f"{folder} holds the lessons; name another folder, for example outputs/recall")
        return 2
    kept = write(folder, bool(args.code_only), args.overwrite)
    for name in kept:
        print(f"{folder / name}: kept as it is: changed, or not written by this tool")
    if kept:
        print("copy your own work elsewhere; `write --overwrite` then replaces changed copies of lessons")
    return int(bool(kept))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
