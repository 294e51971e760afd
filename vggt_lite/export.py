"""Point clouds in files that other programs open (MeshLab, CloudCompare, Blender)."""

from pathlib import Path

import numpy as np

from vggt_lite.utils.files import atomic_write

PROPERTIES = {"x": "<f4", "y": "<f4", "z": "<f4", "red": "u1", "green": "u1", "blue": "u1"}
PLY_NAMES = {"<f4": "float", "u1": "uchar"}


def write_ply(path: str | Path, points, colors=None) -> None:
    """Write a coloured point cloud as binary little-endian PLY, whole or not at all.

    Args:
        path: the file; an existing one is replaced.
        points: (M, 3) world points, tensor or array; M may be 0.
        colors: (M, 3) uint8; white where None.

    Raises:
        ValueError: the shapes do not fit, or a point is not finite.
    """
    points = np.asarray(points, dtype="<f4")
    colors = np.full(points.shape, 255, np.uint8) if colors is None else np.asarray(colors)
    if points.ndim != 2 or points.shape[1] != 3 or colors.shape != points.shape:
        raise ValueError(f"points {points.shape} and colors {colors.shape} must both be (M, 3).")
    if colors.dtype != np.uint8:
        raise ValueError(
            f"colors have dtype {colors.dtype}: give uint8, for example (255 * rgb).round().byte()."
        )
    if not np.isfinite(points).all():
        raise ValueError("some points are NaN or infinite: keep points[np.isfinite(points).all(1)].")
    vertices = np.empty(len(points), dtype=list(PROPERTIES.items()))
    for axis, name in enumerate("xyz"):
        vertices[name] = points[:, axis]
    for channel, name in enumerate(("red", "green", "blue")):
        vertices[name] = colors[:, channel]
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        file.write(_header(len(points)))
        file.write(vertices.tobytes())


def _header(count: int) -> bytes:
    lines = ["ply", "format binary_little_endian 1.0", "comment vggt_lite, axes: x right, y down, z forward"]
    lines += [f"element vertex {count}"]
    lines += [f"property {PLY_NAMES[kind]} {name}" for name, kind in PROPERTIES.items()]
    return ("\n".join([*lines, "end_header"]) + "\n").encode("ascii")
