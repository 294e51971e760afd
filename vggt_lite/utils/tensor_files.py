"""`.safetensors` files that are written whole, and that carry a sum of what they hold."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from vggt_lite.utils.files import atomic_write

BLANK = "0" * 64
SUM = re.compile(rb'"sha256_of_rest":"([0-9a-f]{64})"')  # in the header: of the file with BLANK in this place
LONGEST_HEADER = 100_000_000  # bytes, as the format says


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
        with temporary.open("r+b") as file:
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
