"""Which exercises a lesson has, and what marks them: read from the teacher's own notebooks.

An exercise is a heading `### Exercise 3.1 · …` with the cells up to the next heading. It is marked by machine
where one of these cells reads `checks.TOPIC.NAME(my_function)`; others are marked by a person.
"""

import ast
import re
from pathlib import Path

import msgspec

HEADING = re.compile(r"^### Exercise (\d+\.\d+)\b", re.MULTILINE)
ANY_HEADING = re.compile(r"^#{1,3} ", re.MULTILINE)


class Exercise(msgspec.Struct, frozen=True):
    """One exercise.

    Args:
        number: "3.1".
        checks: (check, learner's function) pairs: ("attention.attention_weights", "my_attention_weights").
            All must pass; none: a person marks it.
    """

    number: str
    checks: tuple[tuple[str, str], ...] = ()


def read_cells(path: Path) -> list:
    """The cells of a notebook.

    Raises:
        ValueError: the file is none.
    """
    import nbformat  # in the extra "notebook"

    try:
        return nbformat.read(path, as_version=4).cells
    except Exception as error:  # nbformat has many kinds
        raise ValueError(f"{path.name} is not a notebook ({type(error).__name__}).") from error


def without_magics(source: str) -> str:
    """Python of a cell, lines of IPython (%time, !ls) taken out."""
    return "\n".join("" if line.lstrip().startswith(("%", "!")) else line for line in source.splitlines())


def check_calls(source: str) -> list[tuple[str, str]]:
    """The calls `checks.TOPIC.NAME(function)` in a cell."""
    try:
        nodes = ast.walk(ast.parse(without_magics(source)))
    except SyntaxError:
        return []
    calls = [node for node in nodes if isinstance(node, ast.Call) and len(node.args) == 1]
    called = [(ast.unparse(call.func).split("."), call.args[0]) for call in calls]
    return [
        (".".join(parts[1:]), argument.id)
        for parts, argument in called
        if len(parts) == 3 and parts[0] == "checks" and isinstance(argument, ast.Name)
    ]


def exercises_of(path: Path) -> list[Exercise]:
    """The exercises of a lesson, in order."""
    found: dict[str, dict] = {}
    current = None
    for cell in read_cells(path):
        if cell.cell_type == "markdown" and ANY_HEADING.search(cell.source):
            heading = HEADING.search(cell.source)
            current = found.setdefault(heading[1], {}) if heading else None
        elif cell.cell_type == "code" and current is not None:
            current.update(dict.fromkeys(check_calls(cell.source)))  # in order, each once
    return [Exercise(number, tuple(calls)) for number, calls in found.items()]


def course(folder: Path) -> dict[str, list[Exercise]]:
    """Lesson number "03" → its exercises.

    Raises:
        ValueError: there are no lessons in this folder.
    """
    lessons = {path.name[:2]: exercises_of(path) for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))}
    if not lessons:
        raise ValueError(
            f"{folder} holds no lessons (00_….ipynb): name the course's notebooks with --lessons."
        )
    return lessons
