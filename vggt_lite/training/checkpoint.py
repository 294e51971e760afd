"""Checkpoints that are whole or absent, and that hold everything a run needs to go on as if unbroken.

The file is torch's: a zip archive, which carries a check sum (CRC-32) of everything in it.
"""

import random
import warnings
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from vggt_lite.utils.files import atomic_write

KEEP = 2  # the last one, and the one before it in case a disk fills up or a run diverges


class Contents(msgspec.Struct):
    """What a checkpoint must hold to be one; `TrainState.save` writes it."""

    step: int
    model: dict[str, Tensor]
    average: dict[str, Tensor]
    optimizer: dict[str, Any]
    ranks: list[dict[str, Any]]  # one for each process that trained: random generators, half a line of log
    config: dict[str, Any]
    identity: dict[str, str] = {}


class DamagedCheckpoint(ValueError):
    """A file that is cut off or changed, or no checkpoint."""


def save_checkpoint(folder: Path, step: int, state: dict) -> Path:
    """Write `state` as the checkpoint after `step` steps, and delete all but the last two.

    The file gets its name only when it is complete, so a kill at any moment leaves a usable folder.

    Raises:
        OSError: it could not be written; the earlier ones are still there.
    """
    path = checkpoint_path(folder, step)
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        try:
            torch.save({"step": step, **state}, file)
        except RuntimeError as error:  # torch hides what the disk says
            raise (error.__context__ if isinstance(error.__context__, OSError) else error) from None
    for old in list_checkpoints(folder)[:-KEEP]:
        old.unlink()
    return path


def checkpoint_path(folder: Path | str, step: int) -> Path:
    return Path(folder) / f"checkpoint_{step:08d}.pt"


def list_checkpoints(folder: Path | str) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    return sorted(p for p in Path(folder).glob(f"checkpoint_{'[0-9]' * 8}.pt") if p.is_file())


def load_checkpoint(path: Path | str) -> dict:
    """A checkpoint, on the CPU. `weights_only` means that the file can hold data but no code.

    Raises:
        DamagedCheckpoint: a sum is wrong, or what `Contents` names is not in it.
    """
    with open(path, "rb") as file:
        try:
            if broken := zipfile.ZipFile(file).testzip():
                raise ValueError(f"the sum of {broken} is wrong")
            file.seek(0)
            saved = torch.load(file, map_location="cpu", weights_only=True)
            msgspec.convert(saved, Contents)
        except MemoryError:
            raise
        except Exception as error:  # other bytes can raise almost anything
            why = (str(error) or type(error).__name__).splitlines()[0]
            raise DamagedCheckpoint(f"{path} is damaged, or no checkpoint ({why})") from error
    return saved


def newest_checkpoint(folder: Path | str) -> tuple[Path, dict] | None:
    """The last checkpoint of a run that is whole, and what it holds; None without any.

    Damaged ones after it are renamed, with a warning.

    Raises:
        DamagedCheckpoint: there are some, and none is whole.
    """
    damaged = []
    for path in reversed(list_checkpoints(folder)):
        try:
            saved = load_checkpoint(path)
        except DamagedCheckpoint as error:
            damaged.append((path, error))
            continue
        for other, error in damaged:
            other.replace(aside := other.with_suffix(".damaged"))
            warnings.warn(f"{error}: now {aside.name}; the run goes on from {path.name}.", stacklevel=2)
        return path, saved
    if damaged:
        said = "No other is whole: copy one back, or delete them to begin anew"
        raise DamagedCheckpoint(f"{damaged[0][1]}. {said}.")
    return None


def random_state() -> dict:
    """The state of every global random generator, in types that a checkpoint may hold."""
    kind, keys, *rest = np.random.get_state()
    return {
        "python": random.getstate(),
        "numpy": (kind, torch.from_numpy(keys.astype(np.int64)), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_state(state: dict) -> None:
    """Put every global random generator back to where `random_state` found it."""
    random.setstate(state["python"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.cpu().numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"].cpu())
    if torch.cuda.is_available() and state["cuda"]:
        torch.cuda.set_rng_state_all([s.cpu() for s in state["cuda"]])
