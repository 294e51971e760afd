"""Will the training fit? Told before anything is allocated.

    print(estimate_training(VGGT_1B, 4, 392, 518, options=FineTuneOptions(adapters=8), checkpointing=True))

Besides the weights, training keeps a gradient and two moments for every number it trains, a running average
of them, and what the backward pass will ask for: the inputs of nearly every operation. The last is by far
the most, and no formula is written down for it here: the network runs on torch's fake tensors, which have
shapes and no memory, and autograd says of each tensor whether it would keep it. So the figure follows the
code, frozen parts, checkpointing and autocast included.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from vggt_lite.config import ModelConfig
from vggt_lite.inference.memory_estimate import gigabytes
from vggt_lite.model import VGGT
from vggt_lite.pretrained.loading import cast_linear_weights
from vggt_lite.pretrained.weight_files import skip_init
from vggt_lite.research.fine_tune import FineTuneOptions, prepare

FLOAT = 4  # bytes: whatever is trained, is trained in float32


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes that a training step takes; printed, it is a sentence."""

    weights: int
    gradients: int  # of what is trained
    optimizer: int  # AdamW's two moments of it
    average: int  # its running average
    activations: int  # what autograd keeps until the backward pass
    recomputed: int  # of one block, while it is recomputed; 0 without checkpointing

    @property
    def total(self) -> int:
        return sum(vars(self).values())

    def __str__(self) -> str:
        fixed = self.gradients + self.optimizer + self.average
        return (
            f"{gigabytes(self.total)}: weights {gigabytes(self.weights)}, gradients, optimiser and average "
            f"{gigabytes(fixed)}, activations {gigabytes(self.activations + self.recomputed)}"
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
    """Memory of one training step; gradients of activations, the loss and work space of libraries left out.

    Args:
        config: Of the network.
        views, height, width, scenes: Of what passes at once; with `accumulation` that is one part.
        options: What is frozen and what is adapted; None trains everything.
        query_points: Tracked per scene; 0 leaves the tracker out.
        checkpointing: Blocks of the aggregator are recomputed.
        autocast: torch.bfloat16 on a GPU that has it, as `train` does there.
        stored: Of the aggregator's matrices; rounded ones cannot be trained, but adapted.
    """
    options = options or FineTuneOptions()
    with torch.device("meta"), skip_init():
        model = VGGT(config)
        cast_linear_weights(model, stored)
    with FakeTensorMode():
        fill_weights(model)
        prepare(model, options)
        model.train()
        model.gradient_checkpointing = checkpointing
        images = torch.empty(scenes, views, 3, height, width)
        points = torch.empty(scenes, query_points, 2) if query_points and model.track_head else None
        with torch.autocast("cpu", autocast, enabled=autocast is not None):
            activations = kept_for_backward(model, lambda: model.forward_unchecked(images, points))
            again = 0
            if checkpointing:
                block = model.aggregator.global_blocks[-1]
                tokens = 1 + config.num_registers + (height * width) // config.patch_size**2
                x = torch.empty(scenes, views * tokens, config.dim, requires_grad=True)
                again = kept_for_backward(model, lambda: block(x))
    sizes = [(p.numel(), p.element_size(), p.requires_grad) for p in model.parameters()]
    trained = sum(count for count, _, moves in sizes if moves)
    return TrainingMemory(
        weights=sum(count * size for count, size, _ in sizes), gradients=FLOAT * trained,
        optimizer=2 * FLOAT * trained, average=FLOAT * trained, activations=activations, recomputed=again,
    )  # fmt: skip


def kept_for_backward(model: nn.Module, forward) -> int:
    """Bytes that autograd keeps while `forward()` runs, the model's own parameters left out.

    Tensors that share memory count once. Works on real tensors as well.
    """
    own = {p.untyped_storage()._cdata for p in model.parameters()}
    storages = {}

    def keep(x: Tensor) -> Tensor:
        storage = x.untyped_storage()
        storages[storage._cdata] = storage  # held, so that no other can take its place
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        outputs = forward()
    kept = sum(storage.nbytes() for place, storage in storages.items() if place not in own)
    del outputs
    return kept


def fill_weights(model: nn.Module) -> None:
    """Give a model without memory fake memory on the CPU, in place."""
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                module._parameters[name] = nn.Parameter(torch.empty(parameter.shape, dtype=parameter.dtype))
    model.aggregator.register_constants()
