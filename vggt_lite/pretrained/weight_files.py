"""Read `.safetensors` and `.pt` files by mapping them into memory: a tensor's bytes are read when it is used.

Nothing is ever unpickled but tensors: `.pt` is read with `weights_only=True`. Writing to such a tensor
changes a private copy of the page, never the file.
"""

import json
import math
import pickle
from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor
from torch.overrides import TorchFunctionMode

from vggt_lite.utils.tensor_files import LONGEST_HEADER, sum_is_wrong

READINGS = 8  # in which tensors are converted; after each, the pages it read are given back
DRAWS = ("normal_", "uniform_", "trunc_normal_", "kaiming_uniform_")  # what fills a parameter at random


class UnreadableFile(ValueError):
    """A file that is cut off, damaged, or holds something else than tensors."""


class skip_init(TorchFunctionMode):
    """In `with torch.device("meta"), skip_init():` a model is made without memory and without random numbers.

    Without it the meta device still runs the random initialisation, for which it imports torch's compiler:
    that takes seconds.
    """

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if getattr(function, "__name__", "") in DRAWS:
            return args[0] if args else kwargs["tensor"]
        return (torch.empty if function is torch.randn else function)(*args, **kwargs)


def read_state_dict(
    path: Path, only: Collection[str] | None = None
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and text metadata of a `.safetensors` or `.pt` file; all tensors, or `only` those named.

    Raises:
        FileNotFoundError: no such file.
        UnreadableFile: a ValueError; cut off or not a weight file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} not found.")
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                if only is None and sum_is_wrong(path):
                    raise ValueError("its numbers are not those that were written")
                keys = file.keys() if only is None else only
                return {key: file.get_tensor(key) for key in keys}, file.metadata() or {}
        state_dict = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        state_dict = state_dict.get("model", state_dict)  # training code saves {"model": weights, …}
        if strange := [key for key, value in state_dict.items() if not isinstance(value, Tensor)]:
            raise TypeError(f"{strange[0]!r} is no tensor")
        return state_dict, {}
    except Exception as error:  # safetensors and torch each have several ways to say "broken"
        reason = _where_cut_off(path) or str(error)
        if isinstance(error, pickle.UnpicklingError):
            reason = "it holds objects that could run code when opened, or is damaged"
        said = f"{path} cannot be read as weights ({reason}): download or write it again."
        raise UnreadableFile(said) from error


def read_as(path: Path, types: Mapping[str, torch.dtype]) -> dict[str, Tensor]:
    """Some tensors of a file in other types.

    Pages that were read count as memory of this process until their map is dropped: so an eighth of the
    tensors is converted at a time, each time from a new map.

    Args:
        path: The file.
        types: From the name in the file to the type wanted.
    """
    names, converted = list(types), {}
    count = math.ceil(len(names) / READINGS) or 1
    for i in range(0, len(names), count):
        some = names[i : i + count]
        tensors, _ = read_state_dict(path, only=some)
        converted |= {name: tensors[name].to(types[name]) for name in some}
        del tensors
    return converted


def _where_cut_off(path: Path) -> str:
    """If a `.safetensors` file ends too early: where, and the first tensor that is not whole. Else ""."""
    try:
        with path.open("rb") as file:
            begin = 8 + int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(begin - 8, LONGEST_HEADER)))
        spans = {key: entry["data_offsets"] for key, entry in header.items() if key != "__metadata__"}
        size, whole = path.stat().st_size, begin + max(end for _, end in spans.values())
        lost = sorted((start, key) for key, (start, end) in spans.items() if begin + end > size)
        first = lost[0][1]
        return f"cut off after {size:,} of {whole:,} bytes, in {first}; {len(lost)} tensors are not whole"
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return ""
