"""One submission in a process of its own: `python -m vggt_lite.course.grading.worker < task.json`.

It runs the notebook's cells one after the other, as Run All does, but goes on after an error. Whenever a cell
has defined an exercise's function, a fork of the process calls it on hidden inputs and writes down what it
returned, and once more at the end. So an answer that never ends, or ends its process, costs no other one.
Whether a result is right is found out elsewhere (`session`).
"""

import functools
import inspect
import io
import json
import os
import re
import signal
import sys
import time
from pathlib import Path

import msgspec
import torch
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from vggt_lite.course.checks.seeds import other_inputs
from vggt_lite.course.grading import guard, stand_ins
from vggt_lite.course.grading.values import encoded

MOST_PRINTED = 1_000_000  # characters of one cell
FILE_SIZE = 200_000_000  # bytes


class Task(msgspec.Struct):
    """What the worker is to do.

    Args:
        cells: Source of each code cell.
        answers: (exercise, check, learner's function) triples.
        seed: Of the hidden inputs.
        folder: Where the notebook runs; `work`, above it, is all that it may write to.
        record: File for what was found, one JSON object a line.
        readable: Files and folders that it may read beside Python itself.
        memory: Bytes. cell_seconds, seconds: limits for one cell or answer, and for all.
        guarded: Whether files outside are protected.
    """

    cells: list[str]
    answers: list[tuple[str, str, str]]
    seed: int
    work: str
    folder: str
    record: str
    readable: list[str]
    memory: int
    cell_seconds: int
    seconds: int
    guarded: bool


class Printed(io.TextIOBase):
    """Takes what a notebook prints, and stops a cell that prints without end."""

    def __init__(self) -> None:
        self.count = 0

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.count += len(text)
        if self.count > MOST_PRINTED:
            raise RuntimeError(f"more than {MOST_PRINTED:,} characters were printed.")
        return len(text)


class Worker:
    def __init__(self, task: Task) -> None:
        self.task, self.printed = task, Printed()
        self.record = open(task.record, "ab", buffering=0)  # before the limits: no one else can open it
        self.seen: dict[str, object] = {}  # function's name → object that was marked last
        self.versions: dict[str, int] = {}  # function's name → how often it was defined
        InteractiveShell.showtraceback = InteractiveShell.showsyntaxerror = lambda *_, **__: None
        config = Config()
        config.HistoryManager.enabled = False
        config.InteractiveShell.colors = "NoColor"
        self.shell = InteractiveShell.instance(config=config)

    def note(self, **found) -> None:
        self.record.write(json.dumps(found).encode() + b"\n")

    def confine(self) -> None:
        """Set every limit."""
        task = self.task
        sys.stdout = sys.stderr = self.printed
        stand_ins.put_stand_ins()
        guard.limit_resources(task.memory, FILE_SIZE, task.seconds)
        if task.guarded:
            readable = [*guard.readable_folders(), *map(Path, task.readable)]
            guard.restrict_files([Path(task.work)], readable)
        os.chdir(task.folder)
        sys.path.insert(0, "")  # a learner's own modules lie beside the notebook
        stand_ins.watch()

    def run(self) -> None:
        self.note(ready=True)
        for number, source in enumerate(self.task.cells, start=1):
            self.note(cell=number)
            self.printed.count = 0
            if error := self.run_cell(source):
                self.note(cell=number, error=error)
            for answer in self.task.answers:
                if self.is_new(answer[2]):
                    self.mark(*answer)
        for answer in self.task.answers:
            if answer[2] in self.seen:
                self.mark(*answer)
        self.note(done=True)

    def run_cell(self, source: str) -> str | None:
        """Run a cell; its error in one line, or None."""
        signal.signal(signal.SIGALRM, self.too_long)
        signal.setitimer(signal.ITIMER_REAL, self.task.cell_seconds)
        try:
            result = self.shell.run_cell(source)
            error = result.error_before_exec or result.error_in_exec
        except BaseException as stopped:  # a submission can break the shell, too
            error = stopped
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        told = re.sub(r"\(<ipython-input.*?>, (line \d+)\)", r"(\1)", str(error))
        return None if error is None else f"{type(error).__name__}: {told}"[:300]

    def too_long(self, *_) -> None:
        raise TimeoutError(f"it took longer than {self.task.cell_seconds} s.")

    def is_new(self, name: str) -> bool:
        """Whether the notebook has defined a function anew. Notes it down."""
        value = self.shell.user_ns.get(name, self)
        if value is self or value is self.seen.get(name, self):
            return False
        self.seen[name] = value
        self.versions[name] = self.versions.get(name, 0) + 1
        return True

    def mark(self, exercise: str, key: str, name: str) -> None:
        """Call an answer on hidden inputs, in a fork, and wait for it."""
        which = {"exercise": exercise, "check": key, "version": self.versions[name]}
        self.note(**which, started=True)
        with stand_ins.free():
            child = os.fork()
        if not child:
            self.in_fork(which, key, name)
        until = time.monotonic() + self.task.cell_seconds
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            if time.monotonic() > until:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                self.note(**which, problem=f"It took longer than {self.task.cell_seconds} s.")
                break
            time.sleep(0.005)

    def in_fork(self, which: dict, key: str, name: str) -> None:
        """What the fork does: call, write down, end."""
        try:
            self.note(**which, **self.results(key, name))
        except BaseException as error:
            self.note(**which, problem=f"It stopped with {type(error).__name__}: {error}"[:300])
        finally:
            os._exit(0)

    def results(self, key: str, name: str) -> dict:
        """What the learner's function returns for the hidden inputs."""
        answer = self.shell.user_ns[name]
        if answer is None or answer is ...:
            return {"blank": True}
        if not callable(answer):
            return {"problem": f"`{name}` is no function, but a {type(answer).__name__}."}
        if not is_own(answer, Path(self.task.work)):
            return {"problem": f"`{name}` is not written in the notebook: it is {full_name(answer)}."}
        self.printed.count = 0
        check = stand_ins.real_check(key)
        with other_inputs(self.task.seed):
            tried = check.tried(answer)
        if tried.outcome:
            return {"blank": True} if tried.outcome.state == "blank" else {"problem": tried.outcome.message}
        return {"results": {label: encoded(x) for label, x in tried.results.items()}, "lost": tried.lost}


def is_own(answer, work: Path) -> bool:
    """Whether a function or class was written in the notebook or in a file beside it."""
    while isinstance(answer, functools.partial):
        answer = answer.func
    answer = inspect.unwrap(answer)
    if isinstance(answer, type):
        file = getattr(sys.modules.get(answer.__module__), "__file__", None)
        return answer.__module__ == "__main__" or (file is not None and is_inside(file, work))
    code = getattr(answer, "__code__", None)
    if code is None:
        return is_own(type(answer), work) if type(answer) is not type(len) else False
    return code.co_filename.startswith("<ipython") or is_inside(code.co_filename, work)


def is_inside(file: str, folder: Path) -> bool:
    return Path(file).resolve().is_relative_to(folder)


def full_name(answer) -> str:
    answer = inspect.unwrap(answer)
    return f"{getattr(answer, '__module__', '?')}.{getattr(answer, '__qualname__', type(answer).__name__)}"


if __name__ == "__main__":
    torch.set_num_threads(1)
    worker = Worker(msgspec.json.decode(sys.stdin.buffer.read(), type=Task))
    worker.confine()
    worker.run()
    os._exit(0)  # whatever a submission left running
