"""An exercise check: it says what is wrong, and names the mistake if it is one that people make.

    def attention_of(q, k):
        return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1)

    attention_weights = Check(
        name="attention weights",
        reference=attention_of,
        cases=lambda: {"three tokens": (q, k), "a batch": …, "one token": …},
        mutants={
            "you divided by d instead of √d": "** 0.5 →",  # the reference without this text
            "the softmax runs over the readers": "softmax(-1) → softmax(-2)",  # … with another text
            "you took the largest score": lambda q, k: …,  # any other function
        },
        hint="What happens to the scores when d grows?",
    )

Each file beside this one holds the checks of one topic. `tests/course` proves for every one of them that the
reference passes and that each wrong answer is rejected and named: add the wrong answers you meet in class.
"""

import functools
import inspect
import linecache
import math
import sys
import textwrap
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vggt_lite.course.checks.compare import ATOL, RTOL, Difference, count, difference
from vggt_lite.course.checks.outcome import Outcome
from vggt_lite.course.checks.seeds import generator, shifted
from vggt_lite.course.checks.watching import (
    Refused,
    gradients,
    is_stub,
    leaving_arguments,
    pieces_of,
    refusing,
)

BLANK = (
    "Replace the `...` in the cell above, run that cell, then run this one again. If you did: is a `return` "
    "missing?"
)

MISSING = "`{}`, a piece of `{}`, is not written yet. Write it first, run its cell, then this one again."
LOST = (
    "Case “{}”: the numbers are right, but the gradient at `{}` is {}, so training would go wrong. Look for "
    "`.detach()`, `.data`, `.item()`, `torch.tensor(…)` or `no_grad` on its way."
)

OVERWRITTEN = (
    "your function overwrites a tensor that the gradient still needs (as `x += …`, `x[…] = …` and `relu_()` "
    "do). Make a new one: `x = x + …`, `torch.cat`, `torch.where`."
)


def draws(*shapes: tuple[int, ...], seed: int = 0) -> tuple[Tensor, ...]:
    """Normal random tensors of these shapes for a case, from a generator of their own."""
    own = generator(seed)
    return tuple(torch.randn(shape, generator=own) for shape in shapes)


def draw(*shape: int, seed: int = 0) -> Tensor:
    """One of them."""
    return draws(shape, seed=seed)[0]


def edited(function: Callable, edits: str) -> Callable:
    """A function or class with other words in its source: "old → new", or several as "old → new; old → new".

    Raises:
        ValueError: an old text does not occur.
    """
    source, names = textwrap.dedent(inspect.getsource(function)), {}
    for edit in edits.split(";"):
        old, new = (text.strip() for text in edit.split("→"))
        if old not in source:
            raise ValueError(f"{function.__qualname__} has no {old!r} that could be replaced:\n{source}")
        source = source.replace(old, new)
    exec(source, sys.modules[function.__module__].__dict__, names)
    return names[function.__name__]


@dataclass(frozen=True)
class Failed:
    """Stands for a result where a function stopped with an exception."""

    kind: str
    text: str = field(compare=False)


@dataclass(frozen=True)
class Tried:
    """What an answer did with the cases of a check."""

    results: dict[str, object]  # of every case
    outcome: Outcome | None = None  # a verdict that needs no comparison: not written, or refused
    lost: str | None = None  # where its gradients are not those of the reference


@dataclass(frozen=True, kw_only=True)
class Check:
    """Compares a learner's function with the reference, case by case. Call it with the function.

    It returns an `Outcome`. It never raises and prints nothing, and leaves torch's random state alone, so
    that a check, passed or not, never changes what comes after it.

    Args:
        name: What is checked, in two or three words.
        reference: The right answer, written out as in the lesson, or the package's own function.
        cases: Makes the cases anew, the same each time: {what it is: arguments, …}. At least three:
            small numbers, a random one with its own generator, an edge.
        mutants: Wrong answers people give, at least three, under the sentence that tells the learner
            ("you divided by d instead of √d"): functions, or what to replace in the reference's source
            ("old → new; …"). They must differ from the reference and from each other.
        atol: Numbers may differ by this much,
        rtol: or by this share of the reference.
        hint: What to try when the mistake is not a known one.
        run: How an answer is tried, `run(answer, *arguments)`; for classes, or to look at gradients.
        trained: Training goes through the answer: its gradients are compared as well.
        without: Functions that the answer may not call: those it is to be.
    """

    name: str
    reference: Callable
    cases: Callable[[], dict[str, tuple]]
    mutants: Mapping[str, Callable | str]
    atol: float = ATOL
    rtol: float = RTOL
    hint: str | None = None
    run: Callable = lambda answer, *arguments: answer(*arguments)
    trained: bool = False
    without: tuple[Callable, ...] = ()
    seen: dict = field(default_factory=dict, init=False, repr=False, compare=False)  # of each mutant: case 1

    def __post_init__(self) -> None:
        wrong = {
            mistake: edited(self.reference, answer) if isinstance(answer, str) else answer
            for mistake, answer in self.mutants.items()
        }
        object.__setattr__(self, "mutants", wrong)

    def __call__(self, candidate: Callable) -> Outcome:
        """Check an answer: pass the function itself, without calling it."""
        if not callable(candidate):
            blank = candidate is None or candidate is ...
            message = BLANK if blank else f"`{type(candidate).__name__}` is no function: leave out the `( )`."
            return Outcome("blank" if blank else "wrong", self.name, message)
        return self.judged(self.tried(candidate))

    def tried(self, candidate: Callable) -> Tried:
        """What an answer does with every case; nothing is compared yet."""
        if missing := [piece.__name__ for piece in pieces_of(candidate) if is_stub(piece)]:
            other = MISSING.format(missing[0], getattr(candidate, "__name__", self.name))
            return Tried({}, Outcome("blank", self.name, BLANK if is_stub(candidate) else other))
        returned = []
        answer = (
            watched(leaving_arguments(candidate), returned) if inspect.isfunction(candidate) else candidate
        )
        with refusing(self.without, self.reference) as called:
            results = self.results(answer)
        if called:
            message = f"It calls `{called[0]}` of the package: write it yourself."
            return Tried(results, Outcome("wrong", self.name, message))
        if all(is_blank(result) for result in returned or results.values()):
            return Tried(results, Outcome("blank", self.name, BLANK))
        return Tried(results, lost=self.lost_gradient(answer) if self.trained else None)

    def judged(self, tried: Tried) -> Outcome:
        """The verdict on what `tried` found, here or in another process."""
        if tried.outcome:
            return tried.outcome
        results = tried.results
        problems = self.problems(results)
        if not problems and tried.lost:
            return Outcome("wrong", self.name, tried.lost)
        if not problems:
            return Outcome("passed", self.name, f"{count(len(results), 'case')} agree: {', '.join(results)}.")
        if mistake := self.recognise(results):
            known = "It looks as if " * mistake[0].islower() + mistake.rstrip(".")
            return Outcome("wrong", self.name, f"{known}.", mistake)
        label, found = next(iter(problems.items()))
        agree = len(results) - len(problems)
        message = f"Case “{label}”: {found.problem} (Right in {agree} of {count(len(results), 'case')}.)"
        return Outcome("wrong", self.name, message, hint=self.hint, difference=found.largest)

    def results(self, function: Callable) -> dict[str, object]:
        """What a function returns for every case; `Failed` where it stops."""
        return dict(self.each(function))

    def each(self, function: Callable) -> Iterator[tuple[str, object]]:
        """The same, case by case."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            for label, arguments in self.cases().items():
                try:
                    yield label, self.run(function, *arguments)
                except Exception as error:
                    yield label, Failed(type(error).__name__, told(error))

    def problems(self, results: dict) -> dict[str, Difference]:
        """The cases that do not agree with the reference, and how."""
        expected = self.results(self.reference)
        found = {label: self.difference(results[label], expected[label]) for label in expected}
        return {label: difference for label, difference in found.items() if difference.problem}

    def lost_gradient(self, function: Callable) -> str | None:
        """Where an answer whose numbers are right sends other gradients than the reference; None: nowhere."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return next(self.lost_gradients(function), None)

    def lost_gradients(self, function: Callable) -> Iterator[str]:
        """All of them, in words."""
        for label, arguments in self.cases().items():
            expected = gradients(self.run, self.reference, arguments)
            try:
                found = gradients(self.run, function, arguments)
            except Exception as error:  # NumPy in between, for example
                yield f"The numbers are right, but for gradients {told(error)}"
                return
            for name, got, want in zip(
                inspect.signature(self.reference).parameters, found, expected, strict=False
            ):
                if want is not None and not torch.allclose(
                    got, want, rtol=1e-3, atol=1e-3 * float(want.abs().max())
                ):
                    state = "another" if got.any() else "lost"
                    yield LOST.format(label, name, state)

    def difference(self, result, expected) -> Difference:
        if isinstance(result, Failed):
            return Difference(None if result == expected else result.text, math.inf)
        if result is None and expected is not None:
            return Difference("your function returns `None`. Is a `return` missing?", math.inf)
        return difference(result, expected, self.atol, self.rtol)

    def recognise(self, results: dict) -> str | None:
        """The wrong answer that gives these results in every case, or None."""
        own = next(iter(results.values()))
        for mistake, mutant in self.mutants.items():
            first = self.seen.get((mistake, shifted(0)))  # most are told apart by the first case
            if first is not None and self.difference(own, first).problem:
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the mutant's, not the learner's
                for label, known in self.each(mutant):
                    self.seen.setdefault((mistake, shifted(0)), known)
                    if self.difference(results[label], known).problem:
                        break
                else:
                    return mistake
        return None


def watched(function: Callable, returned: list) -> Callable:
    """The function, with what it returns or raises noted down."""

    @functools.wraps(function)
    def noted(*args, **kwargs):
        try:
            returned.append(function(*args, **kwargs))
        except Exception as error:
            returned.append(error)
            raise
        return returned[-1]

    return noted


def is_blank(result) -> bool:
    """Whether a stub gave this result."""
    kind = getattr(result, "kind", type(result).__name__)
    return result is None or result is ... or kind == "NotImplementedError"


def told(error: Exception) -> str:
    """An exception in one line, with the line of the notebook where it happened."""
    if isinstance(error, Refused):
        return str(error)
    summary = " ".join(str(error).split()).rstrip(".")
    if "modified by an inplace operation" in summary:
        return OVERWRITTEN
    summary = f"{summary[:160]}…" if len(summary) > 161 else summary
    steps = traceback.extract_tb(error.__traceback__)
    cells = [step for step in steps if "ipykernel" in step.filename or step.filename.startswith("<ipython")]
    line = linecache.getline(cells[-1].filename, cells[-1].lineno).strip() if cells else ""
    where = f" in `{line}`" if line else ""
    return f"your function stopped with {type(error).__name__}{f': {summary}' if summary else ''}{where}."
