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
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_leaves_with_path, tree_structure, tree_unflatten

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
    leaves = joined(outputs, [len(piece) for piece in pieces])
    predictions = replace(outputs[0], **tree_unflatten(leaves, tree_structure(vars(outputs[0]))))
    total, terms = objective(predictions, batch)
    finite = not workers.any_rank(not torch.isfinite(total))
    if finite:
        total.backward()
        for piece, r, state in zip(pieces, rows, random, strict=True):
            set_random_state(state)
            backward_part(tree_leaves(vars(forward(piece))), leaves, r)
        set_random_state(after)
    return total, terms, finite


def backward_part(outputs: list[Any], leaves: list[Any], rows: slice) -> None:
    """Send the gradient that the loss left at the outputs of some scenes through their graph."""
    pairs = [(x, leaf) for x, leaf in zip(outputs, leaves, strict=True) if isinstance(x, Tensor)]
    wanted = [(x, leaf.grad) for x, leaf in pairs if x.requires_grad and leaf.grad is not None]
    torch.autograd.backward([x for x, _ in wanted], [grad[rows].to(x.dtype) for x, grad in wanted])


def joined(outputs: list[Predictions], sizes: list[int]) -> list[Any]:
    """All that the parts predict, as of one batch and in the order of `tree_leaves`.

    Tensors are leaves of the graph, at which the loss leaves its gradient. The rest is the first part's.
    """
    whole = []
    for found in zip(*(tree_leaves_with_path(vars(output)) for output in outputs), strict=True):
        path, x = found[0]
        if isinstance(x, Tensor):
            if [part.shape[:1] for _, part in found] != [(size,) for size in sizes]:
                name = ".".join(str(getattr(step, "key", getattr(step, "idx", step))) for step in path)
                raise ValueError(
                    f"predictions.{name} {tuple(x.shape)} has no axis of scenes in front, so a batch cannot "
                    "pass in parts: return one entry for each scene, or set accumulation=1."
                )
            x = torch.cat([part for _, part in found])
            x.requires_grad_(x.is_floating_point())
        whole.append(x)
    return whole
