"""Keep notebooks small, stable and reviewable.

    python tools/nb.py clean [00_quickstart.ipynb …]     rewrite, dropping what cannot be reviewed
    python tools/nb.py check [00_quickstart.ipynb …]     say what is wrong; exit code 1 if anything is

Without names: every notebook in notebooks/. Committed notebooks keep text and small PNG previews; they
never hold plotly payloads (1 MB for 50,000 points), widget state (5 MB a figure), stderr or timings.
Student copies, which nobody has run, are made and verified by tools/student.py.
"""

import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
INTERACTIVE = ("application/vnd.plotly", "application/vnd.jupyter.widget", "application/javascript")
MAX_BYTES = 400_000
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


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
        found.append("cells were not run in order from the top: Restart Kernel and Run All Cells")
    for number, cell in enumerate(code, start=1):
        errors = [output for output in cell.outputs if output.output_type == "error"]
        if errors and "raises-exception" not in cell.metadata.get("tags", []):
            found.append(f"code cell {number} ended in {errors[0].ename}: {errors[0].evalue}")
    cleaned = as_text(clean(nbformat.reads(text, as_version=4)))
    if cleaned != text:
        found.append(f"holds payloads or run-time metadata: python tools/nb.py clean {path.name}")
    if (size := len(cleaned.encode())) > MAX_BYTES:
        found.append(f"{size:,} bytes after cleaning, limit {MAX_BYTES:,}: make previews smaller")
    return found


def find(names: list[str]) -> list[Path]:
    """Paths as given, or names inside notebooks/; all notebooks when nothing is named."""
    folder = ROOT / "notebooks"
    if not names:
        return sorted(folder.glob("*.ipynb"))
    return [Path(name) if Path(name).exists() else folder / name for name in names]


def main(arguments: list[str]) -> int:
    mode, *names = arguments or [""]
    if mode not in ("clean", "check"):
        print(__doc__)
        return 2
    bad = False
    for path in find(names):
        if mode == "clean":
            cleaned = clean(nbformat.read(path, as_version=4))
            path.write_text(as_text(cleaned), encoding="utf-8", newline="\n")
        for problem in problems(path):
            bad = True
            print(f"{path.name}: {problem}")
    return int(bad)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
