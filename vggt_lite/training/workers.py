"""What a training asks about other processes, and the answers of one that works alone.

`research.distributed.Workers` has the same methods for several processes. Nothing else here knows of them.
"""

import os
from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor, nn


class Alone:
    """One process, which has the whole model and every scene.

    Raises:
        RuntimeError: torchrun started several processes, so each would do everything by itself.
    """

    rank, world_size = 0, 1  # process 0 writes the files

    def __init__(self) -> None:
        if int(started := os.environ.get("WORLD_SIZE", "1")) > self.world_size:
            raise RuntimeError(
                f"torchrun started {started} processes, but each would do everything by itself and overwrite "
                "the others' files: work inside `with vggt_lite.research.distributed.init() as workers:` and "
                "give train(…, workers=workers)."
            )

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model, called in such a way that gradients are averaged over all processes."""
        return model

    def any_rank(self, flag: bool) -> bool:
        """Whether it holds in any process: they must decide alike."""
        return flag

    def gather(self, value: Any) -> list:
        """What every process gives, in order of their ranks. No process goes on before all have called it."""
        return [value]

    def take(self, things: Sequence) -> Iterator:
        """Those that this process works on: the next one goes to whoever asks first."""
        yield from things

    def full_tensor(self, x: Tensor) -> Tensor:
        """The whole of a tensor of which each process holds a part."""
        return x

    def full_state(self, state: dict, everywhere: bool = False) -> dict:
        """A state dict of whole tensors, for process 0 or for all."""
        return state

    def shard_like(self, value: Tensor, parameter: Tensor) -> Tensor:
        """The part of a whole tensor that this process holds of `parameter`, on its device."""
        return value.to(parameter.device)
