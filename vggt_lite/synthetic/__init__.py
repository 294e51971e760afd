"""Generated scenes with exact ground truth: shapes, textures, layouts, cameras, rendering."""

from vggt_lite.synthetic.corruptions import Corruptions, corrupted_scenes, seen_from_first
from vggt_lite.synthetic.generate import generate_scenes

__all__ = [
    "Corruptions",
    "generate_scenes",
    "seen_from_first",
    "corrupted_scenes",
]
