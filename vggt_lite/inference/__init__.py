"""From photographs to a `Reconstruction`; chunked execution; the memory it takes."""

from vggt_lite.inference.pipeline import VGGT, reconstruct
from vggt_lite.inference.positions import local_metres
from vggt_lite.inference.reconstruction import Reconstruction
from vggt_lite.inference.sequences import SequenceReport, reconstruct_sequence

__all__ = [
    "VGGT", "Reconstruction", "SequenceReport", "local_metres", "reconstruct", "reconstruct_sequence",
]  # fmt: skip
