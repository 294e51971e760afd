"""Random numbers for many scenes at once, each scene with its own seed."""

import torch
from torch import Tensor


class BatchRNG:
    """Hands out uniform random numbers, a block per scene at a time.

    Scene i of a batch owns a generator seeded with `seed + i` and never sees its neighbours, so it
    does not depend on how many scenes are made together. Drawing blocks and doing all
    arithmetic on the batch keeps this as fast as a single generator would be.
    """

    BLOCK = 1024  # numbers per scene

    def __init__(self, seed: int, num_scenes: int) -> None:
        self.generators = [torch.Generator().manual_seed(seed + i) for i in range(num_scenes)]
        self.block = self.per_scene(self.BLOCK)
        self.used = 0

    def uniform(self, low: float | Tensor, high: float | Tensor, *shape: int) -> Tensor:
        """(B, *shape) numbers between `low` and `high`."""
        count = torch.Size(shape).numel()
        if self.used + count > self.block.shape[1]:
            self.block = torch.cat([self.block, self.per_scene(self.BLOCK)], dim=1)
        numbers = self.block[:, self.used : self.used + count].reshape(-1, *shape)
        self.used += count
        return low + (high - low) * numbers

    def choice(self, options: int | list[int] | range, *shape: int) -> Tensor:
        """(B, *shape) entries of `options` (an int means 0 … options - 1), int64."""
        options = torch.tensor(range(options) if isinstance(options, int) else list(options))
        return options[(self.uniform(0, len(options), *shape)).long().clamp_max(len(options) - 1)]

    def permutation(self, count: int) -> Tensor:
        """(B, count) a shuffling of 0 … count - 1 per scene."""
        return self.uniform(0, 1, count).argsort(dim=1)

    def per_scene(self, *shape: int) -> Tensor:
        """(B, *shape) uniform numbers straight from the scenes' generators, after the blocks drawn so far."""
        return torch.stack([torch.rand(*shape, generator=g) for g in self.generators])
