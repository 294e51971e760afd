"""`vggt-lite grade`: mark what learners hand in, on hidden inputs."""

import argparse
import secrets
import sys
from importlib.util import find_spec
from pathlib import Path

from vggt_lite.cli.options import output, whole

MOST_SEED = 999_999


def add_options(sub: argparse.ArgumentParser) -> None:
    add = sub.add_argument
    add("submissions", type=Path, metavar="SUBMISSIONS",
        help="a folder that holds a folder for each student, with notebooks named as the lessons: "
        "SUBMISSIONS/ada/03_attention_and_rope.ipynb")  # fmt: skip
    add("--out", required=True, type=output(".csv"), metavar="FILE",
        help="the table to write; reports for students go to a folder beside it, NAME_reports")  # fmt: skip
    add("--seed", type=whole(1, MOST_SEED),
        help="of the hidden inputs; default: a secret one, drawn once and kept with the reports")  # fmt: skip
    add("--lessons", type=Path, default=Path("notebooks"), metavar="DIR",
        help="the course's own notebooks, which say what the exercises are; default: notebooks")  # fmt: skip
    add("--seconds", type=whole(1, 86_400), default=600, help="for one notebook; default: 600")
    add("--cell-seconds", type=whole(1, 86_400), default=120, help="for one cell or answer; default: 120")
    add("--memory", type=whole(1, 1_000), default=6, metavar="GB", help="of one notebook; default: 6")
    add("--unguarded", action="store_true",
        help="run where the system cannot keep submissions from your files; only in a container")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Grade all students; those whose submission has not changed are taken from the earlier run."""
    if sys.platform == "win32":
        raise ValueError(
            "submissions are run under limits that Windows lacks: use Linux, WSL or a container."
        )
    if not all(map(find_spec, ("IPython", "nbformat"))):
        raise ImportError("notebooks are run with IPython: pip install 'vggt-lite[notebook]'.")
    from vggt_lite.course.grading.book import GradeBook
    from vggt_lite.course.grading.exercises import course
    from vggt_lite.course.grading.guard import landlock_version
    from vggt_lite.course.grading.session import Limits
    from vggt_lite.course.grading.submissions import find_submissions
    from vggt_lite.utils.guards import only_run_in

    if not (args.unguarded or landlock_version()):
        raise ValueError(
            "this system has no Landlock (Linux 5.13 or newer), so a submission could change your files: "
            "run this in a container with --unguarded."
        )
    lessons = course(args.lessons)
    submissions = find_submissions(args.submissions, set(lessons))
    reports = args.out.with_name(f"{args.out.stem}_reports")
    with only_run_in(reports):
        limits = Limits(args.seconds, args.cell_seconds, args.memory * 10**9, not args.unguarded)
        seed = args.seed or kept_seed(reports)
        book = GradeBook(reports, lessons, seed, limits)
        for submission in submissions:
            record = book.grade(submission)
            book.write_table(args.out)  # after each: an interruption loses nothing
            for problem in record.problems:
                print(f"{submission.student}: {problem}", file=sys.stderr)
    print(f"written: {args.out}, and a report for each student in {reports}")
    return int(any(record.problems for record in book.records.values()))


def kept_seed(reports: Path) -> int:
    """The seed of an earlier run, or a new one, kept for the next."""
    path = reports / "seed.txt"
    if not path.exists():
        path.write_text(f"{1 + secrets.randbelow(MOST_SEED)}\n", encoding="utf-8")
    return whole(1, MOST_SEED)(path.read_text(encoding="utf-8").strip())
