"""What a user holds: cameras, depth, points and tracks in original pixels; show, save, load."""

from vggt_lite.reconstruction.run import reconstruct
from vggt_lite.reconstruction.scene import Reconstruction

__all__ = ["Reconstruction", "reconstruct"]
