"""The points of a PLY file, as scanners write them: text or binary, coordinates only."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4",
    "double": "f8", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4",
    "uint32": "u4", "float32": "f4", "float64": "f8",
}  # fmt: skip
ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": ""}


def read_ply(path: Path) -> Tensor:
    """(N, 3) float32 points: x, y, z of the element "vertex", which must come first.

    Raises:
        ValueError: the file is missing, or no PLY file of this kind.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise ValueError(f"{path} is missing: copy it, too.") from error
    try:
        end = content.index(b"end_header")
        start = content.index(b"\n", end) + 1
        order, count, columns = _header(content[:end].decode("ascii").splitlines())
        kind = np.dtype([(name, order + TYPES[type_]) for name, type_ in columns])
        if order:
            values = np.frombuffer(content, kind, count, start)
        else:
            lines = content[start:].decode("ascii").splitlines()[:count]
            values = np.array([tuple(line.split()) for line in lines], kind)
        points = np.stack([values[axis] for axis in "xyz"], axis=-1).astype(np.float32)
    except (ValueError, KeyError, IndexError) as error:
        raise ValueError(f"{path} cannot be read as PLY points ({error}): download it again.") from error
    if len(points) != count:
        raise ValueError(f"{path} ends after {len(points)} of {count} points: download it again.")
    return torch.from_numpy(points)


def _header(lines: list[str]) -> tuple[str, int, list[tuple[str, str]]]:
    """Byte order, number of points, and (name, type) of their columns."""
    words = [line.split() for line in lines if line.strip()]
    if words[0] != ["ply"]:
        raise ValueError("it does not begin with ply")
    order = next(ORDERS[w[1]] for w in words if w[0] == "format")
    elements = [index for index, w in enumerate(words) if w[0] == "element"]
    first = words[elements[0]]
    if first[1] != "vertex":
        raise ValueError(f"its first element is {first[1]}")
    last = elements[1] if len(elements) > 1 else len(words)
    columns = [(w[2], w[1]) for w in words[elements[0] + 1 : last] if w[0] == "property"]
    return order, int(first[2]), columns
