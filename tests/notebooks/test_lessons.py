"""Every lesson keeps the promises of the template: short cells, exercises with checks, no second package.

Notebooks are executed by nbval, not here.
"""

import ast
import importlib
import pkgutil
import re

import pytest

import vggt_lite
from tests.notebooks.lesson import DETAILS, EXERCISE, Lesson, callee, defined, lessons, tags
from tools.lessons import lines, words

LESSONS = lessons()
# What a lesson need not have, and why.
EXEMPT = {
    # It compares whole networks stage by stage, with `verify_golden`, and assembles no class of its own.
    "10": {"proof"},
}
MOST_LINES = {"10": 15}  # two functions there read better in one piece


@pytest.fixture(params=LESSONS, ids=lambda lesson: lesson.path.stem)
def lesson(request) -> Lesson:
    return request.param


def needs(lesson: Lesson, what: str) -> None:
    """Skip a test of what this lesson need not have."""
    if what in EXEMPT.get(lesson.number, set()):
        pytest.skip(f"lesson {lesson.number} has no {what}; see EXEMPT")


def test_the_card_says_what_it_gives_and_what_it_takes(lesson):
    card = lesson.cells[0]
    assert card.cell_type == "markdown" and card.source.startswith(f"# {lesson.number} · ")
    for part in ("**You will be able to**", "**You need**", "**Time**", "**Compute**"):
        assert part in card.source
    following = f"{int(lesson.number) + 1:02d}"
    if following in {other.number for other in LESSONS}:
        assert f"]({following}_" in card.source, "no link to the next lesson"


def test_there_is_one_title_and_the_headings_step_down_one_by_one(lesson):
    levels = [heading.index(" ") for heading in lesson.headings]
    assert levels.count(1) == 1 and levels[0] == 1
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))


def test_sections_state_their_minutes_and_the_end_is_recap_test_and_reading(lesson):
    assert sum(bool(re.match(r"## .+ · \d+ min$", heading)) for heading in lesson.headings) >= 3
    titles = " ".join(heading for heading in lesson.headings if heading.startswith("## ")).lower()
    for part in ("recap", "test yourself", "further"):
        assert part in titles


def test_it_can_be_read_in_one_sitting(lesson):
    assert 1_500 <= words(lesson.text) <= 3_000


def test_a_lesson_of_more_than_90_minutes_has_a_place_to_rest(lesson):
    card = lesson.cells[0].source
    long = int(re.search(r"\*\*Time\*\* (\d+) min reading", card)[1]) > 90
    assert ("with a rest " in card) == ("**A place to rest.**" in lesson.text) == long


def test_code_cells_hold_one_idea(lesson):
    long = {}
    for number, (cell, tree) in enumerate(zip(lesson.code, lesson.trees, strict=True), start=1):
        is_long_form = "solution" in tags(cell) or any(isinstance(node, ast.ClassDef) for node in tree.body)
        if lines(cell) > (45 if is_long_form else MOST_LINES.get(lesson.number, 12)):
            long[number] = lines(cell)
    assert not long, "lines of code by code cell"


def test_there_are_at_least_four_exercises_of_which_two_are_written_in_code(lesson):
    needs(lesson, "exercises")
    assert len(lesson.exercises) >= 4
    assert sum(exercise.is_code for exercise in lesson.exercises) >= 2
    numbers = [EXERCISE.match(exercise.title).groups()[:2] for exercise in lesson.exercises]
    assert numbers == [(str(int(lesson.number)), str(k + 1)) for k in range(len(numbers))]
    headed = [heading for heading in lesson.headings if heading.startswith("### Exercise")]
    assert len(headed) == len(lesson.exercises), "not all are `### Exercise 3.2 · ●●○ · 10 min`"


def test_an_exercise_has_a_short_task_a_hint_and_an_answer(lesson):
    """`solution`: student copies drop it. `answer`: they keep it, folded, since nobody could check words."""
    for exercise in lesson.exercises:
        task = DETAILS.sub("", exercise.cells[0].source.replace(exercise.title, ""))
        assert words(task) <= 75, exercise.title
        answers = [cell for cell in exercise.cells if {"solution", "answer"} & set(tags(cell))]
        assert answers, f"{exercise.title}: no cell is tagged `solution` or `answer`"
        assert not exercise.is_code or not exercise.tagged("answer", "markdown"), exercise.title
        if exercise.is_code:
            open_text = [c.source for c in exercise.cells if c.cell_type == "markdown" and c not in answers]
            assert any("<details>" in text for text in open_text), f"{exercise.title}: no folded hint"
        else:
            assert all("<details>" in answer.source for answer in answers), exercise.title


def test_an_exercise_in_code_has_a_stub_a_check_and_a_solution_that_calls_the_check_again(lesson):
    for exercise in filter(lambda exercise: exercise.is_code, lesson.exercises):
        stubs, solutions = exercise.tagged("exercise", "code"), exercise.tagged("solution", "code")
        assert stubs, f"{exercise.title}: no cell is tagged `exercise`"
        hidden = [cell.metadata.get("jupyter", {}).get("source_hidden") for cell in solutions]
        assert all(hidden), f"{exercise.title}: the solution is in sight"
        checking = [c for c in exercise.cells if c.cell_type == "code" and "checks." in c.source]
        if not any("def " in cell.source or "class " in cell.source for cell in stubs):
            continue  # something to try out, with nothing to check
        assert any(cell not in solutions for cell in checking), f"{exercise.title}: no check"
        assert any(cell in solutions for cell in checking), f"{exercise.title}: the solution is not checked"


def test_a_stub_says_what_to_write_and_does_nothing(lesson):
    for exercise in lesson.exercises:
        for cell in exercise.tagged("exercise", "code"):
            for node in ast.parse(cell.source).body:
                if isinstance(node, ast.FunctionDef):
                    last = node.body[-1]
                    assert ast.get_docstring(node), f"{exercise.title}: {node.name} has no docstring"
                    assert isinstance(last, ast.Expr) and getattr(last.value, "value", None) is ..., (
                        f"{exercise.title}: the body of {node.name} is not `...`"
                    )


def test_some_outputs_are_compared_when_the_notebook_is_run_again(lesson):
    compared = [cell for cell in lesson.code if "nbval-check-output" in tags(cell)]
    assert 3 <= len(compared) <= 8
    assert all(cell.outputs for cell in compared), "an empty stored output compares with nothing"
    kinds = {mime for cell in compared for output in cell.outputs for mime in output.get("data", {})}
    assert not {mime for mime in kinds if mime.startswith("image/")}, "compare text, not pictures"


def exported() -> set[str]:
    """Every name in an `__all__` of the package; the instruments of lesson 10 apart."""
    modules = [info.name for info in pkgutil.walk_packages(vggt_lite.__path__, "vggt_lite.")]
    apart = ("vggt_lite.parity", "vggt_lite.cli.app_page")  # the latter needs Gradio, which lives elsewhere
    modules = [name for name in modules if not name.startswith(apart)]
    return {name for m in map(importlib.import_module, modules) for name in getattr(m, "__all__", [])}


EXPORTED = exported() | set(vggt_lite.__all__)


def test_it_defines_nothing_that_the_package_exports(lesson):
    """The package holds the only definition: a lesson derives it as `my_…` and then uses the package's."""
    clashes = {name for tree in lesson.trees for name in defined(tree.body)} & EXPORTED
    assert not clashes


def test_what_is_assembled_is_proved_equal_and_the_real_source_is_shown(lesson):
    needs(lesson, "proof")
    called = {callee(call) for call in lesson.calls()}
    assert "viz.show_source" in called
    assert any(name == "checks.compare" or name.startswith("checks.assembled.") for name in called)


def test_it_draws_only_through_viz(lesson):
    roots = set()
    for node in (node for tree in lesson.trees for node in ast.walk(tree)):
        if isinstance(node, ast.Import):
            roots |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            roots.add((node.module or "").split(".")[0])
    assert not roots & {"plotly", "matplotlib"}


def test_every_figure_is_told_in_words(lesson):
    shows = [call for call in lesson.calls() if re.match(r"(viz\.)?show(_(?!source)\w+)?$", callee(call))]
    assert len(shows) >= 3
    silent = [ast.unparse(call) for call in shows if not any(k.arg in ("alt", None) for k in call.keywords)]
    assert not silent
    for output in (output for cell in lesson.code for output in cell.outputs):
        if "image/png" in output.get("data", {}):
            assert output.metadata.get("image/png", {}).get("alt"), "a picture without alt text"
    assert not re.search(r"!\[\s*\]\(|<img(?![^>]*\balt=)", lesson.text)


def test_it_is_small_enough_to_be_shown_by_github(lesson):
    assert lesson.path.stat().st_size <= 400_000


def test_it_starts_from_one_seed(lesson):
    seeds = [call for call in lesson.calls() if callee(call).endswith("seed_everything")]
    assert len(seeds) == 1 and ast.unparse(seeds[0].args[0]) == "0"


def test_links_lead_somewhere(lesson):
    targets = re.findall(r"\]\((?!https?:|mailto:|#|attachment:)([^)#\s]+)", lesson.text)
    pending = re.compile(r"^(\d\d)_\w+\.ipynb$")
    there = {other.number for other in LESSONS} | {"00"}
    for target in targets:
        coming = pending.match(target)
        if not (coming and coming[1] not in there):
            assert (lesson.path.parent / target).exists(), target
