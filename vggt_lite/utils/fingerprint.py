"""A fingerprint of code: it changes when what is computed changes, and not when only prose does.

    fingerprint(build, modules=("vggt_lite.model", "vggt_lite.losses"))     # "9f3a01c2d4e5"

Results are kept under such a fingerprint, so that a result of other code is never taken for that of the
present code. Comments, docstrings and layout do not count. Not seen: libraries, and files that are read while
computing.
"""

import ast
import hashlib
import importlib
import importlib.util
import os
import pkgutil
import re
import subprocess
import sys
import sysconfig
import warnings
from collections.abc import Iterable, Iterator
from enum import Enum
from functools import partial
from pathlib import Path
from types import FunctionType, MethodType, ModuleType

import numpy as np
import torch
from torch import Tensor, nn

from vggt_lite.utils import source
from vggt_lite.utils.source import bytecode, canonical, codes_in, file_of, functions_in

DIGITS = 12
# What a training computes with: floor 1 of the package, generated scenes, and data. Configurations are
# compared as values; devices, exports and figures do not count.
ROOMS = ("geometry", "model", "losses", "metrics", "training", "data", "synthetic")
TRAINING_CODE = tuple(f"vggt_lite.{room}" for room in ROOMS)
LIBRARIES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
PACKAGE = f"{Path(__file__).parents[1]}{os.sep}"
STANDARD_LIBRARY = sysconfig.get_paths()["stdlib"] + os.sep


def fingerprint(*objects, modules: Iterable[str] = (), known: Iterable[str] = ()) -> str:
    """Twelve hexadecimal digits for code, and for what it was given.

    Args:
        objects: Functions, classes, `partial`s and callable objects count by their source (a notebook cell or
            a file), default arguments, closures, and all that they read by a global name, followed until it
            leads into a library, `modules` or `known`. Everything else (numbers, texts, tensors, containers,
            objects of one's own) counts by its value.
        modules: Names of modules and packages that count by the text of all their files. What was replaced in
            them in memory (`Block.forward = mine`) counts by the source of the replacement, and a capitalised
            constant by its present value.
        known: Names of modules that have a fingerprint of their own and do not count here.

    Raises:
        ValueError: there is no such module, or no source of a function (typed at a plain prompt, say).
    """
    modules = tuple(modules)
    reader = _Reader((*modules, *known))
    for module in modules_in(modules):
        reader.read_module(module)
    for thing in objects:
        reader.read(thing)
    return reader.digest.hexdigest()[:DIGITS]


def fingerprints(modules: Iterable[str]) -> dict[str, str]:
    """The fingerprint of each module or package by itself, so that a difference can be named."""
    return {name: fingerprint(modules=[name]) for name in modules}


def architecture(model: nn.Module) -> list:
    """What `fingerprint` should see of a model whose weights do not matter: classes, own methods, hooks."""
    found = []
    for name, module in model.named_modules():
        own = {key: value for key, value in sorted(vars(module).items()) if callable(value)}
        hooks = [list(vars(module)[key].values()) for key in ("_forward_pre_hooks", "_forward_hooks")]
        found.append([name, type(module), own, hooks])
    return found


def differences(then, now, name: str = "") -> list[str]:
    """Where two nested dictionaries differ, in words: ["train.steps was 4, now 6"]."""
    if isinstance(then, dict) and isinstance(now, dict):
        keys = dict.fromkeys([*then, *now])
        inside = (differences(then.get(k), now.get(k), f"{name}.{k}" if name else str(k)) for k in keys)
        return [line for lines in inside for line in lines]
    before, after = ("none" if value is None else value for value in (then, now))
    return [] if then == now else [f"{name} was {before}, now {after}"]


def commit() -> str:
    """The commit of the checkout that this package runs from; "+" after it: files were changed since."""
    git = ["git", "-C", str(Path(__file__).parents[1])]
    # The first fails where the package is installed inside somebody else's repository
    asked = (["ls-files", "--error-unmatch", "__init__.py"], ["rev-parse", "HEAD"], ["status", "-s", "."])
    try:
        said = [subprocess.run([*git, *c], check=True, capture_output=True, text=True).stdout for c in asked]
    except (OSError, subprocess.CalledProcessError):
        return "no commit"
    return said[1][:DIGITS] + ("+" if said[2].strip() else "")


def modules_in(names: Iterable[str]) -> Iterator[ModuleType]:
    """The modules of these names, and all modules of those that are packages.

    Raises:
        ValueError: there is no such module.
    """
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise ValueError(f"modules: there is no module {name!r}.")
        yield (module := importlib.import_module(name))
        for found in pkgutil.walk_packages(getattr(module, "__path__", ()), f"{name}."):
            yield importlib.import_module(found.name)


class _Reader:
    """Feeds one digest with everything it is shown, in a fixed order."""

    def __init__(self, modules: tuple[str, ...]) -> None:
        self.modules, self.digest = modules, hashlib.sha256()
        self.met: dict[int, tuple[int, object]] = {}  # held, so that no other object gets the same id

    def write(self, *texts: str) -> None:
        for text in texts:
            self.digest.update(text.encode() + b"\0")

    def covers(self, module: str) -> bool:
        return any(module == name or module.startswith(f"{name}.") for name in self.modules)

    # --- modules ---------------------------------------------------------------------------------

    def read_module(self, module: ModuleType) -> None:
        """The text of a module, and what differs from it in memory."""
        text = Path(module.__file__).read_text(encoding="utf-8")
        self.write("module", module.__name__, canonical(text))
        codes = codes_in(text)
        imported = {
            alias.asname or alias.name: getattr(sys.modules[node.module], alias.name, None)
            for node in ast.parse(text).body
            if isinstance(node, ast.ImportFrom) and not node.level
            for alias in node.names
        }
        for name, thing in sorted(vars(module).items()):
            if name in imported:
                if thing is not imported[name]:
                    self.read([name, thing])
            elif isinstance(thing, type) and thing.__module__ == module.__name__:
                for key, member in sorted(vars(thing).items()):
                    self.read_member(f"{name}.{key}", member, codes)
            elif name.isupper() or callable(thing):
                self.read_member(name, thing, codes)

    def read_member(self, label: str, member, codes: dict[str, list[tuple]]) -> None:
        """What stands under a name; nothing where it is the function of that name in `codes`."""
        functions = own_functions(member)
        if not functions and is_dunder(label.split(".")[-1]):
            return
        if not functions or any(bytecode(f.__code__) not in codes.get(label, ()) for f in functions):
            self.read([label, *(functions or [member])])

    # --- objects ---------------------------------------------------------------------------------

    def read(self, thing) -> None:
        """Any object: code by its source, data by its value."""
        self.write(type(thing).__name__)
        if thing is None or isinstance(thing, (bool, int, float, complex, str, bytes, Enum)):
            self.write(repr(thing))
        elif isinstance(thing, Tensor):
            self.write(str(thing.dtype), str(tuple(thing.shape)))
            if not thing.is_meta:
                flat = thing.detach().cpu().contiguous().reshape(-1)
                self.digest.update(flat.view(torch.uint8).numpy().tobytes())
        elif isinstance(thing, np.ndarray) and thing.dtype != object:
            self.write(str(thing.dtype), str(thing.shape))
            self.digest.update(thing.tobytes())
        elif isinstance(thing, tuple):
            self.read_all(thing)
        elif isinstance(thing, (set, frozenset)):
            self.read_all(sorted(thing, key=repr))
        elif id(thing) in self.met:  # a circle, or a second way to the same thing
            self.write("again", str(self.met[id(thing)][0]))
        else:
            self.met[id(thing)] = (len(self.met), thing)
            if isinstance(thing, list):
                self.read_all(thing)
            elif isinstance(thing, dict):
                self.read_all(thing.items())
            elif isinstance(thing, ModuleType):
                self.write(thing.__name__)
                path = getattr(thing, "__file__", None)
                if not (self.covers(thing.__name__) or is_library(path)):
                    self.write(canonical(Path(path).read_text(encoding="utf-8")))
            elif isinstance(thing, type):
                self.read_class(thing)
            elif isinstance(thing, FunctionType):
                for function in functions_in(thing):  # several if it is decorated
                    self.read_function(function)
            elif isinstance(thing, MethodType):
                self.read_all((thing.__func__, thing.__self__))
            elif isinstance(thing, partial):
                self.read_all((thing.func, thing.args, thing.keywords))
            elif functions := list(functions_in(thing)):
                self.read_all(functions)
            elif isinstance(thing, nn.Module) or not is_library(file_of(type(thing).__module__)):
                self.read_all((type(thing), getattr(thing, "__dict__", {})))
            else:  # a library's object: as it is printed, without addresses, which differ from run to run
                printed = re.sub(r" at 0x[0-9a-fA-F]+", "", repr(thing))
                self.write(printed.replace(f"{id(thing):x}", ""))

    def read_all(self, things: Iterable) -> None:
        things = list(things)
        self.write(str(len(things)))
        for thing in things:
            self.read(thing)

    def read_class(self, kind: type) -> None:
        self.write(kind.__module__, kind.__qualname__)
        if self.covers(kind.__module__) or is_library(file_of(kind.__module__)):
            return
        self.read(kind.__bases__)
        for name, member in sorted(vars(kind).items()):
            functions = own_functions(member)
            if functions or not is_dunder(name):
                self.read_all((name, *(functions or [member])))

    def read_function(self, function: FunctionType) -> None:
        code, module = function.__code__, function.__module__ or ""
        if is_library(code.co_filename):
            self.write(module, function.__qualname__)
            return
        in_file = codes_in(source.text_of(function)).values() if os.path.isfile(code.co_filename) else None
        edited = in_file is not None and not any(bytecode(code) in codes for codes in in_file)
        if edited:  # a cell cannot be edited under a function, a file can
            name = function.__qualname__
            warnings.warn(f"{code.co_filename} was edited: the old {name} runs until restart.", stacklevel=2)
            self.write(repr(bytecode(code)))
        if self.covers(module) and code.co_filename == file_of(module):
            self.write(module, function.__qualname__)
            return
        if not edited:
            self.write(source.source_of(function))
        self.read_all((function.__defaults__, function.__kwdefaults__))
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            try:
                content = cell.cell_contents
            except ValueError:  # still empty
                content = None
            self.read_all((name, content))
        for name in dict.fromkeys(source.global_names(code)):
            if name in function.__globals__:
                self.read_all((name, function.__globals__[name]))


def is_library(path: str | None) -> bool:
    """Whether code lies neither in the user's own files nor in this package; None: it is written in C."""
    if path is None or path.startswith(PACKAGE):
        return path is None
    return path.startswith(("<frozen", STANDARD_LIBRARY)) or any(part in path for part in LIBRARIES)


def own_functions(member) -> list[FunctionType]:
    """`functions_in`, but for a library's decorators and the methods that `dataclass` writes."""
    files = ((function, function.__code__.co_filename) for function in functions_in(member))
    return [function for function, file in files if file != "<string>" and not is_library(file)]


def is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")
