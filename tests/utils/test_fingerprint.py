"""A fingerprint changes with what is computed, wherever that was changed, and with nothing else."""

import dataclasses
import functools
import importlib
import itertools
import linecache
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from vggt_lite import NANO, VGGT
from vggt_lite.model import layers
from vggt_lite.utils import fingerprint as module
from vggt_lite.utils.fingerprint import TRAINING_CODE, architecture, commit, differences, fingerprint

NUMBERS = itertools.count()
PACKAGE = '''"""Prose."""

from {name}.parts import Part

RATE = 0.5


def compute(x):
    """Prose."""
    return RATE * x  # prose


class Whole(Part):
    """Prose."""

    scale = 2.0

    @property
    def half(self):
        return self.scale / 2

    def forward(self, x):
        return compute(x) + Part().forward(x)
'''
PARTS = """import functools


class Part:
    def forward(self, x):
        return x

    @functools.lru_cache
    def other(self, x):
        return x + 1
"""


def cell(source: str, **names) -> SimpleNamespace:
    """Names that a notebook cell leaves behind, run as a notebook runs it: no file, but known lines."""
    path = f"<cell {next(NUMBERS)}>"
    linecache.cache[path] = (len(source), None, source.splitlines(True), path)
    space = {"__name__": "__main__", "torch": torch, "nn": nn, "functools": functools}
    space |= {"dataclasses": dataclasses, **names}
    exec(compile(source, path, "exec"), space)
    return SimpleNamespace(**space)


def of_build(source: str, **names) -> str:
    return fingerprint(cell(source, **names).build, modules=["vggt_lite.model"])


@pytest.fixture
def package(tmp_path, monkeypatch):
    """(import its modules, rewrite one and import anew, its fingerprint) of a small package of its own."""
    name = f"fingerprinted_{next(NUMBERS)}"
    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.syspath_prepend(tmp_path)

    def write(text: str = PACKAGE, parts: str = PARTS, fresh: bool = True) -> str:
        (folder / "__init__.py").write_text("")
        (folder / "whole.py").write_text(text.replace("{name}", name))
        (folder / "parts.py").write_text(parts)
        if fresh:
            for loaded in [key for key in sys.modules if key.split(".")[0] == name]:
                del sys.modules[loaded]
            importlib.invalidate_caches()
        return fingerprint(modules=[name])

    def load(part: str):
        return importlib.import_module(f"{name}.{part}")

    return SimpleNamespace(write=write, load=load, fingerprint=lambda: fingerprint(modules=[name]))


# --- package code ---------------------------------------------------------------------------------


def test_prose_in_a_package_does_not_count_and_code_does(package):
    before = package.write()
    assert package.write(PACKAGE.replace("Prose.", "Other prose,\nlonger.").replace("# prose", "")) == before
    assert package.write(PACKAGE.replace("RATE * x", "RATE  *  x")) == before
    for change in (("RATE * x", "RATE + x"), ("= 0.5", "= 0.7"), ("2.0", "3.0"), ("/ 2", "/ 4")):
        assert package.write(PACKAGE.replace(*change)) != before, change
    assert package.write(parts=PARTS.replace("return x + 1", "return x + 2")) != before
    assert package.write() == before


@pytest.mark.parametrize(
    "patch",
    [
        lambda whole, parts, mine: setattr(whole.Whole, "forward", mine),
        lambda whole, parts, mine: setattr(whole.Whole, "forward", functools.wraps(whole.compute)(mine)),
        lambda whole, parts, mine: setattr(whole.Whole, "half", property(mine)),
        lambda whole, parts, mine: setattr(whole.Whole, "extra", mine),
        lambda whole, parts, mine: setattr(whole.Whole, "forward", parts.Part.other),
        lambda whole, parts, mine: setattr(whole.Whole, "forward", functools.partial(mine, 2)),
        lambda whole, parts, mine: setattr(whole.Whole, "scale", 5.0),
        lambda whole, parts, mine: setattr(parts.Part, "other", mine),
        lambda whole, parts, mine: setattr(whole, "Part", type("Part", (), {"forward": mine})),
        lambda whole, parts, mine: setattr(whole, "Whole", type("Whole", (), {"forward": mine})),
        lambda whole, parts, mine: setattr(whole, "compute", mine),
        lambda whole, parts, mine: setattr(whole, "RATE", 0.6),
    ],
)
def test_what_was_replaced_in_memory_counts(package, patch):
    before = package.write()
    patch(package.load("whole"), package.load("parts"), cell("def mine(self, x):\n    return 0 * x\n").mine)
    patched = package.fingerprint()
    assert patched != before
    assert package.fingerprint() == patched
    assert package.write() == before  # imported anew


def test_the_source_of_a_replacement_counts(package):
    prints = []
    for factor in (0, 1):
        package.write()
        package.load("whole").Whole.forward = cell(f"def f(self, x):\n    return {factor} * x\n").f
        prints.append(package.fingerprint())
    assert prints[0] != prints[1]


def test_a_file_edited_under_running_code_is_not_taken_for_it(package):
    package.write()
    package.load("whole")
    edited = PACKAGE.replace("RATE * x", "RATE + x")
    with pytest.warns(UserWarning, match="whole.py was edited: the old compute runs until restart"):
        running = package.write(edited, fresh=False)
    assert running != package.write(edited)  # the same files, and now their code runs


def test_a_block_patched_in_a_notebook_changes_the_fingerprint_of_training(monkeypatch):
    before = fingerprint(modules=TRAINING_CODE)
    monkeypatch.setattr(layers.Block, "forward", cell("def identity(self, x, **_):\n    return x\n").identity)
    assert fingerprint(modules=TRAINING_CODE) != before
    monkeypatch.undo()
    assert fingerprint(modules=TRAINING_CODE) == before


def test_another_process_finds_the_same_fingerprint():
    code = f"from vggt_lite.utils.fingerprint import fingerprint; print(fingerprint(modules={TRAINING_CODE}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == fingerprint(modules=TRAINING_CODE)


def test_a_library_object_that_prints_its_address_is_the_same_in_another_process(tmp_path):
    """The public VGGT leads to pages, whose templates print themselves with their place in memory."""
    load = "from vggt_lite import VGGT; from vggt_lite.training.identity import own_code"
    code = f"{load}; print(own_code(VGGT))"
    path = tmp_path / "print_it.py"
    path.write_text(code, encoding="utf-8")
    runs = [subprocess.run([sys.executable, path], capture_output=True, text=True, check=True) for _ in "ab"]
    assert len(runs[0].stdout.strip()) == 12 and runs[0].stdout == runs[1].stdout


def test_a_module_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match="no module 'vggt_lite.modle'"):
        fingerprint(modules=["vggt_lite.modle"])


# --- what is handed in ----------------------------------------------------------------------------


LAMBDA = """
temperature, unused = 0.5, 0
class Narrow(nn.Module):
    "Prose."
    def forward(self, x):
        return x / temperature
def make(config):
    # prose
    return Narrow()
build = dict(
    fn=lambda config: make(config),
)["fn"]
"""


def test_all_that_a_lambda_leads_to_counts():
    before = of_build(LAMBDA)
    same = (("Prose", "Other prose"), ("    # prose\n", ""), ("unused = 0.5, 0", "unused = 0.5, 1"))
    for change in same:
        assert of_build(LAMBDA.replace(*change)) == before, change
    other = (("0.5", "0.7"), ("x / temp", "x * temp"), ("Narrow()", "Narrow().eval()"), ("(config),", "(0),"))
    for change in other:
        assert of_build(LAMBDA.replace(*change)) != before, change


@pytest.mark.parametrize(
    "source",
    [
        "build = functools.partial(print, VALUE)",
        "value = VALUE\ndef build(config, factor=value):\n    return factor",
        "value = VALUE\ndef build(config, *, factor=value):\n    return factor",
        "@torch.no_grad()\ndef build(config):\n    return VALUE",
        "def twice(f):\n    return functools.wraps(f)(lambda c: 2 * f(c))\n@twice\ndef build(c):\n"
        "    return VALUE",
        "def outer(factor):\n    return lambda config: factor\nbuild = outer(VALUE)",
        "class Build:\n    def __init__(self, f):\n        self.f = f\n    def __call__(self, config):\n"
        "        return self.f\nbuild = Build(VALUE)",
        "class Build:\n    f = VALUE\n    def make(self, config):\n        return 0\nbuild = Build().make",
        "build = functools.lru_cache(lambda config: VALUE)",
        "def build(config):\n    return [VALUE for _ in range(2)]",
        "@dataclasses.dataclass(frozen=True)\nclass Build:\n    f: object = None\n    @torch.no_grad()\n"
        "    def __call__(self, config):\n        return VALUE\nbuild = Build()",
    ],
)
def test_values_that_code_was_given_count(source):
    prints = {}
    for value in ("1", "2", "'a'", "torch.ones(2)", "torch.zeros(2)", "[1, {'a': torch.ones(1)}]"):
        prints[value] = of_build(source.replace("VALUE", value))
        assert of_build(source.replace("VALUE", value)) == prints[value]
    assert len(set(prints.values())) == len(prints)


def test_an_inherited_class_of_the_package_counts_only_by_what_was_added():
    source = "class MyBlock(Block):\n    def forward(self, x, **_):\n        return 0 * x\nbuild = MyBlock"
    before = of_build(source, Block=layers.Block)
    assert of_build(source.replace("0 * x", "1 * x"), Block=layers.Block) != before
    assert of_build(source, Block=layers.Mlp) != before


def test_a_class_that_speaks_of_itself_ends_somewhere():
    source = "class A:\n    def f(self):\n        return A, super().f(), build\ndef build(c):\n    return A"
    assert of_build(source) == of_build(source) != of_build(source.replace("build\n", "None\n"))


def test_a_file_of_ones_own_edited_under_running_code_is_not_taken_for_it(tmp_path, monkeypatch):
    def load(text: str, fresh: bool = True) -> str:
        (tmp_path / "my_blocks.py").write_text(text)
        if fresh:
            sys.modules.pop("my_blocks", None)
            importlib.invalidate_caches()
        return fingerprint(importlib.import_module("my_blocks").build)

    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # within a second the old one would be taken
    first = load("def build(config):\n    return 0.5 * config\n")
    edited = "def build(config):\n    return 0.25 * config\n"
    with pytest.warns(UserWarning, match="my_blocks.py was edited: the old build runs until restart"):
        running = load(edited, fresh=False)
    assert len({first, running, load(edited)}) == 3
    del sys.modules["my_blocks"]


def test_code_without_source_and_lambdas_side_by_side_are_refused():
    space = {}
    exec("def build(config):\n    return 1", space)
    with pytest.raises(ValueError, match="no source was found for build .*notebook cell or a file"):
        fingerprint(space["build"])
    with pytest.raises(ValueError, match="give each a line of its own"):
        fingerprint(cell("a, b = lambda c: 1, lambda c: 2").a)


def test_a_model_is_told_by_its_classes_methods_and_hooks_not_by_its_weights():
    def of_model(change=lambda model: None) -> str:
        model = VGGT(NANO.with_(heads=("camera",)))
        change(model)
        return fingerprint(architecture(model), modules=TRAINING_CODE)

    before = of_model()
    assert of_model() == before  # other random weights
    mine = cell("class Mine(nn.Identity):\n    pass\ndef hook(module, x):\n    return x\n")
    for change in (
        lambda model: setattr(model.aggregator.frame_blocks[0], "attn", mine.Mine()),
        lambda model: setattr(model.aggregator, "forward", mine.hook),
        lambda model: model.aggregator.register_forward_pre_hook(mine.hook),
    ):
        assert of_model(change) != before


# --- beside it ------------------------------------------------------------------------------------


def test_differences_are_named_with_their_place():
    then = {"train": {"steps": 4, "rate": 0.1}, "seed": 0}
    now = {"train": {"steps": 6, "rate": 0.1}, "new": 1}
    differ = ["train.steps was 4, now 6", "seed was 0, now none", "new was none, now 1"]
    assert differences(then, now) == differ
    assert differences(then, then) == []


def test_the_commit_is_that_of_the_checkout_and_changes_are_marked(tmp_path, monkeypatch):
    def git(*command):
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", "-C", str(tmp_path), *who, *command], check=True, capture_output=True)

    (tmp_path / "utils").mkdir()
    (tmp_path / "__init__.py").write_text("")
    monkeypatch.setattr(module, "__file__", str(tmp_path / "utils" / "fingerprint.py"))
    assert commit() == "no commit"
    git("init")
    assert commit() == "no commit"  # a repository, but not ours
    git("add", ".")
    git("commit", "-m", "first")
    first = commit()
    assert len(first) == 12 and set(first) <= set("0123456789abcdef")
    (tmp_path / "__init__.py").write_text("x = 1")
    assert commit() == first + "+"
