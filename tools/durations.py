"""How long every notebook takes to read and to run, measured: the table in teaching/syllabus.md.

    python tools/durations.py measure [00_quickstart …]   run these (or all), fast and in full
    python tools/durations.py count                       count the words of all, and run nothing
    python tools/durations.py update                      write the table anew from teaching/durations.json
    python tools/durations.py check                       say whether it is out of step; exit code 1 if it is

A run starts a kernel of its own in a copy of notebooks/, as Run All would; seconds include its start. Fast is
what tests run (VGGT_LITE_FAST=1), full is what a reader runs. Measure on an idle machine. The text alone is
read at 150 words a minute; code and figures come on top of it.
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
from tools import nb  # noqa: E402
from vggt_lite.evaluation.report import hardware, versions  # noqa: E402
from vggt_lite.utils.files import atomic_write  # noqa: E402
from vggt_lite.utils.table import markdown_table  # noqa: E402

RESULTS = ROOT / "teaching" / "durations.json"
PAGE = ROOT / "teaching" / "syllabus.md"
TABLE = re.compile(r"(<!-- durations: begin -->\n).*?(<!-- durations: end -->)", re.DOTALL)
WORDS_A_MINUTE = 150
MODES = {"fast": SMALL, "full": nb.FULL}
# A last cell of our own: the most memory the kernel held, in megabytes.
PEAK = """import resource, sys
unit = 1_000_000 if sys.platform == "darwin" else 1_000
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit)"""


def names() -> list[str]:
    return sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def count(name: str) -> int:
    """Words of a notebook's text."""
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    return nb.words("\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown"))


def measure(name: str) -> dict:
    """Words, and seconds and peak memory in both modes, of one notebook."""
    found = {"words": count(name)}
    for mode, environment in MODES.items():
        notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
        notebook.cells.append(nbformat.v4.new_code_cell(PEAK))
        started = time.monotonic()
        nb.execute(notebook, environment)
        seconds = time.monotonic() - started
        peak = int(notebook.cells[-1].outputs[0].text)
        found[mode] = {"seconds": round(seconds, 1), "peak_mb": peak}
        print(f"{name} {mode}: {seconds:.0f} s, {peak} MB", flush=True)
    return found


def table(report: dict) -> str:
    machine = report["hardware"]
    rows = [
        (
            f"[{name[:2]}](../notebooks/{name}.ipynb)",
            f"{found['words'] / WORDS_A_MINUTE:.0f}",
            f"{found['fast']['seconds']:.0f}",
            f"{found['full']['seconds']:.0f}",
            max(found[mode]["peak_mb"] for mode in MODES),
        )
        for name, found in sorted(report["notebooks"].items())
    ]
    text = markdown_table(("notebook", "text, min", "fast, s", "in full, s", "memory, MB"), rows, "lrrrr")
    return text + f"\n\nMeasured on {machine}, PyTorch {report['versions']['torch']}.\n"


def load() -> dict:
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {"notebooks": {}}


def save(report: dict) -> None:
    with atomic_write(RESULTS) as temporary:
        temporary.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def page() -> str:
    """The syllabus with the table as the results say it."""
    text = PAGE.read_text(encoding="utf-8")
    return TABLE.sub(lambda found: found[1] + table(load()) + found[2], text)


def problems() -> list[str]:
    """What is out of step, one sentence each."""
    found = [f"{name} was never measured" for name in names() if name not in load()["notebooks"]]
    found += [f"{name} is gone" for name in load()["notebooks"] if name not in names()]
    if page() != PAGE.read_text(encoding="utf-8"):
        found.append("the table is out of step: python tools/durations.py update")
    return found


def main(arguments: list[str]) -> None:
    command, chosen = arguments[0] if arguments else "", arguments[1:]
    if command == "measure":
        for name in chosen or names():
            report = load()
            report["hardware"], report["versions"] = hardware("cpu"), versions()
            report["notebooks"][name] = measure(name)
            save(report)
    elif command == "count":
        report = load()
        for name, found in report["notebooks"].items():
            found["words"] = count(name)
        save(report)
    elif command == "update":
        with atomic_write(PAGE) as temporary:
            temporary.write_text(page(), encoding="utf-8")
    elif command == "check":
        for problem in problems():
            print(problem)
        sys.exit(bool(problems()))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
