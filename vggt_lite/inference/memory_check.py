"""Will these photographs fit into memory? Said before, and when they did not."""

from dataclasses import dataclass

import torch

from vggt_lite.inference.memory_estimate import estimate_memory, gigabytes, views_that_fit
from vggt_lite.utils.runtime import available_memory

# How allocators say it where they raise a plain RuntimeError: torch on the CPU and MPS, oneDNN, cuBLAS.
COMPLAINTS = ("allocate memory", "could not allocate", "out of memory", "not enough memory", "alloc_failed")

# A bound that no measured forward pass came near (benchmarks/memory.py): bytes of work, for every byte of the
# pictures, and for every point in every view.
FIXED, PER_BYTE, PER_SIGHTING = 200_000_000, 100, 40_000


def ran_out_of_memory(error: BaseException) -> bool:
    """Is this error an allocation that failed?"""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in COMPLAINTS)


@dataclass(frozen=True)
class MemoryCheck:
    """What a scene needs, what there is, and how many views that would be enough for.

    Attributes:
        views, height, width: of the scene, pixels of the network's input.
        needed, available: bytes on the device; weights count where they have yet to be brought there.
        most: views that fit.
    """

    views: int
    height: int
    width: int
    device: torch.device
    needed: int
    available: int
    most: int

    @classmethod
    def of(
        cls, model, images, device: torch.device, dtype: torch.dtype, query_points: int, exact: bool = False
    ) -> "MemoryCheck":
        """Set what `model` needs for images (S, 3, H, W) against what is available now.

        The estimate takes seconds, so a generous bound stands in for it where that fits, unless `exact`.
        """
        views, _, height, width = images.shape
        elsewhere = (p for p in model.parameters() if p.device.type != device.type)
        weights = sum(p.numel() * p.element_size() for p in elsewhere)
        available = available_memory(device)
        bound = FIXED + PER_BYTE * images.nbytes + PER_SIGHTING * views * query_points
        if bound + weights <= available and not exact:
            return cls(views, height, width, device, bound + weights, available, views)
        options = {"dtype": dtype, "query_points": query_points, "device": device}
        working = estimate_memory(model.config, views, height, width, **options).working
        most = views_that_fit(model.config, height, width, available - weights, **options)
        return cls(views, height, width, device, working + weights, available, most)

    @property
    def ok(self) -> bool:
        return self.needed <= self.available

    def advice(self) -> str:
        """Two or three sentences: what is needed, what there is, what would do."""
        text = (
            f"{self.views} view{'s' * (self.views != 1)} of {self.width}×{self.height} pixels need about "
            f"{gigabytes(self.needed)} of memory beside what is loaded, and {gigabytes(self.available)} are "
            f"free on {self.device}."
        )
        if self.most >= self.views:
            return f"{text} That should do, by estimate: something else must have taken it meanwhile."
        if self.most:
            return f"{text} {self.most} would fit: give fewer photographs, or a smaller size=."
        return f"{text} Not even one would fit: give a smaller size=, or close other programs."
