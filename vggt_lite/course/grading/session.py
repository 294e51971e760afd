"""One notebook, graded: start a worker, watch over it, and compare what it wrote down with the reference."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from vggt_lite.course.checks.check import Tried
from vggt_lite.course.checks.seeds import other_inputs
from vggt_lite.course.grading.exercises import Exercise, read_cells
from vggt_lite.course.grading.hidden import marking_check
from vggt_lite.course.grading.submissions import Submission
from vggt_lite.course.grading.values import decoded

PACKAGE = Path(__file__).resolve().parents[2]
LOGS = ("data", "benchmarks")  # what lessons read of a checkout, beside the package
POLL = 0.1  # seconds
MOST_DISK = 1_000_000_000  # bytes that a submission may write
MOST_ERRORS = 20  # of a notebook, told in the report
# As tests run the lessons: short trainings, few points, one thread, no GPU.
SHORT = {"VGGT_LITE_FAST": "1", "VGGT_LITE_QUIET": "1", "VGGT_LITE_MAX_POINTS": "2000"}
SHORT |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONUTF8": "1"}


class Limits(msgspec.Struct, frozen=True):
    """What a notebook may use: seconds in all, seconds for one cell or answer, bytes of memory.

    Args:
        guarded: Whether the system keeps files outside the notebook's folder from it.
    """

    seconds: int = 600
    cell_seconds: int = 120
    memory: int = 6_000_000_000
    guarded: bool = True


class Mark(msgspec.Struct):
    """One exercise: passed or not, and why."""

    passed: bool
    why: str


class Graded(msgspec.Struct):
    """One notebook: the marks by exercise, what else is worth knowing, and the seconds it took."""

    marks: dict[str, Mark]
    notes: list[str]
    seconds: float


class Line(msgspec.Struct):
    """One line of what a worker wrote: a cell begins or stopped, an answer is tried, what came of it."""

    ready: bool = False
    cell: int | None = None
    error: str | None = None
    exercise: str = ""
    check: str = ""
    version: int = 0
    started: bool = False
    problem: str | None = None
    blank: bool = False
    results: dict[str, Any] = {}
    lost: str | None = None
    done: bool = False


def grade_notebook(
    submission: Submission, lesson: str, exercises: list[Exercise], seed: int, limits: Limits
) -> Graded:
    """Run and mark one notebook.

    Args:
        submission: The student's; all its files lie beside the notebook when it runs.
        lesson: Which of its notebooks.
        exercises: Of this lesson.
        seed: Of the hidden inputs.
        limits: For the whole notebook.

    Raises:
        ValueError: the file is not a notebook.
        OSError: the worker could not begin: no fault of the submission.
    """
    notebook = submission.notebooks[lesson]
    code = [cell.source for cell in read_cells(notebook) if cell.cell_type == "code"]
    cells = [source for source in code if source.strip()]  # numbered as Jupyter does, which skips empty ones
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="vggt_lite_grade_", ignore_cleanup_errors=True) as name:
        place = Path(name).resolve()
        work = place / "work"
        home, temporary = work / "home", work / "tmp"
        for folder in (work / "notebooks", home, temporary):
            folder.mkdir(parents=True)
        copy_files(submission, notebook.parent, work / "notebooks")
        record = place / "record"
        task = {
            "cells": cells,
            "answers": [(e.number, *pair) for e in exercises for pair in e.checks],
            "seed": seed,
            "work": str(work),
            "folder": str(work / "notebooks"),
            "record": str(record),
            "readable": [str(PACKAGE.parent / name) for name in LOGS],
            **msgspec.to_builtins(limits),
        }
        homes = {"HOME": str(home), "IPYTHONDIR": str(home), "TMPDIR": str(temporary)}
        path = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(PACKAGE.parent)}
        ended = run_worker(task, place, work, {**path, **SHORT, **homes}, limits)
        lines = read_record(record)
        if not any(line.ready for line in lines):
            said = (place / "errors").read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise OSError(f"no notebook can be run here: {(said or [ended])[-1]}")
    return Graded(
        {exercise.number: mark(exercise, lines, seed) for exercise in exercises if exercise.checks},
        [*([ended] if ended else []), *cell_errors(lines)],
        round(time.monotonic() - started, 1),
    )


def copy_files(submission: Submission, root: Path, target: Path) -> None:
    """The student's files as seen from the notebook's folder."""
    for path in submission.files.values():
        if path.is_relative_to(root):
            copy = target / path.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)


def run_worker(task: dict, place: Path, work: Path, environment: dict, limits: Limits) -> str | None:
    """Run a worker to its end, or end it. Returns what cut it short, or None."""
    command = [sys.executable, "-m", "vggt_lite.course.grading.worker"]
    with (place / "errors").open("wb") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            cwd=place,
            env=environment,
            start_new_session=True,
        )
    try:
        process.stdin.write(json.dumps(task).encode())
        process.stdin.close()
        return watch(process.pid, work, limits)
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # it is still ours: nobody has waited for it yet
        process.wait()


def watch(process: int, work: Path, limits: Limits) -> str | None:
    """Wait until a process ends by itself or passes a limit. Leaves it to be waited for."""
    until = time.monotonic() + limits.seconds
    while (found := os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is None:
        if time.monotonic() > until:
            return f"The notebook was stopped: it ran longer than {limits.seconds} s."
        if disk_use(work) > MOST_DISK:
            return f"The notebook was stopped: it wrote more than {MOST_DISK / 1e9:.0f} GB."
        time.sleep(POLL)
    if found.si_code == os.CLD_EXITED and found.si_status == 0:
        return None
    what = "signal" if found.si_code != os.CLD_EXITED else "exit code"
    return f"The notebook's process ended early ({what} {found.si_status})."


def disk_use(folder: Path) -> int:
    """Bytes of all files below a folder that can be looked at."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(where, name)).st_size
            except OSError:  # gone meanwhile
                pass
    return total


def read_record(path: Path) -> list[Line]:
    """The lines that a worker wrote. What a submission put between them is left out."""
    found = []
    if path.exists():
        for line in path.read_bytes().splitlines():
            try:
                found.append(msgspec.convert(json.loads(line), Line))
            except Exception:  # it may hold anything
                continue
    return found


def cell_errors(lines: list[Line]) -> list[str]:
    """Which cells stopped, and where a notebook ended that did not reach its last cell."""
    errors = [f"Code cell {line.cell} stopped: {line.error}" for line in lines if line.error]
    more = [f"{len(errors) - MOST_ERRORS} more cells stopped."] if len(errors) > MOST_ERRORS else []
    cells = [line.cell for line in lines if line.cell]
    early = [] if any(line.done for line in lines) else [f"It ended in code cell {(cells or [0])[-1]}."]
    return [*early, *errors[:MOST_ERRORS], *more]


def mark(exercise: Exercise, lines: list[Line], seed: int) -> Mark:
    """The mark for an exercise: every one of its checks must pass."""
    verdicts = [verdict(exercise.number, *pair, lines, seed) for pair in exercise.checks]
    failed = [found for found in verdicts if not found.passed]
    return failed[0] if failed else verdicts[0]


def verdict(number: str, key: str, name: str, lines: list[Line], seed: int) -> Mark:
    """The mark for one check. The last definition counts, tried when it was made and at the end."""
    ours = [line for line in lines if (line.exercise, line.check) == (number, key)]
    if not ours:
        stopped = (
            " A cell that stops defines nothing: see below." if any(line.error for line in lines) else ""
        )
        return Mark(False, f"`{name}` is nowhere defined.{stopped}")
    last = max(line.version for line in ours)
    tries = [line for line in ours if line.version == last and not line.started]
    if not tries:
        return Mark(False, f"`{name}` gave no result: it ended the process.")
    marks = [judged(key, line, seed) for line in tries]
    return next((found for found in marks if found.passed), marks[-1])


def judged(key: str, line: Line, seed: int) -> Mark:
    """One line of the record against the reference, which runs here."""
    if line.problem or line.blank:
        return Mark(False, line.problem or "Not written yet.")
    with other_inputs(seed):
        check = marking_check(key)
        results = {label: decoded(line.results.get(label)) for label in check.cases()}
        outcome = check.judged(Tried(results, lost=line.lost))
    return Mark(outcome.passed, outcome.message)
