"""Two results side by side: same kind, same shape, same numbers? If not, where do they part?"""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from numbers import Number
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vggt_lite.course.checks.outcome import Outcome

ATOL = RTOL = 1e-5


class Difference(NamedTuple):
    """How one part of a result differs: in words (None: it does not), by how much, over how many numbers."""

    problem: str | None
    largest: float
    numbers: int = 0


def compare(mine=None, reference=None, /, *, atol: float = ATOL, rtol: float = RTOL, **pairs) -> Outcome:
    """Prove two results equal, and show their largest difference.

        compare(my_attention(tokens), attention(tokens))
        compare(tokens=(my_tokens, their_tokens), pose=(my_pose, their_pose))

    Args:
        mine: A tensor, a number, or tuples, lists, dictionaries and dataclasses of them.
        reference: What it should equal.
        atol: Numbers may differ by this much,
        rtol: and by this share of the reference.
        pairs: More results, each a pair (mine, reference) under a name.

    Returns:
        An `Outcome`; nothing is raised, and nothing printed.
    """
    if mine is not None or reference is not None or not pairs:
        pairs = {"": (mine, reference), **pairs}
    sides = ({name: pair[side] for name, pair in pairs.items()} for side in (0, 1))
    found = difference(*sides, atol, rtol)
    if found.problem:
        return Outcome("wrong", "comparison", found.problem, difference=found.largest)
    if not found.numbers:
        return Outcome("wrong", "comparison", "There are no numbers to compare.")
    message = f"{count(found.numbers, 'number')} compared; largest difference {found.largest:.0e}."
    return Outcome("passed", "comparison", message, difference=found.largest)


def difference(mine, expected, atol: float = ATOL, rtol: float = RTOL) -> Difference:
    """Where two nested results first part, their largest difference, and the number of values compared.

    NaN equals NaN here, so that a wrong answer made of NaN can be recognised again.
    """
    parts = list(differences(mine, expected, atol, rtol))
    problem = next((part.problem for part in parts if part.problem), None)
    return Difference(problem, max(p.largest for p in parts), sum(p.numbers for p in parts))


def differences(mine, expected, atol: float, rtol: float, place: str = "") -> Iterator[Difference]:
    """The same, part by part; `place` says where we are: "[0].depth"."""
    ours, theirs = parts_of(mine), parts_of(expected)
    at = f"`{place.removeprefix('.')}`: " if place else ""
    if not theirs:
        problem, largest, numbers = leaf_difference(mine, expected, atol, rtol)
        yield Difference(problem and at + problem, largest, numbers)
    elif not ours or ours.keys() != theirs.keys():
        yield Difference(f"{at}got {described(mine)}, expected {described(expected)}.", math.inf)
    else:
        for name, part in theirs.items():
            yield from differences(ours[name], part, atol, rtol, place + name)


def parts_of(value) -> dict[str, object] | None:
    """The parts of a tuple, list, dictionary or dataclass under their names; None for anything else."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f".{field.name}": getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {f".{key}" if key != "" else "": part for key, part in value.items()}
    if isinstance(value, list | tuple):
        return {f"[{index}]": part for index, part in enumerate(value)}
    return None


def leaf_difference(mine, expected, atol: float, rtol: float) -> Difference:
    """How two tensors or numbers differ; anything else must be equal."""
    kinds = Difference(f"got {described(mine)}, expected {described(expected)}.", math.inf)
    if not isinstance(expected, Tensor | Number):
        return Difference(None, 0.0) if is_equal(mine, expected) else kinds
    if not isinstance(mine, Tensor | Number):
        return kinds
    got, want = torch.as_tensor(mine).detach().cpu(), torch.as_tensor(expected).detach().cpu()
    if got.shape != want.shape:
        return Difference(f"the shape is {tuple(got.shape)}, expected {tuple(want.shape)}.", math.inf)
    if (got.dtype == torch.bool) != (want.dtype == torch.bool) or got.is_complex() != want.is_complex():
        return Difference(f"the values are `{got.dtype}`, expected `{want.dtype}`.", math.inf)
    if got.is_complex():
        got, want = torch.view_as_real(got.resolve_conj()), torch.view_as_real(want.resolve_conj())
    if got.dtype == torch.bool:
        return bool_difference(got, want)
    found = number_difference(got.double(), want.double(), atol, rtol)
    if found.problem and want.is_floating_point() and got.dtype not in (torch.float32, torch.float64):
        return found._replace(problem=f"{found.problem} Your values are `{got.dtype}`, not `{want.dtype}`.")
    return found


def bool_difference(got: Tensor, want: Tensor) -> Difference:
    """How two masks of one shape differ."""
    wrong = (got != want).nonzero()
    if not len(wrong):
        return Difference(None, 0.0, got.numel())
    where = tuple(wrong[0].tolist())
    number, at = f"{len(wrong)} of {count(got.numel(), 'value')}", f" at {list(where)}" if where else ""
    problem = f"{number} differ: got {got[where].item()}, expected {want[where].item()}{at}."
    return Difference(problem, 1.0, got.numel())


def number_difference(got: Tensor, want: Tensor, atol: float, rtol: float) -> Difference:
    """How two float64 tensors of one shape differ."""
    numbers = got.numel()
    if bad := int((~got.isfinite() & want.isfinite()).sum()):
        what = "NaN (0/0, or the root of a negative?)" if got.isnan().any() else "infinite (x/0?)"
        problem = f"{bad} of {count(numbers, 'value')} {'is' if bad == 1 else 'are'} {what}."
        return Difference(problem, math.inf, numbers)
    agree = (got == want) | (got.isnan() & want.isnan())
    apart = torch.where(agree, 0.0, (got - want).abs()).nan_to_num(math.inf)
    largest = float(apart.max()) if numbers else 0.0
    allowed = (atol + rtol * want.abs()).nan_to_num(0.0, posinf=0.0)
    if not bool((apart > allowed).any()):
        return Difference(None, largest, numbers)
    where = tuple(int(k) for k in np.unravel_index(int((apart - allowed).argmax()), got.shape))
    at = f" at {list(where)}" if where else ""
    values = f"got {got[where]:.5g}, expected {want[where]:.5g}"
    return Difference(f"largest difference {largest:.3g}{at}: {values}.", largest, numbers)


def is_equal(mine, expected) -> bool:
    try:
        return type(mine) is type(expected) and bool(mine == expected)
    except Exception:  # an == that gives no yes or no
        return False


def described(value) -> str:
    """A value in a few words: "a tensor of shape (2, 3)", "`None`", "a list of 3"."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, np.ndarray):
        return f"a NumPy array of shape {value.shape} (`torch.from_numpy` makes it a tensor)"
    if isinstance(value, Mapping):
        return f"a {type(value).__name__} with {', '.join(map(str, value))}" if value else "an empty dict"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    if value is None or isinstance(value, Number | str):
        return f"`{repr(value)[:60]}`"
    return f"`{type(value).__name__}`"


def count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"
