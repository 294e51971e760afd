"""teaching/equations.md leads to the lines it quotes."""

import pytest

from tools import equations

TEXT = equations.TABLE.read_text(encoding="utf-8")
ROWS = equations.rows(TEXT)


def test_every_quoted_line_is_where_the_map_says():
    assert not equations.problems(TEXT), "run: python tools/equations.py update"


def test_the_numbered_equations_and_all_four_losses_are_there():
    for part in ("eq. 1", "eq. 2", "camera", "depth", "pmap", "track"):
        assert any(part in line.split("|")[1] for line in TEXT.splitlines() if line.startswith("| "))
    assert len(ROWS) == TEXT.count("](../vggt_lite/") >= 30


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"line": 1, "anchor": 1}, "not 1"),
        ({"code": "no such code"}, "0 lines hold"),
        ({"code": "return"}, "lines hold"),
        ({"function": "VGGT.reconstruct"}, "is not in VGGT.reconstruct"),
        ({"function": "VGGT.gone"}, "is not in VGGT.gone"),
    ],
)
def test_a_row_that_is_out_of_step_is_named(change, problem):
    row = ROWS[0]._replace(**change)
    shown = f"[{row.shown}:{row.line}]({row.path}#L{row.anchor})"
    found = equations.problems(f"| f | f | `{row.function}` | {shown} `{row.code}` |")
    assert len(found) == 1 and problem in found[0]


def test_update_finds_a_line_that_has_moved():
    row = ROWS[0]
    moved = TEXT.replace(f":{row.line}]({row.path}#L{row.anchor})", f":1]({row.path}#L1)")
    assert moved != TEXT and equations.updated(moved) == TEXT
