"""One training, many processes: the few things a process must know, or do together with the others.

    torchrun --nproc-per-node 8 -m vggt_lite.cli train nano

torchrun starts the same program several times. Each process takes its share of the scenes of every batch;
sums over a batch are taken over all of them, and the gradients are added up by PyTorch (DDP, or FSDP2 where
the model is divided as well). So N processes lower the very loss that one would. Alone, a process goes the
same way, and nothing here does anything.
"""

import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from vggt_lite.losses.scene_batch import SceneBatch
from vggt_lite.model.layers import Block

# Buffers are constants here: no need to send them in every step. The option has another name since torch 2.13
_BUFFERS = "forward_sync_buffers"
if _BUFFERS not in inspect.signature(DistributedDataParallel).parameters:
    _BUFFERS = "broadcast_buffers"

_divide_model = False  # this job trains with FSDP2 instead of DDP
_sums_are_shared = False  # `batch_sum` asks the others; only inside `whole_batch`


@contextmanager
def init(shard: bool = False) -> Iterator[None]:
    """Join the processes that torchrun started; enter it before the model is made. Alone: nothing.

    Args:
        shard: Divide weights, gradients, optimiser and average among the processes (FSDP2). By default each
            holds all of them (DDP), which is faster where they fit.

    Raises:
        ValueError: nothing to divide the model among, or fewer GPUs than processes on this machine.
    """
    global _divide_model
    if _started() == 1:
        if shard:
            raise ValueError(
                "shard=True (--shard) divides a model among processes, and there is only one: start several, "
                "as in torchrun --nproc-per-node 2 -m vggt_lite.cli train nano --shard"
            )
        yield
        return
    if torch.cuda.is_available():
        here, found = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if here >= found:
            raise ValueError(
                f"process {here + 1} of this machine has no GPU, {found} found: give --nproc-per-node "
                f"{found}."
            )
        torch.cuda.set_device(here)  # now `pick_device()` means this one
    dist.init_process_group()
    _divide_model = shard
    if rank():
        os.environ["VGGT_LITE_QUIET"] = "1"  # one progress bar is enough
    yield
    dist.destroy_process_group()  # not after an error: the others might not come


def _started() -> int:
    """How many processes torchrun says it started; 1 if there was no torchrun."""
    return int(os.environ.get("WORLD_SIZE", 1))


def world_size() -> int:
    """How many processes train together.

    Raises:
        RuntimeError: there are several, but this one has not joined them.
    """
    if dist.is_initialized():
        return dist.get_world_size()
    if _started() > 1:
        raise RuntimeError(
            f"torchrun started {_started()} processes, but each would train alone and overwrite the others' "
            "files: make the model and train inside `with vggt_lite.research.distributed.init():`"
        )
    return 1


def rank() -> int:
    """Which of them this is, from 0. Process 0 writes the files and speaks."""
    return dist.get_rank() if world_size() > 1 else 0


# --- scenes ---------------------------------------------------------------------------------------


def check_scenes(scenes: int, what: str) -> None:
    """Every process needs a scene.

    Raises:
        ValueError: there are fewer.
    """
    if scenes < world_size():
        raise ValueError(
            f"{what} has {scenes} scenes, fewer than the {world_size()} processes: start at most {scenes}, "
            "or raise max_images."
        )


def shard_batch(batch: SceneBatch) -> SceneBatch:
    """The scenes of a batch that this process works on; shares differ by one scene at most."""
    check_scenes(len(batch), "this batch")
    first, last = (len(batch) * i // world_size() for i in (rank(), rank() + 1))
    return batch if world_size() == 1 else batch.apply(lambda x: x[first:last])


# --- numbers that all must know -------------------------------------------------------------------


@contextmanager
def whole_batch() -> Iterator[None]:
    """Inside, `batch_sum` counts the scenes of all processes. All of them must enter it.

    Not always so: a loss that one process computes for itself must not wait for the others.
    """
    global _sums_are_shared
    _sums_are_shared = world_size() > 1
    try:
        yield
    finally:
        _sums_are_shared = False


def batch_sum(x: Tensor) -> Tensor:
    """Sum () of x over the batch: of all processes' scenes within `whole_batch`, else of those at hand."""
    return _SumOfAll.apply(x.sum()) if _sums_are_shared else x.sum()


class _SumOfAll(torch.autograd.Function):
    """Sum over processes. Each of them holds the same loss after it, and DDP and FSDP2 take the mean of N
    gradients: a factor N on the way back makes it their sum."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return gradient * world_size()


def min_over_ranks(number: int) -> int:
    """The smallest of the numbers that the processes give."""
    return number if world_size() == 1 else min(gather(number))


def any_rank(condition: bool) -> bool:
    """Whether it holds in any process: they must decide alike."""
    return any(gather(condition))


def gather(value: Any) -> list:
    """What every process gives, in their order."""
    if world_size() == 1:
        return [value]
    values = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


# --- the model ------------------------------------------------------------------------------------


def wrap(model: nn.Module) -> nn.Module:
    """The model, called in such a way that gradients are the mean over processes.

    DDP keeps it whole everywhere. FSDP2 leaves each process a part of every parameter (a `DTensor`) and puts
    them together block by block while they are needed.
    """
    if world_size() == 1:
        return model
    if not _divide_model:
        # A head without a loss in this batch, a tracker without tracks say, is left out of the step
        return DistributedDataParallel(model, find_unused_parameters=True, **{_BUFFERS: False})
    from torch.distributed.fsdp import FSDPModule, fully_shard  # two seconds to import

    if not isinstance(model, FSDPModule):
        for tensor in (*model.parameters(), *model.buffers()):
            dist.broadcast(tensor.detach(), src=0)
        blocks = [module for module in model.modules() if isinstance(module, Block)]
        for module in (*blocks, model):
            # The outermost too: weights that stayed whole would miss what changes them between steps
            fully_shard(module, reshard_after_forward=True)
    return model


def full_tensor(x: Tensor) -> Tensor:
    """A tensor whose parts lie with all processes, put together. All must call it."""
    return x.full_tensor() if is_sharded(x) else x


def full_state(state: Any, everywhere: bool = False) -> Any:
    """A state dict of whole tensors. All processes must call it.

    Args:
        state: Nested dictionaries; what is put together moves to the CPU.
        everywhere: False gives None for these tensors in all processes but the first.
    """
    if isinstance(state, dict):
        return {key: full_state(value, everywhere) for key, value in state.items()}
    if not is_sharded(state):
        return state
    together = full_tensor(state)
    return together.cpu() if everywhere or rank() == 0 else None


def shard_like(value: Tensor, parameter: Tensor) -> Tensor:
    """The part of a whole tensor that this process holds of a parameter; all of it where the parameter is
    whole, or where it is no such tensor (a counter, say)."""
    value = value.to(parameter.device)
    if not is_sharded(parameter) or value.shape != parameter.shape:
        return value
    from torch.distributed.tensor import distribute_tensor  # two seconds to import

    return distribute_tensor(value, parameter.device_mesh, parameter.placements)


def is_sharded(x: Any) -> bool:
    """Whether x is a tensor of which each process holds a part."""
    return hasattr(x, "full_tensor")
