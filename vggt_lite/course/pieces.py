"""One importable file from the pieces a learner wrote in the notebooks: `my_vggt.py`.

A piece is a function or class in a cell tagged `piece`. What it needs beside other pieces, imports and other
functions of its notebook, comes along.
"""

import ast
import builtins
import json
from dataclasses import dataclass
from pathlib import Path

from vggt_lite.utils.files import file_target, write_text

TAG = "piece"
HEADER = '"""My VGGT, gathered from my notebooks by `vggt_lite.course.gather`: change the notebooks."""'
Definition = ast.FunctionDef | ast.ClassDef


class PiecesMissing(ValueError):
    """Some pieces are not written yet; the message names them and their notebooks."""


@dataclass(frozen=True)
class Source:
    """A function or class, or an import, as it stands in a notebook."""

    notebook: str
    node: ast.stmt
    text: str

    @property
    def needs(self) -> set[str]:
        """Names it reads and does not bind itself."""
        names = [node for node in ast.walk(self.node) if isinstance(node, ast.Name)]
        bound = {name.id for name in names if not isinstance(name.ctx, ast.Load)}
        bound |= {node.arg for node in ast.walk(self.node) if isinstance(node, ast.arg)}
        bound |= {node.name for node in ast.walk(self.node) if isinstance(node, Definition)}
        return {name.id for name in names} - bound - set(dir(builtins))

    @property
    def is_stub(self) -> bool:
        """Whether a function, or the `forward` of a class, holds nothing yet but `...`."""
        functions = [self.node] if isinstance(self.node, ast.FunctionDef) else self.node.body
        bodies = {f.name: f.body for f in functions if isinstance(f, ast.FunctionDef)}
        body = bodies.get("forward") or bodies.get(self.node.name, [None])
        return isinstance(body[-1], ast.Expr) and getattr(body[-1].value, "value", None) is ...


def gather(notebooks: str | Path = ".", to: str | Path = "outputs/my_vggt.py") -> Path:
    """Write the pieces of the notebooks in a folder into one file.

    Args:
        notebooks: The folder; notebooks are read as they were last saved. Of two pieces of one name the one
            of the later cell is taken.
        to: The file. One that was gathered earlier is replaced.

    Raises:
        PiecesMissing: some are blank, or no notebook holds any.
        ValueError: a cell is no Python, a piece needs what no notebook has, or `to` is another kind of file.
    """
    paths = sorted(Path(notebooks).glob("[0-9][0-9]_*.ipynb"))
    pieces, helpers, imports = {}, {}, {}
    for path in paths:
        collect(path, pieces, helpers, imports)
    if not pieces:
        raise PiecesMissing(f"no notebook in {Path(notebooks).absolute()} has a cell tagged `{TAG}`.")
    if blank := [f"{name} ({piece.notebook})" for name, piece in pieces.items() if piece.is_stub]:
        raise PiecesMissing(f"not written yet: {', '.join(blank)}. Write them, save, and gather again.")
    wanted, lines = resolve(pieces, helpers, imports)
    path = file_target(to, ".py")
    if path.exists() and not path.read_text(encoding="utf-8").startswith(HEADER):
        raise ValueError(f"{path} was not gathered from notebooks: give another name, or move it away.")
    write_text(path, "\n".join([HEADER, "", *sorted(lines), "", "", "\n\n\n".join(wanted), ""]))
    return path


def collect(path: Path, pieces: dict, helpers: dict, imports: dict) -> None:
    """Add what a notebook defines: pieces by name; helpers and imports by notebook and name."""
    for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"], start=1):
        if cell["cell_type"] != "code":
            continue
        tagged = TAG in cell["metadata"].get("tags", [])
        lines = "".join(cell["source"]).splitlines()
        code = "\n".join("" if line.lstrip().startswith(("%", "!")) else line for line in lines)
        try:
            nodes = ast.parse(code).body
        except SyntaxError as error:
            if not tagged:
                continue  # somebody's notes
            where = f"{path.name}, cell {number}, line {error.lineno}"
            raise ValueError(f"{where} is no Python: {error.msg}.") from None
        for node in nodes:
            if isinstance(node, ast.Import | ast.ImportFrom):
                for alias in node.names:
                    line = ast.unparse(type(node)(**{**vars(node), "names": [alias]}))
                    imports[path.name, alias.asname or alias.name.split(".")[0]] = line
            elif isinstance(node, Definition):
                first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
                source = Source(path.name, node, "\n".join(lines[first - 1 : node.end_lineno]))
                known = pieces.get(node.name) if tagged else None
                if not (known and source.is_stub and known.notebook == path.name):
                    (pieces if tagged else helpers)[node.name if tagged else (path.name, node.name)] = source


def resolve(pieces: dict, helpers: dict, imports: dict) -> tuple[list[str], set[str]]:
    """The texts of all pieces, what each needs before it, and the lines that import the rest."""
    texts, lines, waiting = {}, set(), dict(pieces)
    while waiting:
        name, source = waiting.popitem()
        texts[name] = source
        for need in source.needs - pieces.keys() - texts.keys():
            place = source.notebook, need
            if place in imports:
                lines.add(imports[place])
            elif place in helpers:
                waiting[need] = helpers[place]
            else:
                raise ValueError(
                    f"`{name}` of {source.notebook} needs `{need}`, which no cell there imports or defines "
                    "as a function or class: make it an argument."
                )
    order = sorted(texts, key=lambda name: (texts[name].notebook, isinstance(texts[name].node, ast.ClassDef)))
    return [texts[name].text for name in order], lines
