"""Will the training fit? Told before anything is allocated.

    print(estimate_training(VGGT_1B, 4, 392, 518, options=FineTuneOptions(adapters=8), checkpointing=True))

Besides the weights, training keeps a gradient and two moments for every number it trains, a running average
of them, and what the backward pass will ask for: the inputs of nearly every operation. The last is by far the
most. Forward and backward pass run on fake tensors, as in `inference/memory_estimate.py`, and what is alive
at once is counted: the figure follows the code, frozen parts, checkpointing and autocast included.
"""

from dataclasses import dataclass

import torch

from vggt_lite.config import ModelConfig
from vggt_lite.inference.memory_estimate import fake_model, gigabytes
from vggt_lite.research.fine_tune import FineTuneOptions, prepare
from vggt_lite.utils.live_memory import LiveMemory

FLOAT = 4  # bytes: whatever is trained, is trained in float32


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes that a training step takes; printed, it is a sentence."""

    weights: int
    gradients: int  # of what is trained
    optimizer: int  # AdamW's two moments of it
    average: int  # its running average
    activations: int  # the most that is alive of all the rest, in the forward or the backward pass

    @property
    def total(self) -> int:
        return sum(vars(self).values())

    def __str__(self) -> str:
        fixed = self.gradients + self.optimizer + self.average
        return (
            f"{gigabytes(self.total)}: weights {gigabytes(self.weights)}, gradients, optimiser and average "
            f"{gigabytes(fixed)}, activations {gigabytes(self.activations)}"
        )


def estimate_training(
    config: ModelConfig,
    views: int,
    height: int,
    width: int,
    *,
    scenes: int = 1,
    options: FineTuneOptions | None = None,
    query_points: int = 16,
    checkpointing: bool = False,
    autocast: torch.dtype | None = None,
    stored: torch.dtype = torch.float32,
) -> TrainingMemory:
    """Memory of one training step; the loss and work space of libraries are left out.

    Args:
        config: Of the network.
        views, height, width, scenes: Of what passes at once; with `accumulation` that is one part.
        options: What is frozen and what is adapted; None trains everything.
        query_points: Tracked per scene; 0 leaves the tracker out.
        checkpointing: Blocks of the aggregator are recomputed.
        autocast: torch.bfloat16 on a GPU that has it, as `train` does there.
        stored: Of the aggregator's matrices; rounded ones cannot be trained, but adapted.
    """
    model = fake_model(config, stored)
    with model.fake_mode:
        prepare(model, options or FineTuneOptions())
        model.train()
        model.gradient_checkpointing = checkpointing
        images = torch.empty(scenes, views, 3, height, width)
        points = torch.empty(scenes, query_points, 2) if query_points and model.track_head else None
        activations = live_in_training(model, images, points, autocast)
    sizes = [(p.numel(), p.element_size(), p.requires_grad) for p in model.parameters()]
    trained = sum(count for count, _, moves in sizes if moves)
    return TrainingMemory(
        weights=sum(count * size for count, size, _ in sizes), gradients=FLOAT * trained,
        optimizer=2 * FLOAT * trained, average=FLOAT * trained, activations=activations,
    )  # fmt: skip


def live_in_training(model, images, points, autocast: torch.dtype | None = None) -> int:
    """Most bytes alive in a forward and a backward pass, beside parameters and their gradients.

    Works on real tensors as well as on fake ones.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    for parameter in trained:
        parameter.grad = torch.zeros_like(parameter)  # exists beforehand, so it is not counted
    known = [*model.parameters(), *model.buffers(), *(p.grad for p in trained)]
    with LiveMemory(known) as memory:
        with torch.autocast(images.device.type, autocast, enabled=autocast is not None):
            pred = model.forward_unchecked(images, points)
        outputs = [x for x in vars(pred).values() for x in (x if isinstance(x, list) else [x])]
        outputs = [x for x in outputs if isinstance(x, torch.Tensor) and x.requires_grad]
        torch.autograd.backward(outputs, [torch.ones_like(x) for x in outputs])
    return memory.peak
