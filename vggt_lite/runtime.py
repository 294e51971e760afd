"""Where things run: device, seeds, progress bars. No module of the network imports this file."""

import os
import random
from collections.abc import Iterable

import numpy as np
import torch
from tqdm.auto import tqdm


def pick_device() -> torch.device:
    """The best device at hand: CUDA, then Apple's MPS, then the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch, so that a notebook run from the top gives the same numbers."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def progress(iterable: Iterable | None = None, **options) -> tqdm:
    """A tqdm bar for notebooks and terminals; silent when VGGT_LITE_QUIET is set (tests, CI)."""
    options.setdefault("disable", bool(os.environ.get("VGGT_LITE_QUIET")))
    return tqdm(iterable, **options)


def fast_mode() -> bool:
    """True when VGGT_LITE_FAST is set: notebooks then use fewer steps and points (tests, CI)."""
    return bool(os.environ.get("VGGT_LITE_FAST"))
