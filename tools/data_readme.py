"""Keep the tables of data, bundled weights and pictures, in the README.md beside them, in step.

    python tools/data_readme.py update     write sizes and sha256 anew; new files get "?" for a person to fill
    python tools/data_readme.py check      say what is out of step; exit code 1 if anything is

Origin and licence are written by hand and kept. Every file under these folders has a row, except README.md
files and data/ahead (scenes rendered ahead, never committed).
"""

import hashlib
import sys
from pathlib import Path

from vggt_lite.utils.table import markdown_table

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "vggt_lite"
FOLDERS = (
    ROOT / "data", PACKAGE / "pretrained" / "bundled", PACKAGE / "evaluation" / "panorama_views",
    PACKAGE / "synthetic" / "photographs", PACKAGE / "synthetic" / "panoramas",
)  # fmt: skip
BEGIN, END = "<!-- files: begin -->", "<!-- files: end -->"
HEADS = ("file", "bytes", "sha256", "origin", "licence")


def files(data: Path) -> list[Path]:
    found = [path for path in sorted(data.rglob("*")) if path.is_file() and path.name != "README.md"]
    return [path for path in found if path.name[0] != "." and path.relative_to(data).parts[0] != "ahead"]


def hand_written(readme: str) -> dict[str, tuple[str, str]]:
    """File name -> (origin, licence), read from the table's last two columns."""
    table = readme.split(BEGIN)[1].split(END)[0]
    rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines()[2:])
    return {row[0].strip("`"): (row[3], row[4]) for row in rows}


def table(data: Path, known: dict[str, tuple[str, str]]) -> str:
    rows = []
    for path in files(data):
        name = path.relative_to(data).as_posix()
        origin, licence = known.get(name, ("?", "?"))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        rows.append((f"`{name}`", path.stat().st_size, f"`{digest}`", origin, licence))
    return markdown_table(HEADS, rows, "lr")


def updated(data: Path) -> str:
    """The text that the folder's README.md should have."""
    readme = (data / "README.md").read_text(encoding="utf-8")
    before, after = readme.split(BEGIN)[0], readme.split(END)[1]
    return f"{before}{BEGIN}\n{table(data, hand_written(readme))}\n{END}{after}"


def problems(data: Path) -> list[str]:
    found, text = [], updated(data)
    if text != (data / "README.md").read_text(encoding="utf-8"):
        found.append(f"{data.name}/README.md does not match the files: python tools/data_readme.py update")
    unknown = [name for name, row in hand_written(text).items() if "?" in row]
    return found + [f"{data.name}/README.md: write origin and licence of {name}" for name in unknown]


def main(arguments: list[str]) -> int:
    if arguments not in (["update"], ["check"]):
        print(__doc__)
        return 2
    if arguments == ["update"]:
        for folder in FOLDERS:
            (folder / "README.md").write_text(updated(folder), encoding="utf-8", newline="\n")
    found = [problem for folder in FOLDERS for problem in problems(folder)]
    print("\n".join(found) or "the tables of files are in step")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
