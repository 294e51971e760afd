"""What learners handed in: a folder for each student, `submissions/STUDENT/03_anything.ipynb`."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from vggt_lite.utils.files import file_sha256

LAYOUT = (
    "put each student's notebooks into a folder of its own: submissions/STUDENT/03_attention_and_rope.ipynb"
)
MOST_BYTES = 200_000_000


@dataclass
class Submission:
    """One student's folder.

    Args:
        student: Name of the folder.
        files: Path inside the folder → file, links and hidden files left out.
        notebooks: Lesson number "03" → file.
        problems: What cannot be graded, one sentence each.
    """

    student: str
    files: dict[str, Path]
    notebooks: dict[str, Path] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def digest(self, settings: str) -> str:
        """Changes with the files and with how they are marked."""
        lines = [f"{name} {file_sha256(path)}" for name, path in self.files.items()]
        return hashlib.sha256("\n".join([settings, *lines]).encode()).hexdigest()


def find_submissions(folder: Path, lessons: set[str]) -> list[Submission]:
    """All students, by name.

    Args:
        folder: Holds a folder for each student.
        lessons: Numbers of the course's lessons.

    Raises:
        ValueError: there is no student.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder: {LAYOUT}.")
    students = [path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    if not students:
        raise ValueError(f"{folder} holds no student's folder: {LAYOUT}.")
    return [read_submission(path, lessons) for path in students]


def read_submission(folder: Path, lessons: set[str]) -> Submission:
    """One student's folder."""
    paths = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*"))}
    visible = {name: path for name, path in paths.items() if "/." not in f"/{name}"}
    files = {name: path for name, path in visible.items() if path.is_file() and not path.is_symlink()}
    found = Submission(folder.name, files)
    if (size := sum(path.stat().st_size for path in files.values())) > MOST_BYTES:
        found.problems.append(f"The folder holds {size / 1e6:,.0f} MB; {MOST_BYTES / 1e6:.0f} are the limit.")
        return found
    for name, path in files.items():
        if path.suffix != ".ipynb":
            continue
        lesson = path.name[:2]
        if lesson not in lessons:
            found.problems.append(f"{name}: there is no lesson {lesson!r}; a name starts as in 03_….ipynb.")
        elif lesson in found.notebooks:
            found.problems.append(f"{name}: a second notebook of lesson {lesson}; the first one is graded.")
        else:
            found.notebooks[lesson] = path
    if not found.notebooks:
        found.problems.append("There is no notebook of a lesson in this folder.")
    return found
