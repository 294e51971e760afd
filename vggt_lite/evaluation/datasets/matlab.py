"""Arrays of real numbers from files of MATLAB 5 to 7, little endian, and nothing else.

Written out since SciPy's reader, given a damaged file, can take the process with it. A file is a header of
128 bytes and elements; an element is a kind, a length and a content, and an array is one made of elements.

Source: mathworks.com, MAT-File Format.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from vggt_lite.data.parse import reading

LARGEST = 1 << 27  # bytes of a file, and of all that it unpacks to
MATRIX, COMPRESSED = 14, 15  # kinds of elements; the others are numbers:
NUMBERS = {1: "i1", 2: "u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 9: "<f8", 12: "<i8", 13: "<u8"}
NUMERIC = range(6, 16)  # classes of arrays: from double to uint64
COMPLEX = 1 << 11


def read_mat(file: Path, *names: str) -> list[np.ndarray]:
    """The named arrays.

    Raises:
        ValueError: the file is missing, damaged or too large, or lacks one of the names or its numbers.
    """
    with reading(file, f"a MATLAB file with {', '.join(names)}"):
        if not file.is_file():
            raise FileNotFoundError
        if file.stat().st_size > LARGEST:
            raise ValueError(f"it has more than {LARGEST:,} bytes")
        content, found, room = file.read_bytes(), {}, LARGEST
        if content[126:128] != b"IM":
            raise ValueError("it is not of MATLAB 5 to 7")
        for kind, part in _elements(content[128:]):
            if kind == COMPRESSED:
                unpacking = zlib.decompressobj()
                part = unpacking.decompress(part, room)
                room -= len(part)
                if unpacking.unconsumed_tail or room < 1:
                    raise ValueError(f"it unpacks to more than {LARGEST:,} bytes")
                kind, part = next(_elements(part))
            if kind != MATRIX:
                raise ValueError("it is damaged")
            name, array = _array(part)
            found[name] = array
        if missing := [name for name in names if found.get(name) is None]:
            raise ValueError(f"{', '.join(missing)}: no array of real numbers")
        return [found[name] for name in names]


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and content of each element."""
    at = 0
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        small = kind >> 16  # bytes of content that take the place of the length; at most 4
        kind, start, length = kind & 0xFFFF, at + (4 if small else 8), small or length
        if start + length > len(data) or small > 4:
            raise ValueError("it ends early, or is damaged")
        yield kind, data[start : start + length]
        at = start + length + (0 if kind == COMPRESSED else -(start + length - at) % 8)


def _array(content: bytes) -> tuple[str, np.ndarray | None]:
    """Name and values of an array; None where they are not real numbers."""
    flags, shape, name, *values = islice(_elements(content), 4)  # each (kind, content)
    flags, shape, name = (
        int.from_bytes(flags[1][:4], "little"),
        np.frombuffer(shape[1], "<i4"),
        name[1].decode(),
    )
    if flags & COMPLEX or flags & 0xFF not in NUMERIC or not values or values[0][0] not in NUMBERS:
        return name, None
    values = np.frombuffer(values[0][1], NUMBERS[values[0][0]])
    if (shape < 0).any() or math.prod(shape.tolist()) != values.size:
        raise ValueError(f"{name} has {values.size:,} numbers in a shape of {shape.tolist()[:9]}")
    return name, values.reshape(shape, order="F")
