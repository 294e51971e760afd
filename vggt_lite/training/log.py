"""The training log: one JSON object per line, and never a line twice.

Each line has `step` (steps done when it was written), the means of the loss terms over the steps since
the line before, and what else the loop has to say. `read_log` returns the lines as dictionaries.
"""

import json
import warnings
from pathlib import Path

import torch
from torch import Tensor

from vggt_lite.utils.files import write_text


class Meter:
    """Means of named values over some steps. Values stay on their device until they are read."""

    def __init__(self, sums: dict[str, Tensor] | None = None, counts: dict[str, int] | None = None) -> None:
        self.sums, self.counts = sums or {}, counts or {}

    def add(self, values: dict[str, Tensor]) -> None:
        for name, value in values.items():
            value = torch.as_tensor(value).detach().float()
            self.sums[name] = self.sums[name] + value if name in self.sums else value
            self.counts[name] = self.counts.get(name, 0) + 1

    def read(self) -> dict[str, float]:
        """The means so far; then start again."""
        means = {}
        if self.sums:
            values = torch.stack([s.to("cpu") for s in self.sums.values()]).tolist()
            means = {name: value / self.counts[name] for name, value in zip(self.sums, values, strict=True)}
        self.sums, self.counts = {}, {}
        return means

    def state_dict(self) -> dict:
        return {"sums": dict(self.sums), "counts": dict(self.counts)}


def mean_of(lines: list[dict[str, float]]) -> dict[str, float]:
    """The mean of each value over the lines that have it: what several processes measured, as one line."""
    names = dict.fromkeys(name for line in lines for name in line)
    found = {name: [line[name] for line in lines if name in line] for name in names}
    return {name: sum(values) / len(values) for name, values in found.items()}


class Log:
    """A JSON-lines file that is continued from a given step.

    Lines after that step come from work that was lost when a run was killed; they are dropped, and so are
    lines that cannot be read, which is said where it is more than the last one, cut by that kill.

    Args:
        writes: False writes nothing: of several processes only the first does.
    """

    def __init__(self, path: Path, step: int, writes: bool = True) -> None:
        self.path, self.writes = Path(path), writes
        if not writes:
            return
        lines = _read_lines(self.path)
        if broken := [str(n) for n, line in enumerate(lines[:-1], 1) if line is None]:
            warnings.warn(f"{path}: line {', '.join(broken)} cannot be read and is left out.", stacklevel=3)
        kept = [line for line in lines if line and line["step"] <= step]
        write_text(self.path, "".join(json.dumps(line) + "\n" for line in kept))

    def write(self, step: int, values: dict) -> None:
        """Add a line.

        Raises:
            OSError: it could not be written.
        """
        if not self.writes:
            return
        rounded = {k: float(f"{v:.6g}") if isinstance(v, float) else v for k, v in values.items()}
        try:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps({"step": step, **rounded}) + "\n")
        except OSError as error:
            raise OSError(f"{self.path} could not be written ({error}): make room, then go on.") from error


def read_log(path: Path | str) -> list[dict]:
    """All lines of a training log that can be read, oldest first; an empty list if there is none."""
    return [line for line in _read_lines(Path(path)) if line]


def _read_lines(path: Path) -> list[dict | None]:
    """The lines of a log, the last of them what follows the last line break; None: no object with a step."""
    return [_parsed(line) for line in path.read_bytes().split(b"\n")] if path.exists() else []


def _parsed(line: bytes) -> dict | None:
    try:
        values = json.loads(line)
        return values if isinstance(values["step"], int) else None
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def seconds_of(lines: list[dict]) -> float:
    """Time of a run over all calls of `train`: its clock starts anew when the run is resumed."""
    clock = [line["seconds"] for line in lines if "seconds" in line]
    return sum(now for now, after in zip(clock, [*clock[1:], 0.0], strict=True) if after < now)
