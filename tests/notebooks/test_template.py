"""The experiment template of lesson 13 finds its committed baseline, trained with the settings it states."""

import ast
import json
from dataclasses import asdict, replace

from tests.notebooks.lesson import ROOT, lessons
from vggt_lite.research import experiment


def stated_recipe() -> experiment.Recipe:
    """`quick`, as the notebook's cell defines it."""
    (lesson,) = [lesson for lesson in lessons() if lesson.number == "13"]
    (cell,) = [tree for tree in lesson.trees if "quick" in {n.id for n in stored(tree)}]
    names = {"SMALL_RECIPE": experiment.SMALL_RECIPE, "replace": replace}
    exec(compile(cell, "quick", "exec"), names)
    return names["quick"]


def stored(tree: ast.Module) -> list[ast.Name]:
    targets = [t for node in tree.body if isinstance(node, ast.Assign) for t in node.targets]
    return [target for target in targets if isinstance(target, ast.Name)]


def test_the_committed_baseline_has_the_settings_of_the_template():
    recipe = stated_recipe()
    paths = sorted((ROOT / "data" / "experiments" / "quick").glob("baseline_*.json"))
    assert [path.name for path in paths] == [f"baseline_{seed}.json" for seed in (0, 1, 2)]
    for seed, path in enumerate(paths):
        run = json.loads(path.read_text(encoding="utf-8"))
        model, train = recipe.of(experiment.BASELINE, seed)
        expected = json.loads(json.dumps(asdict(replace(recipe, model=model, train=train))))
        assert run["recipe"] == expected, f"{path.relative_to(ROOT)}: train it again (data/experiments)"
        assert run["variant"] == experiment.BASELINE.name and run["seed"] == seed
