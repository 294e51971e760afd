"""`vggt-lite grade`: right answers pass, and whatever else is handed in costs its own student only."""

import csv
import json
import os
import sys
from pathlib import Path

import nbformat
import pytest
import torch

from vggt_lite.cli import main
from vggt_lite.cli.grade import kept_seed
from vggt_lite.course import checks
from vggt_lite.course.checks.check import Failed
from vggt_lite.course.checks.compare import difference
from vggt_lite.course.grading import session, stand_ins
from vggt_lite.course.grading.exercises import check_calls, course
from vggt_lite.course.grading.guard import landlock_version
from vggt_lite.course.grading.values import Other, decoded, encoded

LESSONS = Path(__file__).resolve().parents[2] / "notebooks"
pytestmark = pytest.mark.skipif(not landlock_version(), reason="this system has no Landlock")

IMPORTS = (
    "import os, sys, shutil, torch\nfrom vggt_lite.course import checks\nfrom vggt_lite.model import layers"
)
WEIGHTS = "def my_attention_weights(q, k):\n    return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1)"
HEADS = """def my_heads(qkv, num_heads, prepare=None):
    q, k, v = qkv.unflatten(-1, (3, num_heads, -1)).permute(2, 0, 3, 1, 4)
    q, k = prepare(q, k) if prepare else (q, k)
    return (layers.attention_weights(q, k) @ v).transpose(1, 2).flatten(2)"""
ROTATE = """def my_rotate(x, positions, base):
    quarter = x.shape[-1] // 4
    angles = positions[..., None] * base ** (-torch.arange(quarter) / quarter)  # (L, 2, d/4)
    a, b = x.unflatten(-1, (2, 2, quarter)).unbind(-2)  # (…, L, axis, d/4)
    turned = a * angles.cos() - b * angles.sin(), a * angles.sin() + b * angles.cos()
    return torch.stack(turned, dim=-2).flatten(-3)"""
PIECES = """def my_pieces(q, k, v, most):
    return torch.cat([my_attention_weights(some, k) @ v for some in q.split(most, dim=-2)], dim=-2)"""
LESSON = {
    "3.1": (WEIGHTS, "checks.attention.attention_weights(my_attention_weights)"),
    "3.2": (HEADS, "checks.attention.multi_head(my_heads)"),
    "3.3": (ROTATE, "checks.blocks.rotate(my_rotate)"),
    "3.4": ("# explain", "3 + 4"),
    "3.5": (PIECES, "checks.attention.pieces(my_pieces)"),
}
MARKED = ("3.1", "3.2", "3.3", "3.5")
REMEMBERED = f"""public = {{q.shape: r for (q, _), r in zip(
    [(torch.zeros(s), 0) for s in {[list(args[0].shape) for args in checks.attention.attention_weights.cases().values()]}],
    {[r.tolist() for r in checks.attention.attention_weights.results(checks.attention.attention_weights.reference).values()]})}}
def my_attention_weights(q, k):
    return torch.tensor(public[q.shape])"""  # noqa: E501
SUBMITTED = {
    "ada": [IMPORTS, WEIGHTS, HEADS, ROTATE, PIECES],
    "ben": [
        IMPORTS,
        "def my_attention_weights(q, k):\n    ...",
        "def my_heads(qkv, num_heads):\n    print('passed ✓ 4 of 4')\n    return qkv",
        "my_rotate = layers.rotate",
        "def my_pieces(q, k, v, most):\n    while True: pass",
    ],
    "cat": [  # every cheat
        IMPORTS,
        "class Passed:\n    passed = True\n    def __repr__(self): return '✓ passed'",
        "checks.attention.attention_weights = lambda answer: Passed()",
        "checks.Check.__call__ = checks.Check.judged = lambda *_: Passed()",
        "torch.allclose = torch.equal = lambda *_, **__: True",
        REMEMBERED,
        "def my_heads(qkv, num_heads):\n    return checks.attention.multi_head.reference(qkv, num_heads)",
        """def my_rotate(x, p, base):
    for name in [name for name in sys.modules if name.startswith("vggt_lite.course")]:
        del sys.modules[name]
    from vggt_lite.course.checks import blocks
    return blocks.rotate.reference(x, p, base)""",
        "def my_pieces(q, k, v, most):\n    print('passed')\n    sys.stdout.flush()\n    os._exit(0)",
    ],
    "dan": [  # everything that may happen around a right answer
        IMPORTS,
        WEIGHTS,
        "def broken(:",
        "sys.exit(3)",
        "while True: pass",
        "while True: print('again and again' * 1000)",
        "hog = bytearray(10**11)",
        "open(OUTSIDE, 'w').write('gone')",
        "torch.save({}, OUTSIDE)",
        "shutil.rmtree(os.path.dirname(OUTSIDE))",
        "os.remove(OUTSIDE)",
        "print(open(OUTSIDE).read())",
        "os.system('touch started')",
        "os.kill(os.getppid(), 9)",
        "import socket\nsocket.create_connection(('127.0.0.1', 9))",
        HEADS,
        "shutil.rmtree('.')",
        ROTATE,
        "os._exit(0)",
        PIECES,
    ],
}


def notebook(cells: list[str]) -> str:
    return nbformat.writes(
        nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    )


def lesson() -> str:
    v4, cells = nbformat.v4, []
    for number, (answer, check) in LESSON.items():
        cells.append(v4.new_markdown_cell(f"### Exercise {number} · ●○○ · 5 min\n\nWrite it."))
        cells += [v4.new_code_cell(answer), v4.new_code_cell(check)]
    return nbformat.writes(v4.new_notebook(cells=cells))


def hand_in(folder: Path, student: str, cells: list[str], name: str = "03_attention.ipynb") -> None:
    (folder / student).mkdir(parents=True, exist_ok=True)
    (folder / student / name).write_text(notebook(cells), encoding="utf-8")


def table(place: Path) -> dict[str, dict[str, str]]:
    with (place / "grades.csv").open(encoding="utf-8", newline="") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


def report(place: Path, student: str) -> str:
    return (place / "grades_reports" / f"{student}.md").read_text(encoding="utf-8")


def grade(place: Path, *more: str) -> int:
    command = ["grade", str(place / "in"), "--out", str(place / "grades.csv"), "--seed", "5"]
    return main([*command, "--lessons", str(place / "lessons"), "--cell-seconds", "4", *more])


def new_class(place: Path, *students: str) -> Path:
    """A folder with the lesson and what these students hand in."""
    (place / "lessons").mkdir()
    (place / "lessons" / "03_attention.ipynb").write_text(lesson(), encoding="utf-8")
    (place / "precious.txt").write_text("keep me", encoding="utf-8")
    for student in students:
        outside = f"OUTSIDE = {str(place / 'precious.txt')!r}"
        hand_in(place / "in", student, [outside, *SUBMITTED[student]])
    return place


@pytest.fixture(scope="module")
def rough(tmp_path_factory) -> Path:
    """Two students whose notebooks break things, graded."""
    place = new_class(tmp_path_factory.mktemp("rough"), "ben", "dan")
    assert grade(place) == 0
    return place


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A right one, cheats, and folders that cannot be graded, graded."""
    place = new_class(tmp_path_factory.mktemp("class"), "ada", "cat")
    (place / "in" / "eve").mkdir()
    (place / "in" / "eve" / "03_attention.ipynb").write_text("no JSON", encoding="utf-8")
    (place / "in" / "eve" / "99_what.ipynb").write_text(notebook(["1"]), encoding="utf-8")
    (place / "in" / "fay").mkdir()
    assert grade(place) == 1
    return place


def test_right_answers_pass(place):
    row = table(place)["ada"]
    assert [row[number] for number in MARKED] == ["1"] * 4, report(place, "ada")
    assert (row["passed"], row["of"], row["problems"]) == ("4", "4", "")
    assert "3.4" not in row  # a person marks it
    assert "4 of 4 exercises passed" in report(place, "ada") and "by your teacher: 3.4" in report(
        place, "ada"
    )


@pytest.mark.slow
def test_blank_printed_borrowed_and_endless_answers_earn_nothing(rough):
    row, text = table(rough)["ben"], report(rough, "ben")
    assert [row[number] for number in MARKED] == ["0"] * 4
    assert "| 3.1 | not passed | Not written yet. |" in text
    assert "| 3.2 | not passed | Case “two heads”: the shape is" in text
    assert (
        "| 3.3 | not passed | `my_rotate` is not written in the notebook: it is vggt_lite.model.layers"
        in text
    )
    assert "| 3.5 | not passed | It took longer than 4 s. |" in text


def test_cheats_earn_nothing(place):
    row, text = table(place)["cat"], report(place, "cat")
    assert [row[number] for number in MARKED] == ["0"] * 4
    assert "largest difference" in text  # remembered outputs
    assert "while answers are marked, the check “multi_head” has no reference" in text
    assert "cannot read the checks while it is marked" in text
    assert "| 3.5 | not passed | `my_pieces` gave no result: it ended the process. |" in text


@pytest.mark.slow
def test_what_a_notebook_breaks_costs_only_what_comes_after(rough):
    row, text = table(rough)["dan"], report(rough, "dan")
    assert [row[number] for number in MARKED] == ["1", "1", "1", "0"]
    assert "`my_pieces` is nowhere defined. A cell that stops defines nothing: see below." in text
    assert "It ended in code cell 20." in text
    assert "Code cell 4 stopped: SyntaxError: " in text and "ipython-input" not in text


@pytest.mark.slow
def test_every_attempt_is_stopped_and_nothing_outside_is_touched(rough):
    assert (rough / "precious.txt").read_text(encoding="utf-8") == "keep me"
    text = report(rough, "dan")
    stopped = [line.partition(" stopped: ")[2] for line in text.splitlines() if " stopped: " in line]
    started = "PermissionError: a submission cannot start other programs"
    kinds = [
        "SyntaxError",
        "SystemExit: 3",
        "TimeoutError: it took longer than 4 s",
        "RuntimeError: more than",
    ]
    kinds += ["MemoryError", "PermissionError", "RuntimeError", *["PermissionError"] * 3, started]
    kinds += ["PermissionError"] * 2
    assert [kind for kind, line in zip(kinds, stopped, strict=False) if not line.startswith(kind)] == []
    assert len(stopped) >= len(kinds)


def test_what_is_no_notebook_is_named_and_others_are_graded(place):
    rows = table(place)
    assert "03_attention.ipynb is not a notebook" in rows["eve"]["problems"]
    assert "there is no lesson '99'" in rows["eve"]["problems"]
    assert "no notebook of a lesson" in rows["fay"]["problems"]
    assert (rows["eve"]["passed"], rows["eve"]["3.1"]) == ("0", "")


def test_a_second_run_grades_only_what_changed(place, capsys):
    before = table(place)
    assert grade(place) == 1
    assert "lesson 03" not in capsys.readouterr().out
    assert table(place) == before
    hand_in(place / "in", "cat", [IMPORTS, WEIGHTS])
    assert grade(place) == 1
    assert capsys.readouterr().out.count("lesson 03") == 1
    assert (table(place)["cat"]["3.1"], table(place)["ada"]) == ("1", before["ada"])


@pytest.mark.slow
def test_a_notebook_that_cannot_be_interrupted_is_ended(tmp_path):
    new_class(tmp_path)
    stubborn = (
        "import time\nwhile True:\n    try:\n        time.sleep(1)\n    except BaseException:\n        pass"
    )
    hand_in(tmp_path / "in", "gus", [IMPORTS, WEIGHTS, stubborn, HEADS])
    assert grade(tmp_path, "--seconds", "20", "--cell-seconds", "2") == 0
    row = table(tmp_path)["gus"]
    assert (row["3.1"], row["3.2"]) == ("1", "0")
    assert "it ran longer than 20 s" in report(tmp_path, "gus")


def test_a_worker_that_cannot_begin_is_no_students_fault(place, tmp_path, capsys, monkeypatch):
    (tmp_path / "lessons").symlink_to(place / "lessons")
    hand_in(tmp_path / "in", "ada", [WEIGHTS])
    monkeypatch.setattr(session, "PACKAGE", tmp_path / "nowhere" / "vggt_lite")
    monkeypatch.setattr(session.sys, "executable", sys.base_prefix + "/bin/python3")
    assert grade(tmp_path) == 2
    assert "no notebook can be run here: " in capsys.readouterr().err
    assert not (tmp_path / "grades.csv").exists() and not (tmp_path / "grades_reports" / "ada.json").exists()


def test_other_ways_to_write_the_path_of_a_check_lead_to_the_same_file():
    folder = Path(checks.__file__).parent
    paths = [folder / "attention.py", str(folder) + "/../checks/attention.py", os.fsencode(folder / "x.pyc")]
    assert all(map(stand_ins.is_answer, paths))
    assert not any(map(stand_ins.is_answer, [0, folder.parent / "x.py", __file__]))


def test_without_protection_of_files_nothing_runs_unless_asked_for(tmp_path, capsys, monkeypatch):
    new_class(tmp_path, "ada")
    monkeypatch.setattr("vggt_lite.course.grading.guard.landlock_version", lambda: 0)
    assert grade(tmp_path) == 2
    assert "a submission could change your files" in capsys.readouterr().err
    assert not (tmp_path / "grades_reports").exists()


def test_a_secret_seed_is_drawn_once(tmp_path):
    seed = kept_seed(tmp_path)
    assert 1 <= seed <= 999_999 and kept_seed(tmp_path) == seed
    (tmp_path / "seed.txt").unlink()
    assert kept_seed(tmp_path) != seed  # equal once in a million times


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"in": None}, "holds no student's folder"),
        ({"lessons": None}, "holds no lessons"),
    ],
)
def test_a_folder_without_students_or_lessons_is_refused(tmp_path, capsys, change, words):
    (tmp_path / "lessons").mkdir()
    if "lessons" not in change:
        (tmp_path / "lessons" / "03_attention.ipynb").write_text(lesson(), encoding="utf-8")
    (tmp_path / "in").mkdir()
    if "in" not in change:
        (tmp_path / "in" / "ada").mkdir()
    assert grade(tmp_path) == 2
    assert words in capsys.readouterr().err


def test_the_exercises_of_the_course_are_found_and_their_checks_exist():
    lessons, known = course(LESSONS), checks.every_check()
    assert len(lessons) == len(list(LESSONS.glob("*.ipynb")))
    assert lessons == course(LESSONS / "student")  # either folder will do for --lessons
    marked = [pair for exercises in lessons.values() for e in exercises for pair in e.checks]
    assert len(marked) > 50 and {key for key, _ in marked} <= known.keys()
    everyone = [e.number for exercises in lessons.values() for e in exercises]
    assert len(set(everyone)) == len(everyone)


def test_only_checks_of_a_named_function_mark_an_exercise():
    assert check_calls("%time x\nchecks.a.b(my_c)") == [("a.b", "my_c")]
    assert check_calls("checks.compare(x, y); checks.a.b(lambda x: x); other.a.b(my_c); def (") == []


@pytest.mark.parametrize(
    "value",
    [
        torch.tensor([[1.5, float("nan")], [float("inf"), -0.0]]),
        torch.tensor([True, False]),
        torch.tensor([1 + 2j]),
        torch.zeros(0, 3),
        torch.tensor(3.0, dtype=torch.bfloat16),
        (1, 2.5, [None, "text", True]),
        {"a": torch.ones(2), "b": (torch.arange(3),)},
    ],
    ids=str,
)
def test_results_come_back_as_they_were(value):
    back = decoded(json.loads(json.dumps(encoded(value))))
    assert not difference(back, value, atol=0, rtol=0).problem


def test_what_cannot_be_a_result_is_taken_for_none():
    assert decoded(json.loads(json.dumps(encoded(Failed("ValueError", "no"))))) == Failed("ValueError", "no")
    assert isinstance(decoded(encoded(object())), Other)
    assert isinstance(decoded(encoded(torch.zeros(1_000_001))), Other)
    for forged in (None, 3, {}, {"tensor": [1], "shape": [7], "dtype": "torch.float32", "complex": False}):
        assert isinstance(decoded(forged), Other)


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(LESSONS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_the_solved_lessons_pass(path, tmp_path):
    (tmp_path / "lessons").symlink_to(LESSONS)
    (tmp_path / "in" / "ada").mkdir(parents=True)
    (tmp_path / "in" / "ada" / path.name).write_bytes(path.read_bytes())
    assert grade(tmp_path, "--cell-seconds", "400", "--seconds", "1800") == 0
    row = table(tmp_path)["ada"]
    assert row["passed"] == row["of"], report(tmp_path, "ada")
    assert "stopped" not in report(tmp_path, "ada")
