"""Checkpoints that are whole or absent, and that hold everything a run needs to go on as if unbroken."""

import os
import random
from pathlib import Path

import numpy as np
import torch

from vggt_lite.utils.files import atomic_write

KEEP = 2  # the last one, and the one before it in case a disk fills up or a run diverges


def save_checkpoint(folder: Path, step: int, state: dict) -> Path:
    """Write `state` as the checkpoint after `step` steps, and delete all but the last two.

    The file gets its name only when it is complete, so a kill at any moment leaves a usable folder.
    """
    path = checkpoint_path(folder, step)
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        torch.save({"step": step, **state}, file)
        file.flush()
        os.fsync(file.fileno())
    for old in list_checkpoints(folder)[:-KEEP]:
        old.unlink()
    return path


def checkpoint_path(folder: Path | str, step: int) -> Path:
    return Path(folder) / f"checkpoint_{step:08d}.pt"


def list_checkpoints(folder: Path | str) -> list[Path]:
    """The complete checkpoints of a run, oldest first."""
    return sorted(Path(folder).glob("checkpoint_*.pt"))


def load_checkpoint(path: Path | str) -> dict:
    """A checkpoint, on the CPU. `weights_only` means that the file can hold data but no code."""
    return torch.load(path, map_location="cpu", weights_only=True)


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
