"""Assignments for nbgrader: metadata of its schema 3, tests that pass and fail, hidden inputs hidden."""

import re
from pathlib import Path

import nbformat
import pytest

from tools import nbgrader_source
from vggt_lite.course import checks
from vggt_lite.course.grading.exercises import exercises_of

LESSONS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("[0-9][0-9]_*.ipynb"))
HIDDEN = re.compile(r"^### BEGIN HIDDEN TESTS$.*?^### END HIDDEN TESTS$\n?", re.DOTALL | re.MULTILINE)
WRONG = "def my_attention_weights(q, k):\n    return (q @ k.mT).softmax(-1)"
RIGHT = "def my_attention_weights(q, k):\n    return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1)"


@pytest.fixture(scope="module", params=LESSONS, ids=lambda path: path.stem)
def lesson(request) -> tuple[Path, nbformat.NotebookNode]:
    path = request.param
    return path, nbgrader_source.assignment(nbformat.read(path, as_version=4), path.name, seed=7)


def marked(copy: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in copy.cells if "nbgrader" in cell.metadata]


def test_metadata_is_what_schema_3_of_nbgrader_asks_for(lesson):
    nbformat.validate(lesson[1])
    found = [(cell, cell.metadata.nbgrader) for cell in marked(lesson[1])]
    for cell, data in found:
        assert data.schema_version == 3
        assert cell.cell_type == "code" or (data.grade and data.solution), "markdown is answered and graded"
        assert all(type(data[key]) is bool for key in ("grade", "solution", "locked", "task"))
        assert ("points" in data) == data.grade
        assert re.fullmatch(r"[a-zA-Z0-9_\-]+", data.grade_id)
        assert set(data) <= {"schema_version", "grade", "solution", "locked", "task", "grade_id", "points"}
    ids = [data.grade_id for _, data in found]
    assert len(ids) == len(set(ids))


def test_every_exercise_is_worth_a_point_by_machine_or_by_hand(lesson):
    path, copy = lesson
    graded = {cell.metadata.nbgrader.grade_id for cell in marked(copy) if cell.metadata.nbgrader.grade}
    expected = set()
    for exercise in exercises_of(path):
        number = exercise.number.replace(".", "_")
        expected.add(f"check_{number}_0" if exercise.checks else f"answer_{number}")
    assert graded == expected


def test_a_release_has_neither_solutions_nor_answers_nor_hidden_inputs(lesson):
    path, copy = lesson
    cells = nbformat.read(path, as_version=4).cells
    kept_back = [c.source for c in cells if {"solution", "answer"} & set(c.metadata.get("tags", []))]
    released = HIDDEN.sub("", "\n".join(cell.source for cell in copy.cells))
    assert kept_back and not [source for source in kept_back if source in released]
    assert "other_inputs(" not in released


def test_what_is_blank_is_marked_so_that_signatures_stay(lesson):
    stubs = [
        cell for cell in marked(lesson[1]) if cell.metadata.nbgrader.solution and cell.cell_type == "code"
    ]
    assert stubs
    for cell in stubs:
        outside = re.sub(r"### BEGIN SOLUTION.*?### END SOLUTION", "", cell.source, flags=re.DOTALL)
        assert cell.source.count("### BEGIN SOLUTION") == cell.source.count("### END SOLUTION") >= 1
        assert "..." not in re.findall(r"^ *(\S+)$", outside, re.MULTILINE)
        assert outside.count("def ") == cell.source.count("def ")


def run(answer: str) -> None:
    """Run the locked test of exercise 3.1 after an answer."""
    (path,) = (path for path in LESSONS if path.name.startswith("03_"))
    copy = nbgrader_source.assignment(nbformat.read(path, as_version=4), path.name, seed=7)
    (test,) = (c for c in marked(copy) if c.metadata.nbgrader.grade_id == "check_3_1_0")
    assert test.metadata.nbgrader.locked and "raises-exception" in test.metadata.tags
    names = {"checks": checks}
    exec(answer, names)
    exec(test.source, names)


def test_a_right_answer_passes_and_a_wrong_one_is_told_why():
    run(RIGHT)
    with pytest.raises(AssertionError, match="you skipped the division by √d"):
        run(WRONG)


def test_an_answer_that_remembers_the_public_inputs_fails_the_hidden_ones():
    remembered = """check = checks.attention.attention_weights
public = [(case[0].clone(), check.reference(*case)) for case in check.cases().values()]
def my_attention_weights(q, k):
    return next((out for seen, out in public if seen.shape == q.shape and seen.equal(q)), q @ k.mT)"""
    with pytest.raises(AssertionError):
        run(remembered)


def test_drawings_lie_beside_the_assignment_and_an_unknown_lesson_is_named(tmp_path, capsys):
    assert nbgrader_source.main([str(tmp_path), "03", "--seed", "7"]) == 0
    folder = tmp_path / "03_attention_and_rope"
    assert "](figures/network_03.svg)" in (folder / "03_attention_and_rope.ipynb").read_text(encoding="utf-8")
    assert (folder / "figures" / "network_03.svg").exists()
    with pytest.raises(SystemExit):
        nbgrader_source.main([str(tmp_path), "99"])
    assert "there is no lesson '99'" in capsys.readouterr().err
