"""What an answer does beside its result: does it change its arguments, lose gradients, call the package?"""

import dis
import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType

import torch
from torch import Tensor

from vggt_lite.course.checks.compare import difference, parts_of

STUB = {"RESUME", "NOP", "LOAD_CONST", "POP_TOP", "RETURN_VALUE", "RETURN_CONST", "COPY_FREE_VARS"}


class Refused(Exception):
    """An answer broke a rule of its exercise; the text says which, in a whole sentence."""


def tensors_in(value, place: str = "") -> dict[str, Tensor]:
    """Every tensor in nested tuples, lists, dictionaries and dataclasses, by its place."""
    if isinstance(value, Tensor):
        return {place.removeprefix("."): value}
    parts = parts_of(value) or {}
    return {k: x for name, part in parts.items() for k, x in tensors_in(part, place + name).items()}


def leaving_arguments(function: Callable) -> Callable:
    """The function, which raises `Refused` after a call that changed a tensor it was given."""

    @functools.wraps(function)
    def watched(*args, **kwargs):
        given = tensors_in(inspect.signature(function).bind(*args, **kwargs).arguments)
        before = {name: x.detach().clone() for name, x in given.items()}
        result = function(*args, **kwargs)
        for name, x in given.items():
            if difference(x, before[name], atol=0, rtol=0).problem:
                raise Refused(
                    f"your function changes `{name}` in place, and the caller's tensor with it "
                    f"(as `{name} /= …`, `{name}[…] = …` and `relu_()` do). Make a new one: "
                    f"`{name} = {name} / …`."
                )
        return result

    return watched


def packaged(module: str | None) -> bool:
    """Whether a module is the package's, not a notebook or a test."""
    return (module or "").startswith("vggt_lite.")


@contextmanager
def refusing(functions: tuple[Callable, ...], reference: Callable | None = None) -> Iterator[list[str]]:
    """Note the names of those of these functions that are called inside, under whatever name.

    The reference counts where the answer calls it: cases may be made with it, wrong answers too.
    """
    codes, called, earlier = {f.__code__: f.__name__ for f in functions}, [], sys.getprofile()
    own = reference.__code__ if inspect.isfunction(reference) and packaged(reference.__module__) else None

    def note(frame, event, _):
        if event != "call":
            return
        if frame.f_code in codes:
            called.append(codes[frame.f_code])
        elif frame.f_code is own and not packaged(frame.f_back.f_globals.get("__name__")):
            called.append(reference.__name__)

    sys.setprofile(note if codes or own else earlier)
    try:
        yield called
    finally:
        sys.setprofile(earlier)


def gradients(run: Callable, function: Callable, arguments: tuple) -> list[Tensor | None]:
    """Gradients, at each argument, of all numbers a function returns, added up with uneven weights.

    Arguments are moved by up to 0.001, off the kinks (as of a ReLU at 0), where right answers may differ.
    None: the argument is no tensor of floats. Zeros: no gradient reaches it.
    """
    inputs = [(x.detach() + 1e-3 * uneven(x)).requires_grad_() if is_float(x) else x for x in arguments]
    leaves = [x for x in inputs if is_float(x)]
    with torch.enable_grad():
        returned = tensors_in(run(function, *inputs)).values()
        total = sum((uneven(y) * y).sum() for y in returned if y.requires_grad)
    if not isinstance(total, Tensor):
        return [torch.zeros_like(x) if is_float(x) else None for x in inputs]
    found = iter(torch.autograd.grad(total, leaves, allow_unused=True, materialize_grads=True))
    return [next(found) if is_float(x) else None for x in inputs]


def uneven(x: Tensor) -> Tensor:
    """Fixed numbers from −1 to 1 in the shape of x."""
    return torch.arange(1, x.numel() + 1).cos().view(x.shape)


def is_float(value) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def is_stub(piece: Callable) -> bool:
    """Whether there is nothing yet but `...` in a function, or in the `forward` of a class."""
    function = vars(piece).get("forward") if inspect.isclass(piece) else piece
    if not inspect.isfunction(function):
        return False
    code = function.__code__
    steps = {step.opname for step in dis.get_instructions(code)}
    return steps <= STUB and set(code.co_consts) <= {None, ..., function.__doc__}


def pieces_of(answer: Callable) -> list[Callable]:
    """The answer and all that it is made of: functions and classes of the same notebook or file."""
    found, waiting = [], [answer]
    while waiting:
        piece = waiting.pop()
        if piece in found or not (inspect.isfunction(piece) or inspect.isclass(piece)):
            continue
        if piece.__module__ == answer.__module__:
            found.append(piece)
            parts = vars(piece).values() if inspect.isclass(piece) else [piece]
            for function in filter(inspect.isfunction, parts):
                waiting += [function.__globals__.get(name) for name in names_in(function.__code__)]
    return found


def names_in(code: CodeType) -> set[str]:
    """Names a function reads from its notebook or file, in functions inside it as well."""
    inner = [const for const in code.co_consts if isinstance(const, CodeType)]
    return set(code.co_names).union(*map(names_in, inner))
