"""Photographs, scene folders and foreign formats in; batches out."""

from vggt_lite.data.images import ImageBatch, load_images
from vggt_lite.data.lens import exif_intrinsics
from vggt_lite.data.normalize import normalize_scene
from vggt_lite.data.pixel_map import PixelMap
from vggt_lite.data.readers import import_scene, open_scene
from vggt_lite.data.scene_check import check_scene
from vggt_lite.data.scene_io import read_scene, write_scene
from vggt_lite.data.video import video_frames

__all__ = [
    "ImageBatch", "PixelMap", "check_scene", "exif_intrinsics", "import_scene", "load_images",
    "normalize_scene", "open_scene", "read_scene", "video_frames", "write_scene",
]  # fmt: skip
