"""Keep notebooks small, stable and reviewable.

    python tools/nb.py run 00_quickstart.ipynb …         run from the top, at full size, and save
    python tools/nb.py clean [00_quickstart.ipynb …]     save what JupyterLab ran: draw stills, drop payloads
    python tools/nb.py check [00_quickstart.ipynb …]     say what is wrong; exit code 1 if anything is

Without names: every notebook in notebooks/. Committed notebooks keep text and a still picture of each figure,
for readers without a kernel. They never hold plotly payloads (1 MB for 50,000 points), widget state (5 MB a
figure), stderr or timings. A still is drawn once, when a lesson is saved, from the live figure as it starts;
this needs a Chromium (tools/stills.py). `check` needs none.
Student copies, which nobody has run, are made and verified by tools/student.py.
"""

import base64
import copy
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # when run as a script

from tasks import SMALL  # noqa: E402
from vggt_lite.utils.files import atomic_write  # noqa: E402

PLOTLY = "application/vnd.plotly.v1+json"
INTERACTIVE = ("application/vnd.plotly", "application/vnd.jupyter.widget", "application/javascript")
MAX_BYTES = 400_000
FULL = {"VGGT_LITE_QUIET": "1"}  # as a reader runs it, without progress bars
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def words(markdown: str) -> int:
    """Words of prose: no tags, no code blocks, no formulas, no words for those who cannot see a picture."""
    prose = re.sub(r"```.*?```|\$\$.*?\$\$|<[^>]+>|!\[[^\]]*\]\([^)]*\)", " ", markdown, flags=re.DOTALL)
    return len(re.findall(r"\S*[A-Za-zÀ-ÿ]\S*", prose))


def execute(notebook: nbformat.NotebookNode, environment: Mapping[str, str]) -> nbformat.NotebookNode:
    """Run a lesson in place: a kernel of its own, in a copy of notebooks/ without what earlier runs left.

    Args:
        notebook: Gets its outputs.
        environment: Variables for the kernel; those that make tests small are taken out first.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed; the message shows it.
    """
    from nbclient import NotebookClient

    kernel = {key: value for key, value in os.environ.items() if key not in SMALL}
    kernel |= {"PYTHONPATH": str(ROOT), **environment}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "notebooks"
        shutil.copytree(ROOT / "notebooks", place, ignore=shutil.ignore_patterns("outputs"))
        (Path(folder) / "data").symlink_to(ROOT / "data", target_is_directory=True)
        client = NotebookClient(notebook, timeout=1800, resources={"metadata": {"path": str(place)}})
        client.execute(env=kernel)
    return notebook


def add_stills(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Put a picture beside every plotly payload, in place; all together leave the notebook small enough.

    Raises:
        RuntimeError: there is a payload, but no browser to draw it.
    """
    from tools import stills  # imports PyTorch: three seconds that `check` need not spend

    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    live = [output for output in outputs if PLOTLY in output.get("data", {})]
    if live:
        text = len(as_text(clean(copy.deepcopy(notebook))).encode())
        room = (MAX_BYTES - text) * 3 // 4 - 200 * len(live)  # base64 makes 4 bytes of 3; alt texts
        pictures = stills.draw([output.data[PLOTLY] for output in live])
        for output, png in zip(live, stills.as_pngs(pictures, room), strict=True):
            output.data["image/png"] = base64.b64encode(png).decode()
            output.metadata["image/png"] = {"alt": output.data["text/plain"]}
    return notebook


def clean(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Drop, in place, what cannot be reviewed: interactive payloads, widget state, run-time metadata."""
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    for cell in notebook.cells:
        cell.metadata = {key: cell.metadata[key] for key in ("tags", "jupyter") if key in cell.metadata}
        if cell.cell_type == "code":
            cell.outputs = [kept for output in cell.outputs if (kept := clean_output(output))]
    return notebook


def clean_output(output: nbformat.NotebookNode) -> nbformat.NotebookNode | None:
    """The output without interactive payloads; None if nothing worth keeping is left."""
    if output.output_type == "stream":
        return output if output.name == "stdout" else None
    if output.output_type == "error":
        return output
    for mime in [mime for mime in output.data if mime.startswith(INTERACTIVE)]:
        del output.data[mime]
    output.metadata = {mime: value for mime, value in output.metadata.items() if mime in output.data}
    return output if output.data else None


def as_text(notebook: nbformat.NotebookNode) -> str:
    return nbformat.writes(notebook, indent=1) + "\n"


def save(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Write the notebook as it is committed, whole or not at all."""
    text = as_text(clean(add_stills(notebook)))
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def problems(path: Path) -> list[str]:
    """What keeps this notebook from being committed, one sentence each."""
    text = path.read_text(encoding="utf-8")
    notebook = nbformat.reads(text, as_version=4)
    found = []
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    counts = [cell.execution_count for cell in code]
    if path.parent.name == "student":
        if any(counts) or any(cell.outputs for cell in code):
            found.append("a student copy with outputs: python tools/student.py write")
    elif counts != list(range(1, len(code) + 1)):
        found.append(f"cells were not run in order from the top: python tools/nb.py run {path.name}")
    for number, cell in enumerate(code, start=1):
        errors = [output for output in cell.outputs if output.output_type == "error"]
        if errors and "raises-exception" not in cell.metadata.get("tags", []):
            found.append(f"code cell {number} ended in {errors[0].ename}: {errors[0].evalue}")
        if any(is_figure_without_still(*pair) for pair in zip(cell.outputs, cell.outputs[1:], strict=False)):
            found.append(f"code cell {number}: a figure without a still: python tools/nb.py run {path.name}")
    cleaned = as_text(clean(nbformat.reads(text, as_version=4)))
    if cleaned != text:
        found.append(f"holds payloads or run-time metadata: python tools/nb.py clean {path.name}")
    if (size := len(cleaned.encode())) > MAX_BYTES:
        found.append(f"{size:,} bytes after cleaning, limit {MAX_BYTES:,}: show less in its figures")
    return found


def is_figure_without_still(output: nbformat.NotebookNode, caption: nbformat.NotebookNode) -> bool:
    """Whether `viz.show` displayed this output and its caption, and there is neither payload nor picture."""
    data, words = output.get("data", {}), caption.get("data", {}).get("text/markdown")
    return bool(words) and words == f"*{data.get('text/plain')}*" and not {PLOTLY, "image/png"} & set(data)


def find(names: list[str]) -> list[Path]:
    """Paths as given, or names inside notebooks/; all notebooks when nothing is named."""
    folder = ROOT / "notebooks"
    if not names:
        return sorted(folder.glob("*.ipynb"))
    return [Path(name) if Path(name).exists() else folder / name for name in names]


def main(arguments: list[str]) -> int:
    mode, *names = arguments or [""]
    if mode not in ("run", "clean", "check"):
        print(__doc__)
        return 2
    bad = False
    for path in find(names):
        if mode != "check":
            notebook = nbformat.read(path, as_version=4)
            save(execute(notebook, FULL) if mode == "run" else notebook, path)
        for problem in problems(path):
            bad = True
            print(f"{path.name}: {problem}")
    return int(bad)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
