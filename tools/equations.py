"""Keep teaching/equations.md, the map from the paper's equations to lines of code, in step with the code.

    python tools/equations.py update     write the line numbers anew
    python tools/equations.py check      say what is out of step; exit code 1 if anything is

A row ends with `| function | [file.py:12](../path/file.py#L12) `code` |`: the code stands in one line of the
file, number 12, within the function (`Class.method` for a method).
"""

import ast
import re
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "teaching" / "equations.md"
ROW = re.compile(r"\| (?:`([\w.]+)`|–) \| \[([\w.]+):(\d+)\]\(([^)#]+)#L(\d+)\) `([^`]+)` \|$")


class Row(NamedTuple):
    function: str | None
    shown: str
    line: int
    path: str
    anchor: int
    code: str


def rows(text: str) -> list[Row]:
    found = [ROW.search(line) for line in text.splitlines() if "](../vggt_lite" in line]
    if None in found:
        raise ValueError(f"{found.count(None)} rows of {TABLE.name} are not of the form given in {__file__}")
    return [Row(m[1], m[2], int(m[3]), m[4], int(m[5]), m[6]) for m in found]


def places(row: Row) -> list[int]:
    """Numbers of the lines that hold the row's code."""
    lines = (TABLE.parent / row.path).read_text(encoding="utf-8").splitlines()
    return [number for number, line in enumerate(lines, start=1) if row.code in line]


def span(row: Row) -> range:
    """Line numbers of the row's function; of the whole file where it names none."""
    text = (TABLE.parent / row.path).read_text(encoding="utf-8")
    body, node = ast.parse(text).body, None
    for name in (row.function or "").split(".") if row.function else []:
        node = next((n for n in body if getattr(n, "name", None) == name), None)
        if node is None:
            return range(0)
        body = node.body
    return range(node.lineno, node.end_lineno + 1) if node else range(1, len(text.splitlines()) + 1)


def problems(text: str) -> list[str]:
    """What is out of step, one sentence each."""
    found = []
    for row in rows(text):
        where = places(row)
        if len(where) != 1:
            found.append(f"{row.path}: {len(where)} lines hold `{row.code}`; quote a part that is unique")
        elif (row.line, row.anchor, row.shown) != (where[0], where[0], Path(row.path).name):
            found.append(f"{row.path}: `{row.code}` is in line {where[0]}, not {row.line}")
        elif where[0] not in span(row):
            found.append(f"{row.path}: line {where[0]} is not in {row.function}")
    return found


def updated(text: str) -> str:
    """The text with the numbers of the lines where the quoted code is now."""
    for row in rows(text):
        if len(where := places(row)) == 1:
            old = f"[{row.shown}:{row.line}]({row.path}#L{row.anchor}) `{row.code}`"
            shown = f"{Path(row.path).name}:{where[0]}"
            text = text.replace(old, f"[{shown}]({row.path}#L{where[0]}) `{row.code}`")
    return text


def main(arguments: list[str]) -> int:
    if arguments not in (["update"], ["check"]):
        print(__doc__)
        return 2
    text = TABLE.read_text(encoding="utf-8")
    if arguments == ["update"]:
        text = updated(text)
        TABLE.write_text(text, encoding="utf-8", newline="\n")
    found = problems(text)
    print("\n".join([*found, f"{len(rows(text))} lines of code, {len(found)} out of step"]))
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
