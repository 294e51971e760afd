"""Point clouds as PLY files, which MeshLab, CloudCompare, Blender and scanners write and open."""

import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vggt_lite.utils.files import atomic_write

TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4",
    "double": "f8", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4",
    "uint32": "u4", "float32": "f4", "float64": "f8",
}  # fmt: skip
ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": ""}
LONGEST_HEADER = 1 << 16  # bytes
LARGEST = 1 << 30  # bytes of points


def write_ply(path: str | Path, points, colors=None, confidence=None, normals=None) -> None:
    """Write a coloured point cloud as binary little-endian PLY, whole or not at all.

    Args:
        path: the file; an existing one is replaced.
        points: (M, 3) world points, tensor or array; M may be 0.
        colors: (M, 3) uint8; white where None.
        confidence: (M,), written as `confidence`; left out where None.
        normals: (M, 3), written as `nx`, `ny`, `nz`; left out where None.

    Raises:
        ValueError: the shapes do not fit, or a number is not finite.
    """
    points = np.asarray(points, dtype="<f4")
    colors = np.full(points.shape, 255, np.uint8) if colors is None else np.asarray(colors)
    if points.ndim != 2 or points.shape[1] != 3 or colors.shape != points.shape:
        raise ValueError(f"points {points.shape} and colors {colors.shape} must both be (M, 3).")
    if colors.dtype != np.uint8:
        raise ValueError(f"colors have dtype {colors.dtype}: give uint8, such as (255 * rgb).round().byte().")
    if not np.isfinite(points).all():
        raise ValueError("some points are NaN or infinite: keep points[np.isfinite(points).all(1)].")
    columns = dict(zip("xyz", points.T, strict=True))
    if normals is not None:
        columns |= zip(("nx", "ny", "nz"), _finite("normals", normals, points.shape).T, strict=True)
    if confidence is not None:
        columns["confidence"] = _finite("confidence", confidence, points.shape[:1])
    columns |= zip(("red", "green", "blue"), colors.T, strict=True)
    vertices = np.empty(len(points), [(name, values.dtype) for name, values in columns.items()])
    header = ["ply", "format binary_little_endian 1.0", "comment vggt_lite"]
    header += [f"element vertex {len(points)}"]
    for name, values in columns.items():
        vertices[name] = values
        header += [f"property {'uchar' if values.dtype == np.uint8 else 'float'} {name}"]
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        file.write("\n".join([*header, "end_header\n"]).encode("ascii"))
        file.write(vertices.tobytes())


def _finite(name: str, values, shape: tuple[int, ...]) -> np.ndarray:
    values = np.asarray(values, dtype="<f4")
    if values.shape != shape or not np.isfinite(values).all():
        raise ValueError(f"{name} {values.shape} must be {shape} finite numbers, a row for each point.")
    return values


def read_ply(path: str | Path) -> Tensor:
    """The points of a PLY file, text or binary: x, y, z of the element "vertex", which must come first.

    Returns:
        (N, 3) float32.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no PLY file of this kind, ends too early, is larger than `LARGEST`, or a point is
            not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: copy it, too.")
    try:
        with path.open("rb") as file:
            content = file.read(LONGEST_HEADER)
        end = content.index(b"end_header")
        start = content.index(b"\n", end) + 1
        order, count, columns = _header(content[:end].decode("ascii").splitlines())
        kind = np.dtype([(name, order + TYPES[type_]) for name, type_ in columns])
        rest = path.stat().st_size - start
        there_is = min(count, rest // kind.itemsize) if order else 0  # points; the header may say anything
        if (there_is * kind.itemsize if order else rest) > LARGEST:
            raise ValueError(f"it holds more than {LARGEST:,} bytes of points")
        if order:
            values = np.fromfile(path, kind, there_is, offset=start)
            points = np.stack([values[axis] for axis in "xyz"], axis=-1).astype(np.float32)
        else:
            with path.open("rb") as file, warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # no points: said below
                file.seek(start)
                which = [kind.names.index(axis) for axis in "xyz"]
                most = min(count, rest // (2 * len(kind)) + 1)  # a digit and what follows it
                points = np.loadtxt(file, np.float32, usecols=which, max_rows=most, ndmin=2).reshape(-1, 3)
    except Exception as error:  # a broken file can raise almost anything
        raise ValueError(f"{path} cannot be read as PLY points ({error}): download it again.") from error
    if len(points) != count:
        raise ValueError(f"{path} ends after {len(points)} of {count} points: download it again.")
    if not np.isfinite(points).all():
        raise ValueError(f"{path} holds points that are NaN or infinite: remove them, or download it again.")
    return torch.from_numpy(points)


def _header(lines: list[str]) -> tuple[str, int, list[tuple[str, str]]]:
    """Byte order, number of points, and (name, type) of their columns."""
    words = [line.split() for line in lines if line.strip()]
    if words[0] != ["ply"]:
        raise ValueError("it does not begin with ply")
    formats = [w[1] for w in words if w[0] == "format"]
    if not formats:
        raise ValueError("it has no format line")
    elements = [index for index, w in enumerate(words) if w[0] == "element"]
    first = words[elements[0]]
    if first[1] != "vertex":
        raise ValueError(f"its first element is {first[1]}")
    last = elements[1] if len(elements) > 1 else len(words)
    columns = [(w[2], w[1]) for w in words[elements[0] + 1 : last] if w[0] == "property"]
    if (count := int(first[2])) < 0:
        raise ValueError(f"it announces {count} points")
    return ORDERS[formats[0]], count, columns
