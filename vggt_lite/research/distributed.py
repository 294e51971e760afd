"""Several processes train one model: what each must know of the others, or do together with them.

    torchrun --nproc-per-node 8 -m vggt_lite.cli train nano

torchrun starts the same program several times. Each process makes its own scenes of every batch and computes
their loss: means and quantiles are those of its share. PyTorch averages the gradients over the processes
(DDP, or FSDP2 where the model is divided as well), as the released training code does.
"""

import inspect
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from vggt_lite.model.layers import Block
from vggt_lite.training.workers import Alone

# Buffers are constants here: no need to send them in every step. The option has another name since torch 2.13
_BUFFERS = "forward_sync_buffers"
if _BUFFERS not in inspect.signature(DistributedDataParallel).parameters:
    _BUFFERS = "broadcast_buffers"


@contextmanager
def init(shard: bool = False, timeout: timedelta | None = None) -> Iterator[Alone]:
    """Join the processes that torchrun started; enter it before the model is made.

    Args:
        shard: Divide weights, gradients, optimiser and average among the processes (FSDP2). By default each
            holds all of them (DDP), which is faster where they fit.
        timeout: How long a process may wait for the others; None takes torch's, some minutes.

    Yields:
        What `train(…, workers=…)` takes: `Workers`, or `Alone` where there is one process.

    Raises:
        ValueError: nothing to divide the model among, or fewer GPUs than processes on this machine.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        if shard:
            raise ValueError(
                "shard=True (--shard) divides a model among processes, and there is only one: start several, "
                "as in torchrun --nproc-per-node 2 -m vggt_lite.cli train nano --shard"
            )
        yield Alone()
        return
    if torch.cuda.is_available():
        here, found = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if here >= found:
            said = f"process {here + 1} of this machine has no GPU"
            raise ValueError(f"{said}, {found} found: give --nproc-per-node {found}.")
        torch.cuda.set_device(here)  # now `pick_device()` means this one
    store, rank, count = next(dist.rendezvous("env://"))
    # torchrun keeps its store when it starts everybody again; without a prefix the addresses of processes
    # that died would be found there.
    store = dist.PrefixStore(f"start {os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)
    dist.init_process_group(store=store, rank=rank, world_size=count, timeout=timeout)
    workers = Workers(shard, store)
    if workers.rank:
        os.environ["VGGT_LITE_QUIET"] = "1"  # one progress bar is enough
    yield workers
    dist.destroy_process_group()  # not after an error: the others might not come


class Workers(Alone):
    """The processes that `init` joined. All of them must call each method, in the same order."""

    def __init__(self, shard: bool, store: dist.Store) -> None:
        self.rank, self.world_size, self.shard = dist.get_rank(), dist.get_world_size(), shard
        self.store, self.rounds = store, 0  # what all can write to, and how often `take` was called

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model, called in such a way that gradients are averaged over all processes.

        DDP keeps it whole everywhere. FSDP2 leaves each process a part of every parameter (a `DTensor`) and
        puts them together block by block while they are needed.
        """
        if not self.shard:
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

    def any_rank(self, flag: bool) -> bool:
        found = torch.tensor(int(flag))
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return bool(found)

    def gather(self, value: Any) -> list:
        values = [None] * self.world_size
        dist.all_gather_object(values, value)
        return values

    def take(self, things: Sequence) -> Iterator:
        self.rounds += 1
        while (turn := self.store.add(f"taken in round {self.rounds}", 1) - 1) < len(things):
            yield things[turn]

    def full_tensor(self, x: Tensor) -> Tensor:
        return x.full_tensor() if is_sharded(x) else x

    def full_state(self, state: Any, everywhere: bool = False) -> Any:
        """A state dict of whole tensors.

        Args:
            state: Nested dictionaries; what is put together moves to the CPU.
            everywhere: False gives None for these tensors in all processes but the first.
        """
        if isinstance(state, dict):
            return {key: self.full_state(value, everywhere) for key, value in state.items()}
        if not is_sharded(state):
            return state
        together = self.full_tensor(state)
        return together.cpu() if everywhere or self.rank == 0 else None

    def shard_like(self, value: Tensor, parameter: Tensor) -> Tensor:
        """The part of a whole tensor that this process holds of `parameter`, on its device; all of it where
        the parameter is whole, or where the value is no such tensor (a counter, say)."""
        value = value.to(parameter.device)
        if not is_sharded(parameter) or value.shape != parameter.shape:
            return value
        from torch.distributed.tensor import distribute_tensor  # two seconds to import

        return distribute_tensor(value, parameter.device_mesh, parameter.placements)


def is_sharded(x: Any) -> bool:
    """Whether x is a tensor of which each process holds a part."""
    return hasattr(x, "full_tensor")
