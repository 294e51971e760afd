"""From photographs to a `Reconstruction`; chunked execution; the memory it takes."""

from vggt_lite.inference.pipeline import reconstruct
from vggt_lite.inference.reconstruction import Reconstruction
from vggt_lite.inference.vggt import VGGT

__all__ = ["VGGT", "Reconstruction", "reconstruct"]
