"""Every assembled class of the lessons: right when solved, and each piece that is missing is named."""

import ast

import pytest

from tests.notebooks.lesson import lessons, tags
from tools.lessons import tree
from vggt_lite.course.checks import assembled

CLASSES = {
    "02": (assembled.patch_embed, "MyViT"),
    "03": (assembled.block, "MyBlock"),
    "04": (assembled.aggregator, "MyAggregator"),
    "05": (assembled.camera_head, "MyCameraHead"),
    "06": (assembled.dense_head, "MyDenseHead"),
    "07": (assembled.tracker, "MyTracker"),
    "08": (assembled.loss, "MyLoss"),
}
# Exercises that look at something else
APART = {"my_intrinsics_back", "my_unpatchify", "my_table_places", "my_explained_variance", "my_stretch"}
APART |= {"my_attention_in_pieces", "my_one_way_mask", "my_token"}
APART |= {"my_best_confidence", "my_most_trusted"}
LESSONS = {lesson.number: lesson for lesson in lessons()}


def defined_in(lesson, blank: str | None = None) -> dict:
    """Functions and classes of a lesson and what stands in for others, without the solution of one."""
    space = {"__name__": f"lesson_{lesson.number}"}
    for cell in lesson.code:
        for node in tree(cell).body:
            names = [
                t.id for n in getattr(node, "targets", []) for t in ast.walk(n) if isinstance(t, ast.Name)
            ]
            name = getattr(node, "name", names[0] if names else "")
            is_piece = isinstance(node, ast.FunctionDef) and ("piece" in tags(cell) or name.startswith("my_"))
            if "solution" in tags(cell) and name == blank:
                continue
            if is_piece or name.startswith("My") or isinstance(node, ast.Import | ast.ImportFrom):
                exec(compile(ast.Module([node], []), lesson.path.name, "exec"), space)
    return space


def pieces() -> list[tuple[str, str]]:
    """(lesson, piece) for every piece that is an exercise."""
    found = []
    for number in CLASSES:
        for exercise in LESSONS[number].exercises:
            for cell in exercise.tagged("exercise", "code"):
                kinds = ast.FunctionDef | ast.ClassDef
                nodes = [node for node in tree(cell).body if isinstance(node, kinds)]
                found += [(number, node.name) for node in nodes if node.name not in APART]
    return found


@pytest.mark.parametrize("number", CLASSES)
def test_the_solved_class_passes(number):
    check, name = CLASSES[number]
    outcome = check(defined_in(LESSONS[number])[name])
    assert outcome.passed, outcome


@pytest.mark.parametrize(("number", "piece"), pieces())
def test_a_missing_piece_is_named(number, piece):
    check, name = CLASSES[number]
    outcome = check(defined_in(LESSONS[number], blank=piece)[name])
    assert outcome.state == "blank"
    assert piece == name or f"`{piece}`, a piece of `{name}`, is not written yet" in outcome.message


def test_what_is_written_for_the_network_is_gathered_into_it():
    """`my_vggt.py` holds the network; the loss that trains it is not part of it."""
    for number in CLASSES.keys() - {"08"}:
        stubs = [c for e in LESSONS[number].exercises for c in e.tagged("exercise", "code")]
        written = {n.name: tags(c) for c in stubs for n in tree(c).body if hasattr(n, "name")}
        assert {name for name, kinds in written.items() if "piece" in kinds} == written.keys() - APART
