"""Where things run: device, number format, free memory, seeds, progress bars.

No module of the network imports this file.
"""

import ctypes
import os
import random
import re
import sys
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from vggt_lite.config import PRECISIONS, check_choice


def pick_device(device: torch.device | str | None = None) -> torch.device:
    """`device`, if it can compute here; None is the best at hand: CUDA, then Apple's MPS, then the CPU.

    Raises:
        ValueError: this machine does not have the device, or it holds no numbers ("meta").
    """
    if device is not None:
        try:
            torch.empty(1, device=device).item()
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            why = str(error).splitlines()[0]
            raise ValueError(f"device={str(device)!r} cannot compute here ({why}); take cpu.") from error
        return torch.device(device)
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def pick_dtype(device: torch.device | str, precision: str = "exact") -> torch.dtype:
    """The format a network's matrix products take on a device: bfloat16 where CUDA has it, else float32.

    Three digits instead of seven, several times faster on such a GPU, and what VGGT was trained in.

    Args:
        device: Where they run.
        precision: One of `PRECISIONS`. "fast" takes bfloat16 on a processor that multiplies it, too.
    """
    device = torch.device(device)
    if device.type == "cpu" and precision == "fast" and multiplies_bfloat16():
        return torch.bfloat16
    if device.type == "cuda":
        with torch.cuda.device(device):
            if torch.cuda.is_bf16_supported(including_emulation=False):
                return torch.bfloat16
    return torch.float32


def pick_precision(device: torch.device | str, precision: str) -> str:
    """The one of `PRECISIONS` that a device has: `precision`, or "exact" where "fast" would change nothing.

    Warns:
        UserWarning: "fast" is not to be had.

    Raises:
        ValueError: there is no such precision.
    """
    check_choice("precision", precision, PRECISIONS)
    if precision == "fast" and pick_dtype(device, precision) == torch.float32:
        warnings.warn(
            f'precision="fast" changes nothing on this {device}: no instructions for bfloat16 were found '
            "(AVX-512-BF16, AMX, Arm's BF16). It is computed exactly.",
            stacklevel=3,
        )
        return "exact"
    return precision


def multiplies_bfloat16() -> bool:
    """Whether the processor has instructions for it (AVX-512-BF16, AMX, Arm's BF16), as torch tells.

    Without them products in bfloat16 are right, but several times slower than in float32.
    """
    ask = getattr(torch.cpu, "get_capabilities", dict)  # older versions of torch do not tell
    return any(has for name, has in ask().items() if "bf16" in name)


def available_memory(device: torch.device | str) -> int:
    """Bytes a program could still take on a device, without swapping and within a container's limit.

    On the CPU of a system that does not tell (macOS), all of its memory: an upper bound.
    """
    device = torch.device(device)
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # torch's own reserve
        return torch.cuda.mem_get_info(device)[0] + kept
    host = _available_on_host()
    if device.type == "mps":
        return min(host, torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory())
    return host


def check_memory(needed: int, what: str, device: torch.device | str = "cpu") -> None:
    """Refuse work before it begins that needs more bytes than are free on a device, if it is more than 1 GB.

    Raises:
        MemoryError: naming what was asked for.
    """
    if needed > 2**30 and needed > (free := available_memory(device)):
        sizes = f"{needed / 1e9:.3g} GB of memory, {free / 1e9:.3g} GB are free"
        raise MemoryError(f"{what} need about {sizes}: take fewer, or smaller ones.")


def _available_on_host(root: Path = Path("/")) -> int:
    """Of the system's memory, and of every control group this process is in."""
    try:
        text = (root / "proc/meminfo").read_text()
        free = 1024 * int(re.search(r"MemAvailable:\s+(\d+)", text)[1])
    except (OSError, TypeError):
        return _available_elsewhere()
    return max(0, min([free, *_available_in_groups(root)]))


def _available_in_groups(root: Path) -> Iterator[int]:
    """What Linux's control groups (containers, batch systems) leave this process, versions 1 and 2."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, kinds, place = line.split(":", 2)
        top = root / "sys/fs/cgroup" / ("memory" if "memory" in kinds.split(",") else "")
        names = ("memory.max", "memory.current", "inactive_file")
        if kinds:
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        group = top / place.lstrip("/")
        for folder in (group, *group.parents):
            try:
                limit, used = ((folder / name).read_text().strip() for name in names[:2])
                cache = re.search(rf"^{names[2]} (\d+)", (folder / "memory.stat").read_text(), re.MULTILINE)
            except OSError:
                limit = "max"  # no such group here, or its top
            if limit.isdecimal():
                yield int(limit) - int(used) + (int(cache[1]) if cache else 0)
            if folder == top:
                break


def _available_elsewhere() -> int:
    if sys.platform == "win32":
        status = (ctypes.c_uint64 * 8)(64)  # MEMORYSTATUSEX: its size first, free memory third
        ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
        return status[2]
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


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
    """True when VGGT_LITE_FAST is set: notebooks then use fewer steps and points, and each place says so."""
    is_fast = bool(os.environ.get("VGGT_LITE_FAST"))
    if is_fast:
        warnings.warn("shortened run (VGGT_LITE_FAST); the text describes the full one", stacklevel=2)
    return is_fast
