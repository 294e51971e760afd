"""The training log: one JSON object per line, and never a line twice.

Each line has `step` (steps done when it was written), the means of the loss terms over the steps since
the line before, and what else the loop has to say. `read_log` returns the lines as dictionaries.
"""

import json
from pathlib import Path

import torch
from torch import Tensor

from vggt_lite.utils.files import atomic_write


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

    Lines after that step come from work that was lost when a run was killed; they are dropped, and so
    is a last line cut in half.

    Args:
        writes: False writes nothing: of several processes only the first does.
    """

    def __init__(self, path: Path, step: int, writes: bool = True) -> None:
        self.path, self.writes = Path(path), writes
        if not writes:
            return
        kept = [line for line in read_log(self.path) if line["step"] <= step]
        with atomic_write(self.path) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")

    def write(self, step: int, values: dict) -> None:
        if not self.writes:
            return
        rounded = {k: float(f"{v:.6g}") if isinstance(v, float) else v for k, v in values.items()}
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **rounded}) + "\n")


def read_log(path: Path | str) -> list[dict]:
    """All complete lines of a training log, oldest first; an empty list if there is none."""
    lines = []
    if Path(path).exists():
        for line in Path(path).read_text(encoding="utf-8").splitlines():
            try:
                lines.append(json.loads(line))
            except json.JSONDecodeError:  # cut off by a kill; only the last line can be
                break
    return lines


def seconds_of(lines: list[dict]) -> float:
    """Time of a run over all calls of `train`: its clock starts anew when the run is resumed."""
    clock = [line["seconds"] for line in lines if "seconds" in line]
    return sum(now for now, after in zip(clock, [*clock[1:], 0.0], strict=True) if after < now)
