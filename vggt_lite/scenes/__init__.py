"""Scenes: photographs, folders and procedural worlds in; images and, where it exists, exact truth out."""

from vggt_lite.scenes.batch import SceneBatch
from vggt_lite.scenes.check import check_scene
from vggt_lite.scenes.folder import read_scene, write_scene
from vggt_lite.scenes.generate import generate_scenes
from vggt_lite.scenes.images import ImageBatch, load_images
from vggt_lite.scenes.normalize import normalize_scene
from vggt_lite.scenes.pixel_map import PixelMap
from vggt_lite.scenes.readers import import_scene, open_scene
from vggt_lite.scenes.trouble import Trouble, seen_from_first, troubled_scenes

__all__ = [
    "ImageBatch",
    "PixelMap",
    "SceneBatch",
    "Trouble",
    "check_scene",
    "generate_scenes",
    "import_scene",
    "load_images",
    "normalize_scene",
    "open_scene",
    "read_scene",
    "seen_from_first",
    "troubled_scenes",
    "write_scene",
]
