"""A lesson notebook as the tests see it: cells, code without magics, exercises."""

import ast
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import nbformat

from tools.nb import words  # noqa: F401 (tests of lessons count with it)

ROOT = Path(__file__).resolve().parents[2]
EXERCISE = re.compile(r"^### Exercise (\d+)\.(\d+) · (●○○|●●○|●●●) · (\d+) min(, \w+)?\s*$", re.MULTILINE)
DETAILS = re.compile(r"<details>.*?</details>", re.DOTALL)


@dataclass
class Exercise:
    """The cells from one exercise's heading to the next heading."""

    title: str
    cells: list = field(default_factory=list)

    def tagged(self, tag: str, kind: str) -> list:
        return [cell for cell in self.cells if cell.cell_type == kind and tag in tags(cell)]

    @property
    def is_code(self) -> bool:
        return bool(self.tagged("solution", "code"))


class Lesson:
    def __init__(self, path: Path) -> None:
        self.path, self.number = path, path.name[:2]
        self.cells = nbformat.read(path, as_version=4).cells

    @cached_property
    def code(self) -> list:
        return [cell for cell in self.cells if cell.cell_type == "code" and cell.source.strip()]

    @cached_property
    def markdown(self) -> list:
        return [cell for cell in self.cells if cell.cell_type == "markdown"]

    @cached_property
    def text(self) -> str:
        return "\n\n".join(cell.source for cell in self.markdown)

    @cached_property
    def headings(self) -> list[str]:
        """All headings, in order, with their number signs."""
        prose = re.sub(r"```.*?```", "", self.text, flags=re.DOTALL)
        return re.findall(r"^#{1,6} .*$", prose, flags=re.MULTILINE)

    @cached_property
    def trees(self) -> list[ast.Module]:
        return [tree(cell) for cell in self.code]

    def calls(self) -> list[ast.Call]:
        return [node for tree in self.trees for node in ast.walk(tree) if isinstance(node, ast.Call)]

    @cached_property
    def exercises(self) -> list[Exercise]:
        found, current = [], None
        for cell in self.cells:
            if cell.cell_type == "markdown" and re.search(r"^#{1,3} ", cell.source, re.MULTILINE):
                heading = EXERCISE.search(cell.source)
                current = Exercise(heading[0]) if heading else None
                found += [current] if heading else []
            if current:
                current.cells.append(cell)
        return found


def tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def tree(cell) -> ast.Module:
    """The cell's syntax tree, without IPython magics."""
    lines = cell.source.splitlines()
    return ast.parse("\n".join("" if line.lstrip().startswith(("%", "!")) else line for line in lines))


def lines(cell) -> int:
    """Lines of code: no blank lines, comments or docstrings."""
    documented = (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)
    doc = set()
    for node in ast.walk(tree(cell)):
        if isinstance(node, documented) and ast.get_docstring(node) is not None:
            doc |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    rows = enumerate(cell.source.splitlines(), start=1)
    return sum(bool(row.strip()) and not row.lstrip().startswith("#") and n not in doc for n, row in rows)


def callee(call: ast.Call) -> str:
    """The dotted name a call goes to: "viz.show"; empty if it is no plain name."""
    parts, node = [], call.func
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def defined(body: list[ast.stmt]) -> set[str]:
    """Names that statements bind at the level of the notebook, imports apart."""
    found = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.If | ast.For | ast.While | ast.With | ast.Try):
            found |= defined(node.body) | defined(getattr(node, "orelse", []))
            found |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and is_stored_here(n, node)}
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name) and is_store(n)}
    return found


def is_store(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)


def is_stored_here(name: ast.Name, node: ast.stmt) -> bool:
    """Whether a `for` or `with` itself binds the name."""
    heads = [node.target] if isinstance(node, ast.For) else []
    heads += [item.optional_vars for item in getattr(node, "items", []) if item.optional_vars]
    return is_store(name) and any(name in ast.walk(head) for head in heads)


def lessons() -> list[Lesson]:
    """The notebooks 01 … 13 that are there."""
    paths = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    return [Lesson(path) for path in paths if "01" <= path.name[:2] <= "13"]
