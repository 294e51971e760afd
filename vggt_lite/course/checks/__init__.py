"""Exercise checks that name the mistake, one file per topic, and `compare` for proofs of equality.

    from vggt_lite import checks

    checks.attention.attention_weights(my_attention_weights)     # topic, check, your function
    checks.compare(mine, reference)

A topic is a file beside this one and is imported when it is first named; only files that are none are listed.
"""

import pkgutil
from importlib import import_module

from vggt_lite.course.checks.check import Check
from vggt_lite.course.checks.compare import compare
from vggt_lite.course.checks.outcome import Outcome

__all__ = ["Check", "Outcome", "compare", "every_check", "topics"]

MACHINERY = {"assembled_heads", "assembled_loss", "check", "compare"}
MACHINERY |= {"nano_weights", "outcome", "seeds", "watching"}


def topics() -> list[str]:
    """The topics that have checks."""
    names = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name for name in names if name not in MACHINERY)


def every_check() -> dict[str, Check]:
    """All checks of all topics: {"attention.attention_weights": Check, …}."""
    modules = {topic: import_module(f"{__name__}.{topic}") for topic in topics()}
    return {
        f"{topic}.{name}": value
        for topic, module in modules.items()
        for name, value in vars(module).items()
        if isinstance(value, Check)
    }


def __getattr__(name: str):
    if name in topics():
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"there is no topic {name!r}; there are: {', '.join(topics())}")


def __dir__() -> list[str]:
    return sorted([*__all__, *topics()])
