"""What makes a run the run it is, written down so that a folder is never continued with something else."""

import json
from functools import partial
from typing import Any

from torch import nn

from vggt_lite.config import TrainConfig
from vggt_lite.utils.fingerprint import TRAINING_CODE, architecture, fingerprint, fingerprints

MAY_CHANGE = ("checkpoint_every",)  # settings that leave the numbers of a run alone


def run_identity(model: nn.Module, data: Any, objective: Any, **further: str) -> dict[str, str]:
    """What a run is made of, beside its `TrainConfig`: one text for each thing that must stay the same.

    Args:
        model: Its class, and its configuration if it has one.
        data: See `described`.
        objective: Where its code is, and its settings if it is a `functools.partial`.
        further: More of them.

    Returns:
        Texts by name; those that begin with "code." are fingerprints of the package's rooms that training
        computes with, and of what was handed in: the classes of the model's modules, data, objective.
    """
    sizes = model.config.to_dict() if hasattr(getattr(model, "config", None), "to_dict") else {}
    chosen = objective.keywords if isinstance(objective, partial) else {}
    source = None if hasattr(data, "description") else type(data)  # what describes itself is compared by that
    parts = {
        "model": {"class": location(model), **sizes},
        "data": described(data),
        "objective": {"function": location(objective), **chosen},
        "code": fingerprints(TRAINING_CODE)
        | {"handed in": fingerprint(architecture(model), source, objective, known=TRAINING_CODE)},
    }
    texts = {f"{part}.{key}": as_text(v) for part, values in parts.items() for key, v in values.items()}
    return texts | further


def described(data: Any) -> dict:
    """The class of a source of batches, and its settings if it has a method `description` that says them."""
    return {"class": location(data), **(data.description() if hasattr(data, "description") else {})}


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


def differences(saved: dict, config: TrainConfig, identity: dict[str, str]) -> list[str]:
    """What a checkpoint says otherwise than a run that wants to go on from it, one line each.

    A setting of `TrainConfig` younger than the checkpoint counts as its default: those who add one make its
    default mean "as before". One that is gone may have shaped the run, so it does not fit whatever its value.
    """
    then = {**TrainConfig().to_dict(), **saved["config"], **saved.get("identity", {})}
    now = {**config.to_dict(), **identity}
    differ = [k for k in {**then, **now} if k not in MAY_CHANGE and (k not in now or then.get(k) != now[k])]
    return [f"{k} was {then.get(k, 'none')}, now {now.get(k, 'none')}" for k in differ]
