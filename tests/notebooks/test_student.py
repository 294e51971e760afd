"""Student copies: made by a tool, always in step, never broken by the missing solutions."""

import ast
import builtins
import re
from copy import deepcopy

import nbformat
import pytest

from tests.notebooks.lesson import ROOT, Exercise, defined, lessons, tags
from tools import nb, student
from tools.lessons import tree

FOLDER = ROOT / "notebooks" / "student"
LESSONS = lessons()
v4 = nbformat.v4


def test_the_copies_regenerate_identically():
    assert not student.problems(FOLDER), "run: python tools/student.py write"
    assert student.copies() == student.copies()


@pytest.fixture
def notebook():
    def cell(kind, source, tag=None, **options):
        made = getattr(v4, f"new_{kind}_cell")(source, **options)
        made.metadata = {"tags": [tag]} if tag else {}
        return made

    output = v4.new_output("stream", text="3\n")
    return v4.new_notebook(
        cells=[
            cell(
                "markdown",
                "# Title\n\nProse, [data](../data/README.md), [next](04_next.ipynb), [paper](https://x)",
            ),
            cell("code", "print(3)", "nbval-check-output", outputs=[output], execution_count=1),
            cell("markdown", "### Exercise 1.1 · ●○○ · 5 min\n\nDo it."),
            cell("code", "def f():\n    ...", "exercise"),
            cell("code", "def f():\n    return 42", "solution"),
            cell("markdown", "<details>42</details>", "solution"),
            cell("markdown", "<details>because</details>", "answer"),
            cell("code", "def g():\n    ...", "piece"),
        ]
    )


def test_a_copy_has_neither_solutions_nor_outputs(notebook):
    copy = student.student_copy(notebook, "01_title.ipynb")
    assert "42" not in nb.as_text(copy)
    code = [cell for cell in copy.cells if cell.cell_type == "code"]
    assert [(cell.outputs, cell.execution_count) for cell in code] == 3 * [([], None)]
    assert [tags(cell) for cell in code] == [[], ["exercise"], ["piece"]]
    assert "<details>because</details>" in nb.as_text(copy), "answers in words stay, folded"
    assert notebook.cells[1].outputs, "the lesson itself is left as it is"


def test_a_copy_says_where_it_comes_from_and_its_links_still_lead_somewhere(notebook):
    copy = student.student_copy(notebook, "01_title.ipynb")
    assert "*Student copy of 01_title.ipynb, " in copy.cells[0].source
    assert "](" not in copy.cells[0].source, "a link to the solutions"
    assert "(../../data/README.md), [next](04_next.ipynb), [paper](https://x)" in copy.cells[1].source


def test_no_copy_leads_to_a_solved_lesson():
    texts = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.ipynb")}
    solved = re.compile(r"\]\((?:\.\./)+(?:notebooks/)?\d\d_\w+\.ipynb|teaching/key")
    assert texts and not {name: hit[0] for name, text in texts.items() if (hit := solved.search(text))}


def test_ids_do_not_depend_on_the_lessons_ids(notebook):
    once = nb.as_text(student.student_copy(notebook, "01_title.ipynb"))
    for cell in notebook.cells:
        cell.id = "other-" + cell.id
    assert nb.as_text(student.student_copy(notebook, "01_title.ipynb")) == once


def test_for_recall_only_headings_tasks_and_code_remain(notebook):
    copy = student.student_copy(notebook, "01_title.ipynb", code_only=True)
    text = nb.as_text(copy)
    assert "# Title" in text and "Do it." in text and "print(3)" in text
    assert "Prose" not in text


@pytest.fixture
def lesson(tmp_path, monkeypatch, notebook):
    """One of two lessons beside whose folder the copies go."""
    monkeypatch.setattr(student, "ROOT", tmp_path)
    path = tmp_path / "notebooks" / "01_title.ipynb"
    path.parent.mkdir()
    nbformat.write(notebook, path)
    nbformat.write(
        v4.new_notebook(cells=[v4.new_markdown_cell("# Another")]), path.with_name("02_other.ipynb")
    )
    return path


@pytest.fixture
def copy(lesson):
    return lesson.parent / "student" / lesson.name


def test_what_is_out_of_step_is_named(lesson, copy, notebook):
    assert student.main(["verify"]) == 1
    assert student.main(["write"]) == 0 and student.main(["verify"]) == 0
    assert not nb.problems(copy)
    notebook.cells[2].source += " Now."
    nbformat.write(notebook, lesson)
    assert student.problems(copy.parent) == ["01_title.ipynb: differs"]
    assert student.main(["write"]) == 0 and "Now." in copy.read_text(encoding="utf-8")
    lesson.unlink()
    assert student.main(["write"]) == 0 and not copy.exists()


def test_copies_are_never_deleted_where_no_lesson_is_left(lesson, copy, capsys):
    student.main(["write"])
    for path in lesson.parent.glob("*.ipynb"):
        path.unlink()  # as in the archive that learners get
    assert student.main(["write", "--overwrite"]) == 2 and copy.exists()
    assert "holds no lessons to copy" in capsys.readouterr().out


def answered(path):
    """As JupyterLab saves a notebook in which somebody wrote."""
    mine = nbformat.read(path, as_version=4)
    mine.cells[-1].source = "def f():\n    return 42  # mine"
    mine.metadata["language_info"] = {"name": "python", "version": "3.12.1"}
    nbformat.write(mine, path)


def one_byte(path):
    path.write_bytes(path.read_bytes().replace(b"Do it.", b"Do it!"))


def not_text(path):
    path.write_bytes(b"\xff\xfe")


def a_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("change", [answered, one_byte, not_text, a_folder])
@pytest.mark.parametrize("lesson_is", ["as it was", "changed", "gone"])
def test_what_a_learner_changed_or_added_is_kept_and_named(lesson, copy, notebook, capsys, change, lesson_is):
    student.main(["write"])
    change(copy)
    own = copy.with_name("my_own.ipynb")
    nbformat.write(notebook, own)
    before = [path.read_bytes() if path.is_file() else None for path in (copy, own)]
    if lesson_is == "changed":
        notebook.cells[2].source += " Now."
        nbformat.write(notebook, lesson)
    elif lesson_is == "gone":
        lesson.unlink()
    assert student.main(["write"]) == 1
    said = capsys.readouterr().out
    assert f"{copy}: kept" in said and f"{own}: kept" in said
    assert before == [path.read_bytes() if path.is_file() else None for path in (copy, own)]


def test_changed_copies_are_replaced_when_asked_for_and_nothing_else_is(lesson, copy, notebook, capsys):
    student.main(["write"])
    fresh = copy.read_bytes()
    answered(copy)
    own = copy.with_name("my_own.ipynb")
    nbformat.write(notebook, own)
    assert student.main(["write", "--overwrite"]) == 1 and own.exists()
    assert copy.read_bytes() == fresh and str(copy) not in capsys.readouterr().out


def test_a_copy_with_the_line_ends_of_windows_is_untouched(lesson, copy):
    student.main(["write"])
    copy.write_bytes(copy.read_bytes().replace(b"\n", b"\r\n"))
    assert student.main(["write"]) == 0 and b"\r" not in copy.read_bytes()


def test_an_unchanged_copy_under_another_name_is_kept(lesson, copy):
    student.main(["write"])
    backup = copy.with_name("01_before.ipynb")
    backup.write_bytes(copy.read_bytes())
    assert student.main(["write"]) == 1 and backup.exists()


def test_recall_copies_keep_what_is_there_too(lesson, tmp_path):
    folder = tmp_path / "recall"
    assert student.main(["write", "--code-only", str(folder)]) == 0
    answered(folder / lesson.name)
    assert student.main(["write", "--code-only", str(folder)]) == 1
    assert "mine" in (folder / lesson.name).read_text(encoding="utf-8")


def test_recall_copies_never_overwrite_the_lessons():
    assert student.main(["write", "--code-only", str(ROOT / "notebooks")]) == 2


def loaded(module: ast.Module) -> set[str]:
    return {n.id for n in ast.walk(module) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def bound(module: ast.Module) -> set[str]:
    """Every name bound anywhere in a cell: generous, so that only real gaps are reported."""
    names = defined(module.body)
    for node in ast.walk(module):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.ExceptHandler) and node.name:
            names.add(node.name)
    return names


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.path.stem)
def test_run_all_works_without_the_solutions(lesson):
    """No cell outside a solution needs a name that only a solution defines."""
    kept = {n: tree(cell) for n, cell in enumerate(lesson.code, start=1) if "solution" not in tags(cell)}
    known = {"display", "get_ipython", *dir(builtins)}.union(*map(bound, kept.values()))
    missing = {number: gap for number, module in kept.items() if (gap := loaded(module) - known)}
    assert not missing, "names that a student copy lacks, by code cell of the lesson"


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.path.stem)
def test_an_unwritten_exercise_stops_nothing(lesson):
    """What a stub defines is used in its exercise only; elsewhere the package's function is."""
    for exercise in lesson.exercises:
        stubs = [tree(cell) for cell in exercise.tagged("exercise", "code")]
        names = {n.name for stub in stubs for n in stub.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
        inside = [id(cell) for cell in exercise.cells]
        outside = [cell for cell in lesson.code if id(cell) not in inside and "solution" not in tags(cell)]
        assert not {name for cell in outside for name in loaded(tree(cell))} & names, exercise.title


class Nameless(ast.NodeTransformer):
    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(id="_", ctx=ast.Load())


def fragments(module: ast.Module, smallest: int = 14) -> dict[str, str]:
    """Expressions of at least so many parts, by what they compute whatever the names are: {shape: text}."""
    large = [
        node
        for node in ast.walk(module)
        if isinstance(node, ast.expr)
        and sum(isinstance(part, ast.expr) for part in ast.walk(node)) >= smallest
    ]
    return {ast.dump(Nameless().visit(deepcopy(node))): ast.unparse(node) for node in large}


def leaks(exercises: list, cells: list) -> dict[str, str]:
    """What cells outside an exercise, its check and its stub hold of its solution."""
    found = {}
    for exercise in exercises:
        inside = [id(cell) for cell in exercise.cells]
        told = [fragments(tree(cell)) for cell in exercise.cells if is_open(cell)]
        for solution in exercise.tagged("solution", "code"):
            secret = fragments(tree(solution))
            for cell in (cell for cell in cells if is_open(cell) and id(cell) not in inside):
                for shape in secret.keys() & fragments(tree(cell)).keys() - set().union(*told):
                    found[exercise.title.strip()] = secret[shape]
    return found


def is_open(cell) -> bool:
    return cell.cell_type == "code" and "solution" not in tags(cell)


@pytest.mark.parametrize("number", range(len(LESSONS)), ids=lambda number: LESSONS[number].path.stem)
def test_no_cell_before_or_beside_an_exercise_gives_it_away(number):
    """Looked for in the same lesson and in all earlier ones; a later one may use what was learned."""
    before = [cell for lesson in LESSONS[: number + 1] for cell in lesson.code]
    assert not leaks(LESSONS[number].exercises, before)


def test_a_leak_is_found_whatever_its_names():
    exercise = Exercise("3.2")
    exercise.cells = [
        v4.new_code_cell("def f(x):\n    ..."),
        v4.new_code_cell("def f(x):\n    return x.reshape(2, -1).transpose(0, 1).flatten(0, 2) / len(x)"),
    ]
    exercise.cells[1].metadata["tags"] = ["solution"]
    elsewhere = v4.new_code_cell(
        "y = 3 * (tokens.reshape(2, -1).transpose(0, 1).flatten(0, 2) / len(tokens))"
    )
    other = v4.new_code_cell("y = tokens.reshape(2, -1)")
    assert leaks([exercise], [*exercise.cells, elsewhere, other]).keys() == {"3.2"}
    assert not leaks([exercise], [*exercise.cells, other])


@pytest.mark.slow
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.path.stem)
def test_a_student_copy_runs_from_top_to_bottom(lesson, monkeypatch):
    from nbclient import NotebookClient

    for name, value in {"FAST": "1", "QUIET": "1", "MAX_POINTS": "2000"}.items():
        monkeypatch.setenv(f"VGGT_LITE_{name}", value)
    copy = nbformat.read(FOLDER / lesson.path.name, as_version=4)
    NotebookClient(copy, timeout=240, resources={"metadata": {"path": str(FOLDER)}}).execute()
