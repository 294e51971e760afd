"""Results in files that other programs open."""

from vggt_lite.export.ply import read_ply, write_ply

__all__ = ["read_ply", "write_ply"]
