"""Reading other people's files safely: text, JSON and pictures, no pickles. What is wrong is named."""

import gzip
import json
import math
import zlib
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vggt_lite.data.decode import to_rgb
from vggt_lite.data.sources import natural_order


def read_json(path: Path) -> object:
    """What a JSON file holds; one that ends in gz is unpacked first."""
    try:
        content = path.read_bytes()
        if path.suffix in (".gz", ".jgz"):
            content = gzip.decompress(content)
        return json.loads(content.decode("utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"{path} is missing: copy it, too.") from error
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} cannot be unpacked ({error}): download it again.") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not valid JSON ({error}): download or write it again.") from error


def read_lines(path: Path) -> list[str]:
    """The lines of a text file, stripped, without comments (#)."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise ValueError(f"{path} is missing: copy it, too.") from error
    except ValueError as error:
        raise ValueError(f"{path} is no text ({error}): download or write it again.") from error
    return [line.strip() for line in lines if not line.lstrip().startswith("#")]


def entry(mapping: object, key: str, where: str) -> object:
    """`mapping[key]`, where a JSON object should have it."""
    if not isinstance(mapping, dict) or mapping.get(key) is None:
        raise ValueError(f"{where} lacks {key!r}: write the file again.")
    return mapping[key]


def numbers(values: object, where: str, *shape: int) -> Tensor:
    """Finite numbers, or texts of numbers, as float64 of the given shape; () for a single one."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{where} are no numbers ({error}): write the file again.") from error
    if array.size != math.prod(shape) or (array.ndim > 1 and array.shape != shape):
        raise ValueError(
            f"{where} should be {math.prod(shape)} numbers, not {array.shape}: write the file again."
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{where}: not all numbers are finite: leave this out, or write the file again.")
    return torch.from_numpy(array.reshape(shape))


def pinhole(fx: float, fy: float, cx: float, cy: float) -> Tensor:
    """(3, 3) float64 intrinsics."""
    return torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], dtype=torch.float64)


def inside(folder: Path, name: object, where: str) -> Path:
    """The file `name` of a folder. A file list from elsewhere must not reach beyond that folder."""
    parts = PurePosixPath(name.replace("\\", "/")).parts if isinstance(name, str) else ()
    if not parts or ".." in parts or parts[0].endswith((":", "/")):
        raise ValueError(
            f"{where}: {name!r} is not a file below {folder}: give paths relative to that folder."
        )
    return folder.joinpath(*parts)


def file_order(name: str) -> list:
    """A sort key: a/2.png before a/10.png before b/1.png."""
    return [natural_order(Path(part)) for part in PurePosixPath(name).parts]


def plain_names(names: list[str]) -> list[str]:
    """One name per view without folders and suffix; numbered where that leaves two alike."""
    plain = ["_".join(PurePosixPath(name.replace("\\", "/")).with_suffix("").parts) for name in names]
    stems = [PurePosixPath(name.replace("\\", "/")).stem for name in names]
    for candidates in (stems, plain):
        if len(set(candidates)) == len(names):
            return candidates
    return [f"{number:04d}_{stem}" for number, stem in enumerate(stems)]


def read_wide_png(path: Path) -> np.ndarray:
    """(H, W) of a one-channel picture with 16 or 32 bits, as stored (uint16, int32 or float32)."""
    if not path.is_file():
        raise ValueError(f"{path} is missing: copy the depth maps, too.")
    try:
        with Image.open(path) as file:
            file.load()
            mode, array = file.mode, np.array(file)
    except Exception as error:  # a broken picture can raise almost anything
        raise ValueError(f"{path} cannot be read ({error}): download it again.") from error
    if not mode.startswith(("I", "F")) or array.ndim != 2:
        raise ValueError(
            f"{path} has not one channel of 16 bits (its mode is {mode}): give the original depth."
        )
    return array


def read_mask(path: Path) -> np.ndarray:
    """(H, W) bool: True where the picture is not black."""
    return np.asarray(to_rgb(path, str(path)).convert("L")) > 0
