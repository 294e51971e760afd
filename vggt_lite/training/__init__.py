"""Training by one process: the loop, its schedule, clipping, averaging, state and log."""

from vggt_lite.training.loop import train

__all__ = ["train"]
