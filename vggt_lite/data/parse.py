"""Reading files that others wrote: text, JSON, arrays and pictures, no pickles. What is wrong is named."""

import math
import zipfile
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from vggt_lite.data.pictures import natural_order, open_picture, to_rgb
from vggt_lite.utils.reading import check_file, read_text, reading

MOST_ARRAY = 1 << 28  # bytes of an array, unpacked
FLOAT32_MAX = float(np.finfo(np.float32).max)


def read_lines(path: Path) -> list[str]:
    """The lines of a text file, stripped, without comments (#)."""
    return [line.strip() for line in read_text(path).splitlines() if not line.lstrip().startswith("#")]


def read_arrays(path: Path, sizes: dict[str, int], **shapes: str) -> list[np.ndarray]:
    """The named arrays of an npz file, of shapes such as "S 3 4"; `sizes` says which letters are known."""
    wanted = ", ".join(f"{name} ({shape.replace(' ', ', ')})" for name, shape in shapes.items())
    wanted += " (numpy.savez, numbers only, no objects)"
    if not path.exists():
        raise ValueError(f"{path} is missing: it must hold {wanted}.")
    with reading(path, wanted):
        check_file(path)
        with zipfile.ZipFile(path) as archive:
            held = [name.removesuffix(".npy") for name in archive.namelist()]
            if not (missing := [name for name in shapes if name not in held]):
                arrays = {name: _member(archive, f"{name}.npy") for name in shapes}
    if missing:
        raise ValueError(f"{path} lacks {missing}, it holds {sorted(held)[:9]}: write {wanted}.")
    known = dict(sizes)
    for name, shape in shapes.items():
        array = arrays[name]
        if not shape_fits(array.shape, shape, known) or array.dtype.kind not in "fiub":
            said = "".join(f", {letter} = {size}" for letter, size in sizes.items())
            raise ValueError(f"{path}: {name} is {array.dtype} {array.shape}: write {wanted}{said}.")
    return [arrays[name] for name in shapes]


def shape_fits(shape: tuple[int, ...], letters: str, known: dict[str, int]) -> bool:
    """Whether a shape is one such as "S 3 4". A letter that `known` lacks is noted there."""
    wanted = letters.split()
    pairs = zip(wanted, shape, strict=False)
    fits = [size == (int(x) if x.isdigit() else known.setdefault(x, size)) for x, size in pairs]
    return len(wanted) == len(shape) and all(fits)


def _member(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(name) as file:
        return read_npy(file, archive.getinfo(name).file_size)


def npy_header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether columns come first, and type: the first bytes of a .npy file."""
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return header(file)


def read_npy(file: BinaryIO, size: int) -> np.ndarray:
    """The numbers of an opened .npy file of `size` bytes.

    Raises:
        ValueError: it holds something else, too many of them, or not as many as it says.
    """
    shape, by_columns, dtype = npy_header(file)
    if dtype.kind not in "fiub":
        raise ValueError(f"it holds {dtype}, not numbers")
    count = math.prod(shape)
    if min(shape, default=0) < 0 or count * dtype.itemsize > min(size, MOST_ARRAY):
        raise ValueError(f"it says {shape} of {dtype}, has {size:,} bytes, and may have {MOST_ARRAY:,}")
    values = np.frombuffer(file.read(count * dtype.itemsize), dtype, count)
    return values.reshape(shape, order="F" if by_columns else "C").astype(dtype.newbyteorder("="))


def read_wide_png(path: Path) -> np.ndarray:
    """(H, W) of a one-channel picture with 16 or 32 bits, as stored (uint16, int32 or float32)."""
    with open_picture(path) as file, reading(path, "a depth map"):
        mode, array = file.mode, np.array(file)
    if not mode.startswith(("I", "F")) or array.ndim != 2:
        raise ValueError(f"{path} has mode {mode}, not one channel of 16 bits: give the original depth.")
    return array


def read_mask(path: Path, above: int = 0) -> np.ndarray:
    """(H, W) bool: True where the picture is brighter than `above`, of 255."""
    return np.asarray(to_rgb(path, str(path)).convert("L")) > above


def picture_size(path: Path) -> tuple[int, int]:
    """(H, W) of a picture, from its first bytes."""
    with open_picture(path) as picture:
        return picture.height, picture.width


def numbers(values: object, where: str, *shape: int) -> Tensor:
    """Numbers that float32 can hold, or texts of them, as float64 of the given shape; () for a single one."""
    try:
        array = np.array(values, dtype=np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{where} are no numbers ({error}): write the file again.") from error
    if array.size != math.prod(shape) or (array.ndim > 1 and array.shape != shape):
        raise ValueError(f"{where}: {array.shape} should be {math.prod(shape)} numbers: write it again.")
    if not (np.abs(array) <= FLOAT32_MAX).all():
        raise ValueError(
            f"{where}: numbers are missing, or not finite as float32: leave this out, or write it again."
        )
    return torch.from_numpy(array.reshape(shape))


def pinhole(fx: float, fy: float, cx: float, cy: float) -> Tensor:
    """(3, 3) float64 intrinsics."""
    return torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], dtype=torch.float64)


def below(folder: Path, name: str, where: str) -> Path:
    """The file `name` of a folder. A file list from elsewhere must not reach beyond that folder."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or ".." in parts or parts[0].endswith((":", "/")) or "\0" in name:
        raise ValueError(f"{where}: {name!r} is not a file below {folder}: give paths relative to it.")
    return folder.joinpath(*parts)


def file_order(name: str) -> list:
    """A sort key: a/2.png before a/10.png before b/1.png."""
    return [natural_order(Path(part)) for part in PurePosixPath(name).parts]
