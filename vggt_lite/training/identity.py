"""What makes a run the run it is, written down so that a folder is never continued with something else."""

import json
from functools import partial
from typing import Any

from torch import nn

from vggt_lite.config import TrainConfig
from vggt_lite.utils.fingerprint import TRAINING_CODE, architecture, differences, fingerprint, fingerprints

MAY_CHANGE = ("checkpoint_every",)  # settings that leave the numbers of a run alone


def run_identity(model: nn.Module, data: Any, objective: Any, **further: str) -> dict[str, str]:
    """What a run is made of, beside its `TrainConfig`: one text for each thing that must stay the same.

    The package's code counts by a fingerprint of each part of `TRAINING_CODE`, code from elsewhere (a block
    or a loss of one's own) by one of its source.

    Args:
        model: Its classes, and its configuration if it has one.
        data: See `described`.
        objective: Where its code is, and its settings if it is a `functools.partial`.
        further: More of them.

    Raises:
        ValueError: there is no source of some code, so that it cannot be told from other code.
    """
    sizes = model.config.to_dict() if hasattr(getattr(model, "config", None), "to_dict") else {}
    chosen = objective.keywords if isinstance(objective, partial) else {}
    parts = {
        "model": {"class": location(model), "code": own_code(architecture(model)), **sizes},
        "data": described(data),
        "objective": {"function": location(objective), "code": own_code(objective), **chosen},
        "code": fingerprints(TRAINING_CODE),
    }
    texts = {f"{part}.{key}": as_text(v) for part, values in parts.items() for key, v in values.items()}
    return texts | further


def described(data: Any) -> dict:
    """The class of a source of batches, and its settings if it has a method `description` that says them."""
    settings = data.description() if hasattr(data, "description") else {}
    return {"class": location(data), "code": own_code(type(data)), **settings}


def own_code(thing: Any) -> str:
    """The fingerprint of code from elsewhere; what is the package's own counts by name alone."""
    return fingerprint(thing, known=TRAINING_CODE)


def location(thing: Any) -> str:
    """Where the code of a function, or of an object's class, is to be found."""
    if isinstance(thing, partial):
        thing = thing.func
    if not hasattr(thing, "__qualname__"):
        thing = type(thing)
    return f"{thing.__module__}.{thing.__qualname__}"


def as_text(value: Any) -> str:
    """The same text for equal values in every process; of an object that JSON does not know, its class."""
    return value if isinstance(value, str) else json.dumps(value, default=location, ensure_ascii=False)


def differ_from(saved: dict, config: TrainConfig, identity: dict[str, str]) -> list[str]:
    """What a checkpoint says otherwise than a run that wants to go on from it, one line each.

    A setting of `TrainConfig` younger than the checkpoint counts as its default: those who add one make its
    default mean "as before". One that is gone may have shaped the run, so it does not fit whatever its value.
    """
    then = {**TrainConfig().to_dict(), **saved["config"], **saved.get("identity", {})}
    now = {**config.to_dict(), **identity}
    return differences(*({k: v for k, v in side.items() if k not in MAY_CHANGE} for side in (then, now)))
