"""What every benchmark needs: hardware, fresh processes, peak memory, times, a result file.

    report = measure.in_child("benchmarks.tracker:case", form="window", views=8)

runs `case(form="window", views=8)` in a Python process of its own and returns the dict it returned. A
process of its own, because peak memory is a property of a process, and because what ran before leaves
warm caches and a torn heap behind. Benchmarks are started from the checkout: `python -m benchmarks.tracker`.

Peak memory on the CPU is resident memory (what the system has really handed out), read from Linux's high
water mark, which can be reset; elsewhere a thread looks every 5 ms. glibc keeps freed blocks below a
threshold, which it raises up to 32 MB as a program runs; how much stays depends on the order of requests.
`in_child(memory=True)` therefore fixes that threshold at 64 KiB: every larger tensor goes back to the system
when it is freed, and two runs agree to about a percent. It costs page faults, so times are taken without it.
"""

import ctypes
import gc
import importlib
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import torch

from vggt_lite.utils.files import write_text
from vggt_lite.utils.runtime import multiplies_bfloat16

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results"
INSTRUCTIONS = re.compile(r"\b(avx\w*|amx\w*|sse4_2|neon|asimd\w*|sve\w*)\b")
LIMITS = (
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "MKL_ENABLE_INSTRUCTIONS",
)  # what libraries may use of it
REPEATABLE_MALLOC = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
SAMPLING_INTERVAL = 0.005  # seconds, where there is no high water mark to reset

_peak_before_resets = 0


# --- where ----------------------------------------------------------------------------------------


def device_name(device: str = "cpu") -> str:
    """The processor's or GPU's name as its maker gives it."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    try:
        return re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())[1]
    except (OSError, TypeError):
        return platform.processor() or platform.machine()


def instructions() -> str:
    """What the processor can do with many numbers at once, as Linux tells it, and what limits its use."""
    try:
        text = " ".join(sorted(set(INSTRUCTIONS.findall(Path("/proc/cpuinfo").read_text()))))
    except OSError:
        text = "unknown"
    limit = " ".join(f"{name}={os.environ[name]}" for name in LIMITS if name in os.environ)
    return f"{text}; limited by {limit}" if limit else text


def bfloat16_pays(device: str = "cpu") -> bool:
    """Whether this is a processor that multiplies bfloat16, and its libraries may use that."""
    return device == "cpu" and multiplies_bfloat16() and not any(name in os.environ for name in LIMITS)


def hardware(device: str = "cpu") -> dict:
    """The head of every result file: machine, versions, date, how busy the machine was."""
    return {
        "device": device.split(":")[0],
        "hardware": device_name(device),
        "cpu_count": os.cpu_count(),
        "load_average_before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "date": date.today().isoformat(),
    }


def slug(device: str = "cpu") -> str:
    """The part of a result file's name that tells machines apart: "cpu", or the GPU's name."""
    return "cpu" if device == "cpu" else re.sub(r"\W+", "-", device_name(device)).strip("-").lower()


def write_result(name: str, report: dict) -> Path:
    """Write benchmarks/results/<name>.json, whole or not at all."""
    path = RESULTS / f"{name}.json"
    write_text(path, json.dumps(report, indent=1) + "\n")
    print(f"wrote {path}")
    return path


# --- a process of its own -------------------------------------------------------------------------


def in_child(
    target: str,
    *,
    memory: bool = False,
    threads: int | None = None,
    env: dict[str, str] | None = None,
    **arguments,
) -> dict:
    """Run "package.module:function" with keyword arguments (JSON values) in a fresh Python.

    Args:
        memory: freed memory goes back to the system at once (see the top of this file): for peaks.
        threads: torch's threads; None leaves torch's choice.
        env: further environment variables.

    Returns:
        the function's dict, and "peak_rss", the largest resident memory of the whole process in bytes.

    Raises:
        RuntimeError: the child failed; the end of what it said is in the message.
    """
    env = {**os.environ, **(REPEATABLE_MALLOC if memory else {}), **(env or {})}
    if threads:
        env |= {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        command = [sys.executable, "-m", "benchmarks.measure", target, json.dumps(arguments), str(answer)]
        done = subprocess.run(command, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True)
        if done.returncode or not answer.exists():
            killed = " (killed: most likely out of memory)" if done.returncode in (-9, 137) else ""
            end = "\n".join(done.stderr.strip().splitlines()[-15:])
            raise RuntimeError(f"{target} {arguments} ended with code {done.returncode}{killed}.\n{end}")
        return json.loads(answer.read_text())


def _child(target: str, arguments: str, answer: str) -> None:
    module, function = target.split(":")
    report = getattr(importlib.import_module(module), function)(**json.loads(arguments))
    Path(answer).write_text(json.dumps({**report, "peak_rss": peak_rss()}))


# --- memory ---------------------------------------------------------------------------------------


def _status(key: str) -> int:
    """A line of /proc/self/status, in bytes."""
    return 1024 * int(re.search(rf"{key}:\s+(\d+)", Path("/proc/self/status").read_text())[1])


def rss() -> int:
    """Resident memory of this process now, bytes."""
    if Path("/proc/self/status").exists():
        return _status("VmRSS")
    command = ["ps", "-o", "rss=", "-p", str(os.getpid())]
    return 1024 * int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def peak_rss() -> int:
    """Largest resident memory of this process so far, bytes; resets by `PeakMemory` do not hide it."""
    if Path("/proc/self/status").exists():
        return max(_peak_before_resets, _status("VmHWM"))
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _reset_high_water_mark() -> bool:
    global _peak_before_resets
    try:
        before = peak_rss()
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    _peak_before_resets = before
    return _status("VmHWM") <= _status("VmRSS") + 2**20  # some sandboxes accept the write and do nothing


class PeakMemory:
    """How much memory a piece of code needs above what was there when it began.

        with PeakMemory() as peak:
            model(images)
        peak.bytes, peak.before

    On the CPU it is resident memory of the process, on CUDA what torch has allocated on that device.
    One at a time: the high water mark belongs to the process.
    """

    def __init__(self, device: str = "cpu") -> None:
        self.device = device
        self.bytes = self.before = 0

    def __enter__(self) -> "PeakMemory":
        gc.collect()
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats(self.device)
            self.before = torch.cuda.memory_allocated(self.device)
            return self
        if sys.platform == "linux":
            _trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc: freed pages are no baseline
            if _trim is not None:
                _trim(0)
        self._has_mark = _reset_high_water_mark()
        self.before = self._highest = rss()
        if not self._has_mark:
            self._done = threading.Event()
            self._watcher = threading.Thread(target=self._watch, daemon=True)
            self._watcher.start()
        return self

    def _watch(self) -> None:
        while not self._done.wait(SAMPLING_INTERVAL):
            self._highest = max(self._highest, rss())

    def __exit__(self, *_) -> None:
        if self.device.startswith("cuda"):
            highest = torch.cuda.max_memory_allocated(self.device)
        elif self._has_mark:
            highest = _status("VmHWM")
        else:
            self._done.set()
            self._watcher.join()
            highest = max(self._highest, rss())
        self.bytes = max(0, highest - self.before)


# --- time -----------------------------------------------------------------------------------------


def in_turn(runs: dict[str, Callable[[], object]], repeats: int, device: str = "cpu") -> dict[str, list]:
    """Times of several things to compare, taking turns, so that what else the machine does hits all of them.

    Returns:
        per name, a list of (seconds, processor seconds), one for each turn; see `spread`.
    """
    turns = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            turns[name].append(once(run, device))
    return turns


def once(run: Callable[[], object], device: str = "cpu") -> tuple[float, float]:
    """Seconds, and processor seconds of all threads together, of one call."""
    start, start_work = time.perf_counter(), time.process_time()
    run()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - start, time.process_time() - start_work


def spread(both: list[tuple[float, float]]) -> dict:
    """Median, fastest and slowest of what `once` returned, as result files have them."""
    seconds, work = zip(*both, strict=True)
    return {
        "seconds_median": round(statistics.median(seconds), 4),
        "seconds_min": round(min(seconds), 4),
        "seconds_max": round(max(seconds), 4),
        "cpu_seconds_median": round(statistics.median(work), 4),
        "runs": len(both),
    }


def ratio(old: list[tuple[float, float]], new: list[tuple[float, float]]) -> dict:
    """New ÷ old, turn by turn, of what `in_turn` returned: median and spread by the clock, then the median of
    the processor's seconds, which other programs on the same core do not change."""
    clock, work = ([b[kind] / a[kind] for a, b in zip(old, new, strict=True)] for kind in (0, 1))
    return {
        "time": round(statistics.median(clock), 3),
        "time_min": round(min(clock), 3),
        "time_max": round(max(clock), 3),
        "cpu_time": round(statistics.median(work), 3),
    }


if __name__ == "__main__":
    # `-m` runs this file under another name than benchmarks import it by; the state must be one.
    importlib.import_module("benchmarks.measure")._child(*sys.argv[1:])
