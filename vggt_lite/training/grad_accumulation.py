"""Forward and backward of one batch, whole or in parts.

Summing the losses of parts would not give the batch's loss: its terms are means over the valid pixels,
the visible tracks and the quantiles of the *whole* batch. So the parts pass through the network first
without a graph; the loss of all outputs together says what it wants from each output; then each part
passes again, with a graph, and takes its share back. The memory is that of one part, the gradient is
the batch's own up to rounding, and the price is one more forward pass.

With several processes each of them does this with its share; only the loss looks at all shares.
"""

from collections.abc import Callable
from dataclasses import fields

import torch
from torch import Tensor

from vggt_lite.losses.scene_batch import SceneBatch
from vggt_lite.model.predictions import Predictions
from vggt_lite.research.distributed import min_over_ranks

Forward = Callable[[SceneBatch], Predictions]
Objective = Callable[[Predictions, SceneBatch], tuple[Tensor, dict[str, Tensor]]]


def loss_and_gradients(
    forward: Forward, objective: Objective, batch: SceneBatch, parts: int
) -> tuple[Tensor, dict[str, Tensor]]:
    """Add the gradient of the batch's loss to the parameters, unless the loss is not finite.

    Args:
        forward: Batch of scenes → predictions.
        objective: Predictions and truth → the loss, and its terms by name.
        batch: B scenes.
        parts: Into how many parts to split them; with fewer scenes than parts, each goes alone. It must be
            the same number in all processes, for they wait for each other in every pass.

    Returns:
        The loss and its terms. A loss that is not finite has left no gradient anywhere.
    """
    if parts > 1:
        parts = min(parts, min_over_ranks(len(batch)))
    if parts == 1:
        total, terms = objective(forward(batch), batch)
        if torch.isfinite(total):
            total.backward()
        return total, terms

    numbers = torch.arange(len(batch)).tensor_split(parts)
    scenes = [slice(int(some[0]), int(some[-1]) + 1) for some in numbers]
    pieces = [batch.apply(lambda x, rows=rows: x[rows]) for rows in scenes]
    with torch.no_grad():
        outputs = [tensors(forward(piece)) for piece in pieces]
    leaves = {name: torch.cat([o[name] for o in outputs]) for name in outputs[0]}
    leaves = {name: x.requires_grad_(x.is_floating_point()) for name, x in leaves.items()}
    total, terms = objective(from_tensors(leaves), batch)
    if torch.isfinite(total):
        total.backward()
        for piece, rows in zip(pieces, scenes, strict=True):
            backward_part(tensors(forward(piece)), leaves, rows)
    return total, terms


def backward_part(outputs: dict[str, Tensor], leaves: dict[str, Tensor], scenes: slice) -> None:
    """Send the gradient that the loss left at the outputs of some scenes through their graph."""
    wanted = [name for name, x in outputs.items() if x.requires_grad and leaves[name].grad is not None]
    gradients = [leaves[name].grad[scenes].to(outputs[name].dtype) for name in wanted]
    torch.autograd.backward([outputs[name] for name in wanted], gradients)


def tensors(predictions: Predictions) -> dict[str, Tensor]:
    """All tensors of the predictions by name; item i of a list is called name.i."""
    found = {}
    for field in fields(Predictions):
        value = getattr(predictions, field.name)
        if isinstance(value, list):
            found |= {f"{field.name}.{i}": x for i, x in enumerate(value)}
        elif value is not None:
            found[field.name] = value
    return found


def from_tensors(named: dict[str, Tensor]) -> Predictions:
    """The inverse of `tensors`."""
    values: dict = {}
    for name, x in named.items():
        field, _, index = name.partition(".")
        if index:
            values.setdefault(field, []).append(x)
        else:
            values[field] = x
    return Predictions(**values)
