"""Copies of the notebooks for a class: same text, same stubs, no solutions, no outputs.

    python tools/student.py write                    notebooks/student/ from notebooks/
    python tools/student.py verify                   exit code 1 if a copy is out of step
    python tools/student.py write --code-only DIR    headings and code without prose, to recall a lesson

Cells tagged `solution` are dropped, everything else is kept. The bytes depend on the notebook alone.
"""

import re
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # when run as a script

from tools import nb  # noqa: E402

Notebook = Cell = nbformat.NotebookNode
SOLUTION = "solution"
KEPT_TAGS = ("exercise", "raises-exception")  # outputs are gone: nothing is left to compare
RELATIVE_LINK = re.compile(r"\]\((?!https?:|mailto:|#|attachment:)([^)\s]+)\)")


def student_copy(notebook: Notebook, name: str, code_only: bool = False) -> Notebook:
    """A new notebook without solutions and outputs.

    Args:
        notebook: The lesson.
        name: Its file name, for the first line of the copy.
        code_only: Keep headings, exercises and code, drop the prose.
    """
    cells = [header(name)]
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
    return nbformat.v4.new_markdown_cell(f"*Student copy of [{name}](../{name}), {made}.*")


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
    """File name → text of every student copy."""
    lessons = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    return {
        path.name: nb.as_text(student_copy(nbformat.read(path, as_version=4), path.name, code_only))
        for path in lessons
    }


def problems(folder: Path) -> list[str]:
    """What is out of step in a folder of student copies."""
    wanted = copies()
    found = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.ipynb")}
    missing = [f"{name}: no student copy" for name in wanted if name not in found]
    orphans = [f"{name}: there is no such lesson" for name in sorted(found) if name not in wanted]
    both = sorted(wanted.keys() & found.keys())
    return missing + orphans + [f"{name}: differs" for name in both if wanted[name] != found[name]]


def write(folder: Path, code_only: bool = False) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in copies(code_only).items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")


def main(arguments: list[str]) -> int:
    folder = ROOT / "notebooks" / "student"
    if arguments == ["write"]:
        write(folder)
        for name in set(path.name for path in folder.glob("*.ipynb")) - copies().keys():
            (folder / name).unlink()
    elif arguments == ["verify"]:
        found = problems(folder)
        print("\n".join(found or ["the student copies are in step"]))
        if found:
            print("run: python tools/student.py write")
        return int(bool(found))
    elif arguments[:2] == ["write", "--code-only"] and len(arguments) == 3:
        if Path(arguments[2]).resolve() in (folder, folder.parent):
            print(f"{arguments[2]} holds the lessons; name another folder, for example outputs/recall")
            return 2
        write(Path(arguments[2]), code_only=True)
    else:
        print(__doc__)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
