"""`.safetensors` files that are written whole, and that carry a sum of what they hold."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from vggt_lite.utils.files import atomic_write

BLANK = "0" * 64
SUM = re.compile(rb'"sha256_of_rest":"([0-9a-f]{64})"')  # in the header: of the file with BLANK in this place
LONGEST_HEADER = 100_000_000  # bytes, as the format says
NAMES = {torch.float32: "F32", torch.bfloat16: "BF16", torch.int8: "I8"}  # of types, in the header


def write_tensors(path: Path | str, tensors: dict[str, Tensor], notes: Mapping[str, str]) -> None:
    """Write tensors and texts about them; never half a file.

    Raises:
        OSError: it could not be written; an older file is still there.
    """
    with atomic_write(path) as temporary:
        try:
            save_file(tensors, temporary, {**notes, "sha256_of_rest": BLANK})
        except SafetensorError as error:
            raise OSError(f"{path} could not be written ({error}): make room, then try again.") from error
        _state_sum(temporary)


def stream_tensors(
    path: Path | str,
    kinds: Mapping[str, tuple[torch.dtype, tuple[int, ...]]],
    notes: Mapping[str, str],
    made: Callable[[str], Tensor],
) -> None:
    """`write_tensors` without ever holding more than one tensor. (The library's writer wants all at once.)

    Args:
        kinds: type and shape of each tensor by name, known before any is made.
        made: makes the tensor of a name; called once for each.

    Raises:
        OSError: it could not be written; an older file is still there.
    """
    header, end = {"__metadata__": {**notes, "sha256_of_rest": BLANK}}, 0
    names = sorted(kinds, key=lambda name: (-kinds[name][0].itemsize, name))  # so that all are aligned
    for name in names:
        dtype, shape = kinds[name]
        start, end = end, end + dtype.itemsize * torch.Size(shape).numel()
        header[name] = {"dtype": NAMES[dtype], "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with atomic_write(path) as temporary:
        with temporary.open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for name in names:
                value = made(name)
                if (value.dtype, tuple(value.shape)) != kinds[name]:
                    raise ValueError(f"{name} is {value.dtype} {tuple(value.shape)}, not {kinds[name]}.")
                file.write(value.contiguous().reshape(-1).view(torch.uint8).numpy())
        _state_sum(temporary)


def _state_sum(path: Path) -> None:
    """Write the sum into a file that holds BLANK in its place."""
    with path.open("r+b") as file:
        _, place, computed = _sums(file)
        file.seek(place)
        file.write(computed.encode())


def sum_is_wrong(path: Path | str) -> bool:
    """Whether a file carries a sum, and holds something else."""
    with Path(path).open("rb") as file:
        stated, _, computed = _sums(file)
    return stated != computed


def _sums(file: BinaryIO) -> tuple[str, int, str]:
    """The sum that a file states, where it stands, and what it should be; twice "" where it states none."""
    begin = file.read(8)
    begin += file.read(min(int.from_bytes(begin, "little"), LONGEST_HEADER))
    if not (found := SUM.search(begin)):
        return "", 0, ""
    digest = hashlib.sha256(begin[: found.start(1)] + BLANK.encode() + begin[found.end(1) :])
    while block := file.read(1 << 22):
        digest.update(block)
    return found[1].decode(), found.start(1), digest.hexdigest()
