"""From photographs to a `Reconstruction`; chunked execution; the memory it takes."""

from vggt_lite.inference.pipeline import VGGT, reconstruct
from vggt_lite.inference.positions import local_metres
from vggt_lite.inference.reconstruction import Reconstruction

__all__ = ["VGGT", "Reconstruction", "local_metres", "reconstruct"]
