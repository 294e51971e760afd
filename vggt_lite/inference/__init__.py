"""From photographs to a `Reconstruction`; chunked execution; will it fit in memory?"""

from vggt_lite.inference.pipeline import reconstruct
from vggt_lite.inference.reconstruction import Reconstruction

__all__ = [
    "Reconstruction",
    "reconstruct",
]
