"""Which numbers the cases of checks are made of: those that learners see, or, for marking, others.

with other_inputs(1234):
    check(answer)  # the same check on numbers that nobody has seen
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_shift = 0  # added to the seed of every case


@contextmanager
def other_inputs(seed: int) -> Iterator[None]:
    """In the block, cases are drawn from other random numbers. The seed 0 gives those that learners see."""
    global _shift
    before, _shift = _shift, 1_000_003 * seed
    try:
        yield
    finally:
        _shift = before


def shifted(seed: int) -> int:
    """The seed of a case as it counts now."""
    return seed + _shift


def generator(seed: int) -> torch.Generator:
    """A generator of its own for a case."""
    return torch.Generator().manual_seed(shifted(seed))
