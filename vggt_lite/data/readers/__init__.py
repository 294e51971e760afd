"""Scenes in the formats of others: COLMAP, nerfstudio, CO3Dv2, Virtual KITTI 2.

Each reader returns `Views`: cameras in our convention, pictures and depth still on disk. `import_scene`
brings them to one size and writes a scene folder, which is all that training knows.
"""

from vggt_lite.data.readers.co3d import read_co3d
from vggt_lite.data.readers.colmap import read_colmap
from vggt_lite.data.readers.formats import find_scenes, is_known, open_scene
from vggt_lite.data.readers.importing import (
    MAX_CHECKED,
    check_views,
    import_scene,
    readings_of_views,
    to_batch,
)
from vggt_lite.data.readers.nerfstudio import read_nerfstudio
from vggt_lite.data.readers.scene_folder import is_scene_folder, read_scene_folder
from vggt_lite.data.readers.views import SparsePoints, View, Views
from vggt_lite.data.readers.vkitti2 import read_vkitti2

__all__ = [
    "MAX_CHECKED",
    "SparsePoints",
    "View",
    "Views",
    "check_views",
    "find_scenes",
    "import_scene",
    "is_known",
    "is_scene_folder",
    "open_scene",
    "read_co3d",
    "read_colmap",
    "read_nerfstudio",
    "read_scene_folder",
    "read_vkitti2",
    "readings_of_views",
    "to_batch",
]
