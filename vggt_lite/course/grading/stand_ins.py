"""What a submission sees of the checks while it is marked: their names, and none of their answers."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from vggt_lite.course import checks
from vggt_lite.course.checks.check import Check
from vggt_lite.course.checks.outcome import Outcome

HERE = Path(__file__).resolve().parent
ANSWERS = (f"{HERE.parent / 'checks'}/", f"{HERE / 'hidden.py'}")
STARTS = {"os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.system", "subprocess.Popen"}
_free = False  # within `free`


class StandIn:
    """In the place of a check: it takes any answer, and leaves the verdict to the grader."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __getattr__(self, name: str) -> None:
        raise AttributeError(f"while answers are marked, the check “{self.name}” has no {name}")

    def __call__(self, answer) -> Outcome:
        return Outcome("blank", self.name, "The grader checks it.")


class Topic(ModuleType):
    """In the place of a topic's module."""

    def __getattr__(self, name: str) -> StandIn:
        if name.startswith("__"):
            raise AttributeError(name)
        return StandIn(name)


def put_stand_ins() -> None:
    """Let `checks.TOPIC.NAME` lead to stand-ins from now on."""
    for topic in checks.topics():
        name = f"{checks.__name__}.{topic}"
        sys.modules[name] = Topic(name)
        setattr(checks, topic, sys.modules[name])


@contextmanager
def free() -> Iterator[None]:
    """In the block what `watch` forbids is allowed: the grader's own steps."""
    global _free
    _free = True
    try:
        yield
    finally:
        _free = False


def is_answer(path) -> bool:
    """Whether a path, in whatever form, leads to a file that holds references."""
    named = isinstance(path, str | bytes | os.PathLike)  # not the number of a file that is open
    return named and os.path.realpath(os.fsdecode(path)).startswith(ANSWERS)


def watch() -> None:
    """From now on answers cannot be read from their files, and nothing can be started beside the notebook."""

    def refuse(event: str, arguments: tuple) -> None:
        if _free:
            return
        if event == "open" and is_answer(arguments[0]):
            raise PermissionError("a submission cannot read the checks while it is marked.")
        if event in STARTS:
            raise PermissionError("a submission cannot start other programs while it is marked.")

    sys.addaudithook(refuse)


def real_check(key: str) -> Check:
    """The check itself, for a process that ends after it was used; others go on with stand-ins."""
    with free():
        for name in [name for name in sys.modules if isinstance(sys.modules[name], Topic)]:
            del sys.modules[name]
            delattr(checks, name.rpartition(".")[2])
        from vggt_lite.course.grading.hidden import marking_check

        check = marking_check(key)
    put_stand_ins()
    return check
