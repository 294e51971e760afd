"""How long every notebook takes to run, measured, and how much is in it: the tables in teaching/syllabus.md.

    python tools/durations.py measure [00_quickstart …]   run these (or all), fast and in full
    python tools/durations.py update                      write cards and tables: results and the lessons
    python tools/durations.py check                       say what is out of step; exit code 1 if anything is

The minutes in the headings of sections and exercises are the truth: a lesson's card, its row in the syllabus
and its notes say their sums. A run starts a kernel of its own in a copy of notebooks/, as Run All would;
seconds include its start. Fast is what tests run (VGGT_LITE_FAST=1), full is what a reader runs. Measure on
an idle machine.
"""

import json
import re
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import nbformat  # noqa: E402

from tasks import SMALL  # noqa: E402
from tools import lessons, nb  # noqa: E402
from vggt_lite.evaluation.report import hardware, versions  # noqa: E402
from vggt_lite.utils.files import write_text  # noqa: E402
from vggt_lite.utils.table import markdown_table  # noqa: E402

RESULTS = ROOT / "teaching" / "durations.json"
PAGE = ROOT / "teaching" / "syllabus.md"
CARD = re.compile(r"\d+( min\s+reading,\s+)\d+( min\s+exercises)")
TABLE = re.compile(r"(<!-- durations: begin -->\n).*?(<!-- durations: end -->)", re.DOTALL)
MODES = {"fast": SMALL, "full": nb.FULL}
# A last cell of our own: the most memory the kernel held, in megabytes.
PEAK = """import resource, sys
unit = 1_000_000 if sys.platform == "darwin" else 1_000
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit)"""


def names() -> list[str]:
    return sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def measure(name: str) -> dict:
    """Seconds and peak memory of one notebook in both modes."""
    found = {}
    for mode, environment in MODES.items():
        notebook = read(name)
        notebook.cells.append(nbformat.v4.new_code_cell(PEAK))
        started = time.monotonic()
        nb.execute(notebook, environment)
        seconds = time.monotonic() - started
        peak = int(notebook.cells[-1].outputs[0].text)
        found[mode] = {"seconds": round(seconds, 1), "peak_mb": peak}
        print(f"{name} {mode}: {seconds:.0f} s, {peak} MB", flush=True)
    return found


HEADS = ("notebook", "words", "minutes to read them", "code lines to the first figure", "exercises")
HEADS += ("checks", "wrong answers they know", "fast, s", "in full, s", "memory, MB")


def table(report: dict) -> str:
    measured = report["notebooks"]
    rows = [row(name, measured[name]) for name in names() if name in measured]
    text = markdown_table(HEADS, rows, "l" + "r" * (len(HEADS) - 1))
    return text + f"\n\nMeasured on {report['hardware']}, PyTorch {report['versions']['torch']}.\n"


def row(name: str, found: dict) -> tuple:
    """A notebook's line: what is counted in it, then what was measured."""
    size = lessons.size(path_of(name))
    return (
        f"[{name[:2]}](../notebooks/{name}.ipynb)",
        f"{size.words:,}",
        size.minutes,
        size.lines_to_figure,
        size.exercises,
        size.checks or "–",
        size.wrong_answers or "–",
        f"{found['fast']['seconds']:.0f}",
        f"{found['full']['seconds']:.0f}",
        max(found[mode]["peak_mb"] for mode in MODES),
    )


def load() -> dict:
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {"notebooks": {}}


def page(promised: dict[str, tuple[int, int]]) -> str:
    """The syllabus with its tables as the lessons and the results say them."""
    text = PAGE.read_text(encoding="utf-8")
    for name, (reading, exercises) in promised.items():
        row = re.compile(rf"(\| \[{name[:2]}\][^|]+\|[^|]+\|) \d+ \| \d+ \|$", re.MULTILINE)
        text = row.sub(rf"\1 {reading} | {exercises} |", text)
    return TABLE.sub(lambda found: found[1] + table(load()) + found[2], text)


def pages() -> dict[Path, str]:
    """All that says minutes, as it should be."""
    notebooks = {name: read(name) for name in names()}
    promised = {name: lessons.minutes(notebook.cells) for name, notebook in notebooks.items()}
    found = {PAGE: page(promised)}
    for name, notebook in notebooks.items():
        reading, exercises = promised[name]
        said, notes = rf"{reading}\g<1>{exercises}\2", ROOT / "teaching" / "lesson_notes" / f"{name[:2]}.md"
        notebook.cells[0].source = CARD.sub(said, notebook.cells[0].source)
        found[path_of(name)] = nb.as_text(notebook)
        found[notes] = CARD.sub(said, notes.read_text(encoding="utf-8"))
    return found


def read(name: str) -> nbformat.NotebookNode:
    return nbformat.read(path_of(name), as_version=4)


def path_of(name: str) -> Path:
    return ROOT / "notebooks" / f"{name}.ipynb"


def problems() -> list[str]:
    """What is out of step, one sentence each."""
    found = [f"{name} was never measured" for name in names() if name not in load()["notebooks"]]
    found += [f"{name} is gone" for name in load()["notebooks"] if name not in names()]
    for path, text in pages().items():
        if text != path.read_text(encoding="utf-8"):
            found.append(f"the minutes in {path.name} are out of step: python tools/durations.py update")
    return found


def main(arguments: list[str]) -> None:
    command, chosen = arguments[0] if arguments else "", arguments[1:]
    if command == "measure":
        for name in chosen or names():
            report = load()
            report["hardware"], report["versions"] = hardware("cpu"), versions()
            report["notebooks"][name] = measure(name)
            write_text(RESULTS, json.dumps(report, indent=1) + "\n")
    elif command == "update":
        for path, text in pages().items():
            write_text(path, text)
    elif command == "check":
        for problem in problems():
            print(problem)
        sys.exit(bool(problems()))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
