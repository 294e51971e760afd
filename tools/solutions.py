"""What teachers keep to themselves, in one archive: solved notebooks, and the keys of quizzes and exams.

    python tools/solutions.py                 outputs/solutions.zip
    python tools/solutions.py FILE.zip

Learners get notebooks/student/ (`make student`), which has no solutions and no links to them.
"""

import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # when run as a script

from vggt_lite.utils.files import atomic_write, file_target  # noqa: E402

PACKED = ("notebooks/[0-9][0-9]_*.ipynb", "teaching/key/*.md", "teaching/lesson_notes/*.md", "LICENSE")


def write(path: Path) -> list[str]:
    """Write the archive, the same bytes from the same files. Returns the names in it."""
    files = sorted(file for pattern in PACKED for file in ROOT.glob(pattern))
    names = [file.relative_to(ROOT).as_posix() for file in files]
    with (
        atomic_write(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for file, name in zip(files, names, strict=True):
            archive.writestr(zipfile.ZipInfo(name), file.read_bytes(), zipfile.ZIP_DEFLATED)
    return names


def main(arguments: list[str]) -> int:
    if len(arguments) > 1 or "--help" in arguments:
        print(__doc__)
        return 2
    try:
        path = file_target(arguments[0] if arguments else ROOT / "outputs" / "solutions.zip", ".zip")
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"written: {path} ({len(write(path))} files)")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
