"""Reading files that others wrote: text, JSON, arrays and pictures, no pickles. What is wrong is named."""

import gzip
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TypeVar

import msgspec
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vggt_lite.data.pictures import natural_order, to_rgb

Schema = TypeVar("Schema")


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Whatever goes wrong with a file inside the block is a ValueError that names it."""
    try:
        yield
    except FileNotFoundError as error:
        raise ValueError(f"{path} is missing: copy it, too.") from error
    except Exception as error:  # a broken file can raise almost anything
        raise ValueError(f"{path} cannot be read as {kind} ({error}): write or copy it again.") from error


def read_json(path: Path, schema: type[Schema]) -> Schema:
    """What a JSON file holds; one that ends in gz is unpacked first.

    Raises:
        ValueError: naming the file and the field that is missing or has not the type `schema` says.
    """
    with reading(path, "JSON"):
        content = path.read_bytes()
        if path.suffix in (".gz", ".jgz"):
            content = gzip.decompress(content)
        return msgspec.convert(json.loads(content), schema)  # json.loads: others write NaN


def read_lines(path: Path) -> list[str]:
    """The lines of a text file, stripped, without comments (#)."""
    with reading(path, "text"):
        lines = path.read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if not line.lstrip().startswith("#")]


def read_arrays(path: Path, sizes: dict[str, int], **shapes: str) -> list[np.ndarray]:
    """The named arrays of an npz file, of shapes such as "S 3 4"; `sizes` says which letters are known."""
    wanted = ", ".join(f"{name} ({shape.replace(' ', ', ')})" for name, shape in shapes.items())
    wanted += " (numpy.savez, numbers only, no objects)"
    if not path.exists():
        raise ValueError(f"{path} is missing: it must hold {wanted}.")
    with reading(path, wanted), np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    if missing := [name for name in shapes if name not in arrays]:
        raise ValueError(f"{path} lacks {missing}, it holds {sorted(arrays)}: write {wanted}.")
    known = {"2": 2, "3": 3, "4": 4, **sizes}
    for name, shape in shapes.items():
        array, letters = arrays[name], shape.split()
        pairs = zip(letters, array.shape, strict=False)
        fits = len(letters) == array.ndim and all(known.setdefault(x, size) == size for x, size in pairs)
        if not fits or array.dtype.kind not in "fiub":
            said = "".join(f", {letter} = {size}" for letter, size in sizes.items())
            raise ValueError(f"{path}: {name} is {array.dtype} {array.shape}: write {wanted}{said}.")
    return [arrays[name] for name in shapes]


def read_wide_png(path: Path) -> np.ndarray:
    """(H, W) of a one-channel picture with 16 or 32 bits, as stored (uint16, int32 or float32)."""
    with reading(path, "a depth map"), Image.open(path) as file:
        mode, array = file.mode, np.array(file)
    if not mode.startswith(("I", "F")) or array.ndim != 2:
        raise ValueError(f"{path} has mode {mode}, not one channel of 16 bits: give the original depth.")
    return array


def read_mask(path: Path, above: int = 0) -> np.ndarray:
    """(H, W) bool: True where the picture is brighter than `above`, of 255."""
    return np.asarray(to_rgb(path, str(path)).convert("L")) > above


def picture_size(path: Path) -> tuple[int, int]:
    """(H, W) of a picture, from its first bytes."""
    with reading(path, "a picture"), Image.open(path) as picture:
        return picture.height, picture.width


def numbers(values: object, where: str, *shape: int) -> Tensor:
    """Finite numbers, or texts of numbers, as float64 of the given shape; () for a single one."""
    try:
        array = np.array(values, dtype=np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{where} are no numbers ({error}): write the file again.") from error
    if array.size != math.prod(shape) or (array.ndim > 1 and array.shape != shape):
        raise ValueError(f"{where}: {array.shape} should be {math.prod(shape)} numbers: write it again.")
    if not np.isfinite(array).all():
        raise ValueError(f"{where}: not all numbers are there and finite: leave this out, or write it again.")
    return torch.from_numpy(array.reshape(shape))


def pinhole(fx: float, fy: float, cx: float, cy: float) -> Tensor:
    """(3, 3) float64 intrinsics."""
    return torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], dtype=torch.float64)


def below(folder: Path, name: str, where: str) -> Path:
    """The file `name` of a folder. A file list from elsewhere must not reach beyond that folder."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or ".." in parts or parts[0].endswith((":", "/")):
        raise ValueError(f"{where}: {name!r} is not a file below {folder}: give paths relative to it.")
    return folder.joinpath(*parts)


def file_order(name: str) -> list:
    """A sort key: a/2.png before a/10.png before b/1.png."""
    return [natural_order(Path(part)) for part in PurePosixPath(name).parts]
