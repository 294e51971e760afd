"""Generated scenes with exact ground truth: shapes, textures, layouts, cameras, rendering."""

from vggt_lite.synthetic.between_views import overlap_with_first
from vggt_lite.synthetic.corruptions import Corruptions, corrupted_scenes
from vggt_lite.synthetic.generate import generate_scenes

__all__ = ["Corruptions", "corrupted_scenes", "generate_scenes", "overlap_with_first"]
