"""The glossary names things that exist, once, and points to lessons of the course."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "teaching" / "glossary.md").read_text(encoding="utf-8")
CODE = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "vggt_lite").rglob("*.py")))
LINES = [line for line in TEXT.splitlines() if re.match(r"\| (?!term)[^-]", line)]
ROWS = [re.split(r"(?<!\\)\|", line)[1:-1] for line in LINES]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip())
def test_a_term_has_five_columns_and_its_names_here_exist(row):
    assert len(row) == 5 and all(cell.strip() for cell in row)
    for name in re.findall(r"`([A-Za-z_]\w+)`", row[1]):
        assert re.search(rf"\b{name}\b", CODE), f"{name} is nowhere in vggt_lite"
    assert re.fullmatch(r"(\d\d)(, \d\d)*", row[4].strip())


def test_no_term_is_explained_twice():
    terms = [row[0].strip() for row in ROWS]
    assert len(set(terms)) == len(terms) > 50
