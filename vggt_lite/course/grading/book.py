"""All students: what is graded already, a report for each, and the table of all."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import msgspec

from vggt_lite import __version__
from vggt_lite.course.grading.exercises import Exercise
from vggt_lite.course.grading.session import Graded, Limits, grade_notebook
from vggt_lite.course.grading.submissions import Submission
from vggt_lite.utils.files import atomic_write, write_text
from vggt_lite.utils.reading import read_json
from vggt_lite.utils.table import markdown_table


class Record(msgspec.Struct):
    """What is known of a student.

    Args:
        digest: Of the submission and of how it was marked.
        notebooks: Lesson number → result.
        problems: What could not be graded.
    """

    digest: str
    notebooks: dict[str, Graded]
    problems: list[str]


class GradeBook:
    """Grades submissions one after the other. Interrupted, it goes on where it stopped.

    Args:
        folder: For a report (Markdown) and a record (JSON) of each student.
        course: Lesson number → exercises.
        seed: Of the hidden inputs.
        limits: For each notebook.
    """

    def __init__(self, folder: Path, course: dict[str, list[Exercise]], seed: int, limits: Limits) -> None:
        self.folder, self.course, self.seed, self.limits = folder, course, seed, limits
        self.settings = json.dumps([__version__, seed, msgspec.to_builtins([limits, course])])
        self.records: dict[str, Record] = {}

    def grade(self, submission: Submission, tell: Callable[[str], None] = print) -> Record:
        """Grade one student, or take the record of an earlier run if nothing has changed."""
        digest, path = submission.digest(self.settings), self.folder / f"{submission.student}.json"
        record = earlier(path)
        if record is None or record.digest != digest:
            record = Record(digest, {}, list(submission.problems))
            for lesson in sorted(submission.notebooks):
                tell(f"{submission.student}: lesson {lesson} …")
                try:
                    record.notebooks[lesson] = self.grade_lesson(submission, lesson)
                except ValueError as error:
                    record.problems.append(str(error))
            write_text(path.with_suffix(".md"), self.report(submission.student, record))
            write_text(path, msgspec.json.encode(record).decode())
        self.records[submission.student] = record
        return record

    def grade_lesson(self, submission: Submission, lesson: str) -> Graded:
        return grade_notebook(submission, lesson, self.course[lesson], self.seed, self.limits)

    def columns(self) -> list[str]:
        """Exercises of the lessons that anybody handed in."""
        handed_in = {lesson for record in self.records.values() for lesson in record.notebooks}
        return [exercise.number for exercise in self.marked(handed_in)]

    def marked(self, lessons: set[str]) -> list[Exercise]:
        """Exercises of these lessons that the machine marks."""
        return [e for lesson in sorted(lessons) for e in self.course[lesson] if e.checks]

    def write_table(self, path: Path) -> None:
        """The CSV: a row for each student; 1 passed, 0 not passed, empty: the lesson was not handed in."""
        columns = self.columns()
        with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["student", *columns, "passed", "of", "problems"])
            for student, record in sorted(self.records.items()):
                marks = passes(record)
                row = [int(marks[number]) if number in marks else "" for number in columns]
                writer.writerow([student, *row, sum(marks.values()), len(columns), " ".join(record.problems)])

    def report(self, student: str, record: Record) -> str:
        """What a student gets to read."""
        marks = passes(record)
        parts = [f"# {student}", f"{sum(marks.values())} of {len(marks)} exercises passed."]
        parts += [f"- {problem}" for problem in record.problems]
        for lesson, graded in sorted(record.notebooks.items()):
            rows = [(n, "passed" if m.passed else "not passed", cell(m.why)) for n, m in graded.marks.items()]
            by_hand = [exercise.number for exercise in self.course[lesson] if not exercise.checks]
            parts.append(f"## Lesson {lesson}")
            parts += [markdown_table(("exercise", "result", "why"), rows, "lll")] if rows else []
            parts += [f"Marked by your teacher: {', '.join(by_hand)}."] if by_hand else []
            parts += ["\n".join(f"- {cell(note)}" for note in graded.notes)] if graded.notes else []
        parts.append(
            "Exercises were tried on inputs other than those of the notebook. Code cells are numbered as "
            "*Restart Kernel and Run All* numbers them."
        )
        return "\n\n".join(parts) + "\n"


def passes(record: Record) -> dict[str, bool]:
    """Exercise → passed."""
    return {n: mark.passed for graded in record.notebooks.values() for n, mark in graded.marks.items()}


def cell(text: str) -> str:
    """Text in one line, without HTML."""
    return " ".join(text.split()).replace("<", "&lt;")


def earlier(path: Path) -> Record | None:
    """The record of an earlier run; None where there is none that can be read."""
    try:
        return read_json(path, Record)
    except ValueError:
        return None
