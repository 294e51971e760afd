"""Forward and backward of one batch, whole or in parts.

Summing the losses of parts would not give the batch's loss: its terms are means over the valid pixels,
the visible tracks and the quantiles of the *whole* batch. So the parts pass through the network first
without a graph; the loss of all outputs together says what it wants from each output; then each part
passes again, with a graph, and takes its share back. The memory is that of one part, the gradient is
the batch's own up to rounding, and the price is one more forward pass.

Any network will do that treats scenes independently (no batch normalisation). Random numbers are drawn
again as in the first pass, so dropout drops the same.
"""

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from vggt_lite.losses.scene_batch import SceneBatch
from vggt_lite.model.predictions import Predictions
from vggt_lite.training.checkpoint import random_state, set_random_state
from vggt_lite.training.workers import Alone

Forward = Callable[[SceneBatch], Predictions]
Objective = Callable[[Predictions, SceneBatch], tuple[Tensor, dict[str, Tensor]]]


def loss_and_gradients(
    forward: Forward, objective: Objective, batch: SceneBatch, parts: int, workers: Alone | None = None
) -> tuple[Tensor, dict[str, Tensor], bool]:
    """Add the gradient of the batch's loss to the parameters, unless the loss is not finite.

    Args:
        forward: Batch of scenes → predictions.
        objective: Predictions and truth → the loss, and its terms by name.
        batch: B scenes.
        parts: Into how many parts to split them; with fewer scenes than parts, each goes alone.
        workers: Other processes that do the same with as many scenes of their own.

    Returns:
        The loss, its terms, and whether it is finite in all processes; if not, no gradient was left anywhere.

    Raises:
        ValueError: a tensor of the predictions does not have one entry for each scene, so it cannot be split.
    """
    workers = workers or Alone()
    parts = min(parts, len(batch))
    if parts == 1:
        total, terms = objective(forward(batch), batch)
        finite = not workers.any_rank(not torch.isfinite(total))
        if finite:
            total.backward()
        return total, terms, finite

    rows = [slice(int(r[0]), int(r[-1]) + 1) for r in torch.arange(len(batch)).tensor_split(parts)]
    pieces = [batch.apply(lambda x, r=r: x[r]) for r in rows]
    outputs, random = [], []
    with torch.no_grad():
        for piece in pieces:
            random.append(random_state())
            outputs.append(forward(piece))
    after = random_state()
    predictions = with_tensors(outputs[0], joined(outputs, [len(piece) for piece in pieces]))
    leaves = tensors_of(predictions)
    total, terms = objective(predictions, batch)
    finite = not workers.any_rank(not torch.isfinite(total))
    if finite:
        total.backward()
        for piece, r, state in zip(pieces, rows, random, strict=True):
            set_random_state(state)
            backward_part(tensors_of(forward(piece)), leaves, r)
        set_random_state(after)
    return total, terms, finite


def backward_part(outputs: dict[str, Tensor], leaves: dict[str, Tensor], rows: slice) -> None:
    """Send the gradient that the loss left at the outputs of some scenes through their graph."""
    wanted = [name for name, x in outputs.items() if x.requires_grad and leaves[name].grad is not None]
    gradients = [leaves[name].grad[rows].to(outputs[name].dtype) for name in wanted]
    torch.autograd.backward([outputs[name] for name in wanted], gradients)


def joined(outputs: list[Predictions], sizes: list[int]) -> dict[str, Tensor]:
    """The tensors of all parts as those of one batch: leaves, at which the loss leaves its gradient."""
    found = [tensors_of(output) for output in outputs]
    for name in found[0]:
        if [x[name].shape[:1] for x in found] != [(size,) for size in sizes]:
            raise ValueError(
                f"predictions{name} {tuple(found[0][name].shape)} has no axis of scenes in front, so a batch "
                "cannot pass in parts: return one entry for each scene, or set accumulation=1."
            )
    whole = {name: torch.cat([x[name] for x in found]) for name in found[0]}
    return {name: x.requires_grad_(x.is_floating_point()) for name, x in whole.items()}


def tensors_of(value: Any, name: str = "") -> dict[str, Tensor]:
    """Every tensor in nested dataclasses, dictionaries and lists, by where it stands: ".extras.normals"."""
    if isinstance(value, Tensor):
        return {name: value}
    return {k: x for key, child in children(value) for k, x in tensors_of(child, f"{name}.{key}").items()}


def with_tensors(value: Any, tensors: dict[str, Tensor], name: str = "") -> Any:
    """The same nested value with other tensors, named as `tensors_of` names them."""
    if isinstance(value, Tensor):
        return tensors[name]
    changed = {key: with_tensors(child, tensors, f"{name}.{key}") for key, child in children(value)}
    if is_dataclass(value):
        return replace(value, **changed)
    if isinstance(value, dict):
        return changed
    return type(value)(changed.values()) if isinstance(value, list | tuple) else value


def children(value: Any) -> list[tuple[Any, Any]]:
    """The parts of a nested value with their names; none of what is not nested."""
    if is_dataclass(value):
        return [(field.name, getattr(value, field.name)) for field in fields(value)]
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list | tuple) else []
