"""How much there is in a lesson: words, code before the first figure, exercises and their checks."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import nbformat

from vggt_lite.course import checks
from vggt_lite.course.grading.exercises import exercises_of, without_magics

WORDS_A_MINUTE = 150  # of a careful reader


@dataclass(frozen=True)
class Size:
    """What a learner meets in one lesson.

    Args:
        words: Of prose, folded hints and answers included, solutions left out.
        lines_to_figure: Lines of code down to the first figure, those that draw it included.
        exercises: All of them.
        checks: Distinct checks that the exercises call.
        wrong_answers: Which these checks are tested to reject and to name.
    """

    words: int
    lines_to_figure: int
    exercises: int
    checks: int
    wrong_answers: int

    @property
    def minutes(self) -> int:
        """To read the words alone, without code, figures and thought."""
        return round(self.words / WORDS_A_MINUTE)


def size(path: Path) -> Size:
    """Count one notebook."""
    cells = nbformat.read(path, as_version=4).cells
    shown = [cell for cell in cells if "solution" not in cell.metadata.get("tags", [])]
    prose = [cell.source for cell in shown if cell.cell_type == "markdown"]
    exercises = exercises_of(path)
    known = checks.every_check()
    called = {check for exercise in exercises for check, _ in exercise.checks}
    return Size(
        words("\n\n".join(prose)),
        lines_to_figure(cells),
        len(exercises),
        len(called),
        sum(len(known[check].mutants) for check in called),
    )


def minutes(cells: list) -> tuple[int, int]:
    """What a lesson's card promises: minutes of its sections, to the next five, and of its exercises."""
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    sections = sum(map(int, re.findall(r"^## .+ · (\d+) min$", text, re.MULTILINE)))
    exercises = sum(map(int, re.findall(r"^### Exercise .+ · (\d+) min", text, re.MULTILINE)))
    return 5 * round(sections / 5), exercises


def lines_to_figure(cells: list) -> int:
    """Lines of code down to the first cell that shows a picture, its own included."""
    count = 0
    for cell in cells:
        if cell.cell_type == "code":
            count += lines(cell)
            if any("image/png" in output.get("data", {}) for output in cell.outputs):
                break
    return count


def words(markdown: str) -> int:
    """Words of prose: no tags, no code blocks, no formulas, no words for those who cannot see a picture."""
    prose = re.sub(r"```.*?```|\$\$.*?\$\$|<[^>]+>|!\[[^\]]*\]\([^)]*\)", " ", markdown, flags=re.DOTALL)
    return len(re.findall(r"\S*[A-Za-zÀ-ÿ]\S*", prose))


def lines(cell: nbformat.NotebookNode) -> int:
    """Lines of code: no blank lines, comments or docstrings."""
    documented = (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)
    doc = set()
    for node in ast.walk(tree(cell)):
        if isinstance(node, documented) and ast.get_docstring(node) is not None:
            doc |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    rows = enumerate(cell.source.splitlines(), start=1)
    return sum(bool(row.strip()) and not row.lstrip().startswith("#") and n not in doc for n, row in rows)


def tree(cell: nbformat.NotebookNode) -> ast.Module:
    """The cell's syntax tree, without IPython magics."""
    return ast.parse(without_magics(cell.source))
