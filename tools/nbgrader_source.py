"""The student copies as source assignments of nbgrader.

    python tools/nbgrader_source.py COURSE/source 03 04     these lessons, or all
    python tools/nbgrader_source.py COURSE/source --seed 7  with hidden inputs of your choice

write COURSE/source/03_attention_and_rope/03_attention_and_rope.ipynb and so on, a point for each exercise.
Stubs are cells to fill in. Checks are locked tests: they raise what the check says, then try hidden inputs.
Exercises without a check are marked by hand; their folded answers are left out. `nbgrader
generate_assignment` takes the hidden tests out: hand out what it writes to COURSE/release, never these.
"""

import argparse
import re
import secrets
import shutil
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # when run as a script

from tools.student import student_copy  # noqa: E402
from vggt_lite.course.grading.exercises import ANY_HEADING, HEADING, check_calls  # noqa: E402
from vggt_lite.utils.files import write_text  # noqa: E402

FIGURE = re.compile(r"\]\(\.\./(figures/\w+\.svg)\)")
BLANK = re.compile(r"^( *)(\.\.\.|# .*here)$", re.MULTILINE)  # what a learner replaces
# nbgrader writes YOUR CODE HERE there, and keeps what stands around it.
REGION = r"\1### BEGIN SOLUTION\n\1\2\n\1### END SOLUTION"
TEST = """outcome = checks.{check}({answer})
assert outcome.passed, outcome.message
### BEGIN HIDDEN TESTS
from vggt_lite.course.checks.seeds import other_inputs
from vggt_lite.course.grading.hidden import marking_check
with other_inputs({seed}):
    outcome = marking_check("{check}")({answer})
assert outcome.passed, outcome.message
### END HIDDEN TESTS"""


def assignment(lesson: nbformat.NotebookNode, name: str, seed: int) -> nbformat.NotebookNode:
    """The student copy of a lesson with nbgrader's cell metadata (schema 3)."""
    asked = [cell for cell in lesson.cells if "answer" not in cell.metadata.get("tags", [])]
    copy = student_copy(nbformat.v4.new_notebook(cells=asked), name)
    exercises, current = {}, []  # number → its cells
    for cell in copy.cells:
        if cell.cell_type == "markdown" and ANY_HEADING.search(cell.source):
            heading = HEADING.search(cell.source)
            current = exercises.setdefault(heading[1].replace(".", "_"), []) if heading else []
        current.append(cell)
    for number, cells in exercises.items():
        tests = {}  # check and answer → the cell that calls it first; a proof may call it again
        for cell in cells:
            for call in check_calls(cell.source) if cell.cell_type == "code" else []:
                tests.setdefault(call, cell)
        for place, ((check, answer), cell) in enumerate(tests.items()):
            cell.source = TEST.format(check=check, answer=answer, seed=seed)
            cell.metadata["tags"] = ["raises-exception"]  # "Run All" goes on after it
            cell.metadata["nbgrader"] = metadata(f"check_{number}_{place}", grade=True, locked=True)
        stubs = [cell for cell in cells if "exercise" in cell.metadata.get("tags", [])]
        if not stubs:  # an exercise in words
            stubs = [nbformat.v4.new_markdown_cell("*Your answer here.*", id=f"answer-{number}")]
            copy.cells.insert(copy.cells.index(cells[0]) + 1, stubs[0])
        else:
            kept, blanks = BLANK.subn(REGION, stubs[0].source)
            stubs[0].source = kept if blanks else BLANK.sub(REGION, f"{kept}\n...")
            stubs[0].metadata["tags"] = ["raises-exception"]  # as long as nbgrader's line is in it
        stubs[0].metadata["nbgrader"] = metadata(f"answer_{number}", solution=True, grade=not tests)
    return copy


def metadata(grade_id: str, grade: bool = False, solution: bool = False, locked: bool = False) -> dict:
    points = {"points": 1} if grade else {}
    kind = {"grade": grade, "solution": solution, "locked": locked, "task": False}
    return {"schema_version": 3, "grade_id": grade_id, **kind, **points}


def write(path: Path, folder: Path, seed: int) -> Path:
    """Write the assignment of one lesson, the drawings that it shows beside it."""
    copy = assignment(nbformat.read(path, as_version=4), path.name, seed)
    text = nbformat.writes(copy)
    for name in sorted(set(FIGURE.findall(text))):
        target = folder / path.stem / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path.parent / name, target)
    target = folder / path.stem / path.name
    write_text(target, FIGURE.sub(r"](\1)", text) + "\n")
    return target


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("lessons", nargs="*", metavar="NN")
    parser.add_argument("--seed", type=int, default=1 + secrets.randbelow(999_999), help="of hidden inputs")
    args = parser.parse_args(arguments)
    known = {path.name[:2]: path for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))}
    if unknown := [number for number in args.lessons if number not in known]:
        parser.error(f"there is no lesson {unknown[0]!r}; there are: {', '.join(known)}")
    for number in args.lessons or known:
        print(write(known[number], args.folder, args.seed))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
