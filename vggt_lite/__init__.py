"""vggt_lite: VGGT built from scratch, to be read, run, changed and retrained."""

from vggt_lite.config import NANO, TINY, VGGT_1B, ModelConfig
from vggt_lite.model import VGGT
from vggt_lite.reconstruction import Reconstruction
from vggt_lite.scenes import load_images

__version__ = "0.1.0"
__all__ = ["NANO", "TINY", "VGGT", "VGGT_1B", "ModelConfig", "Reconstruction", "load_images"]
