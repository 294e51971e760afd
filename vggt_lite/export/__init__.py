"""Results in files that other programs open."""

from vggt_lite.export.colmap import write_colmap
from vggt_lite.export.glb import write_glb
from vggt_lite.export.nerfstudio import write_nerfstudio
from vggt_lite.export.ply import read_ply, write_ply
from vggt_lite.export.tum import write_tum

__all__ = ["read_ply", "write_colmap", "write_glb", "write_nerfstudio", "write_ply", "write_tum"]
