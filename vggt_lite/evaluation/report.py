"""`Report`: figures together with all that is needed to get them again."""

import json
import math
import platform
import re
import time
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import torch
from torch import Tensor

import vggt_lite
from vggt_lite.evaluation.metric_groups import depth_key
from vggt_lite.evaluation.metric_table import ALIGNED_BY, DEPTH_ROWS, rows_of
from vggt_lite.metrics.intervals import bootstrap_interval, group_mean
from vggt_lite.pretrained.loading import BUNDLED
from vggt_lite.utils.files import write_text
from vggt_lite.utils.runtime import pick_dtype
from vggt_lite.utils.table import markdown_table

NUMBERED = ("parallax", "overlap")  # classes of scenes with a table each; these are ranges of per cents
CLASSES = ("group", "place", "path", *NUMBERED)
MOST_DEGREES = 180  # an angle between rotations cannot be larger
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Counts = Annotated[list[Count], msgspec.Meta(min_length=MOST_DEGREES + 1, max_length=MOST_DEGREES + 1)]


class Scene(msgspec.Struct):
    """What a report's file says of each scene, at least."""

    name: str
    group: str
    model: dict[str, float]
    constant: dict[str, float]
    frames: list[str] = []


class Protocol(msgspec.Struct):
    """What it says of how it was measured, at least."""

    text: str
    hardware: str
    seconds: float
    unit: str = ""
    precision: str = ""


class Histograms(msgspec.Struct):
    """How many pairs of views have which error."""

    rotation: Counts
    translation: Counts
    larger: Counts


class Stored(msgspec.Struct):
    """A report's file."""

    model: dict[str, float]
    constant: dict[str, float]
    protocol: Protocol
    scenes: list[Scene] = []
    histograms: Histograms | None = None


@dataclass
class Report:
    """Scores of a model, of a constant answer, and how they were measured.

    Attributes:
        model, constant: figures by the keys of `metric_table.ROWS`.
        protocol: text, seeds, sizes, `conditions`, weights; "data" names a data set. "apart": groups are
            other tasks, shown side by side, not as their mean.
        scenes: one per scene: {"name", "group", "frames", "model": {key: value}, "constant": {…}}; figures
            of a report on a data set are means over groups of means over their scenes.
        histograms: "rotation", "translation" and "larger" (of the two): how many pairs of views have an error
            of 0 … 1°, 1 … 2°, …; the last of 181 entries counts errors that are not finite.
    """

    model: dict[str, float]
    constant: dict[str, float]
    protocol: dict
    scenes: list[dict] = field(default_factory=list)
    histograms: dict[str, list[int]] = field(default_factory=dict)

    @staticmethod
    def of_scenes(scenes: list[dict], protocol: dict, histograms: dict[str, list[int]]) -> "Report":
        """A report whose figures are the means of those of its scenes."""
        if not scenes:
            raise ValueError("a report needs at least one scene.")
        figures = {}
        for who in ("model", "constant"):
            keys = dict.fromkeys(key for scene in scenes for key in scene[who])
            groups = [scene["group"] for scene in scenes]
            means = {key: group_mean([s[who].get(key) for s in scenes], groups) for key in keys}
            figures[who] = {key: value for key, value in means.items() if not math.isnan(value)}
        return Report(figures["model"], figures["constant"], protocol, scenes, histograms)

    def __getitem__(self, key: str) -> float:
        return self.model[key]

    def interval(self, key: str, who: str = "model") -> tuple[float, float] | None:
        """Of a mean over scenes: its 95 % bootstrap interval; None where scenes were not kept."""
        values = [scene[who].get(key) for scene in self.scenes]
        if sum(value is not None for value in values) < 2:
            return None
        return bootstrap_interval(values, [scene["group"] for scene in self.scenes])

    def save(self, path: Path | str) -> Path:
        """Write JSON, one line for each scene."""
        content = {"model": self.model, "constant": self.constant, "protocol": self.protocol}
        text = json.dumps(content, indent=1, ensure_ascii=False)[:-2]
        if self.scenes:
            lines = ",\n  ".join(json.dumps(scene, ensure_ascii=False) for scene in self.scenes)
            text += f',\n "scenes": [\n  {lines}\n ]'
        if self.histograms:
            counts = [f'"{kind}": {json.dumps(numbers)}' for kind, numbers in self.histograms.items()]
            lines = ",\n  ".join(counts)
            text += f',\n "histograms": {{\n  {lines}\n }}'
        write_text(path, text + "\n}\n")
        return Path(path).expanduser()

    @staticmethod
    def load(path: Path | str) -> "Report":
        """What `save` wrote.

        Raises:
            FileNotFoundError: there is no such file. ValueError: the file is no report.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f"{path} is no file: make a report with vggt-lite evaluate --out FILE.")
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            msgspec.convert(content, Stored)
            return Report(**content)
        except (ValueError, TypeError, RecursionError, MemoryError) as error:
            raise ValueError(
                f"{path} is no report ({error}): make one with vggt-lite evaluate --out FILE."
            ) from error

    def cell(self, key: str, decimals: int, who: str = "model", interval: bool = False) -> str:
        """A figure as people read it, its interval in brackets where asked for; – where there is none."""
        if key not in (figures := getattr(self, who)):
            return "–"
        ends = self.interval(key, who) if interval else None
        between = f" [{ends[0]:.{decimals}f}, {ends[1]:.{decimals}f}]" if ends else ""
        return f"{figures[key]:.{decimals}f}{between}"

    def to_markdown(self) -> str:
        """The protocol in a sentence, then a table: one row per figure, model beside constant.

        Depth under other alignments has a table of its own; so have groups of scenes, if there are any.
        """
        apart = self.apart()
        columns = [(report, who) for report in apart.values() for who in ("model", "constant")]
        heads = ["", ""]
        for group in apart:
            heads += [f"{group}: model" if group else "model", "constant predictor"]
        rows = figure_rows(columns, without=DEPTH_ROWS, intervals=len(apart) > 1)
        parts = [self.protocol["text"], markdown_table(heads, rows, "ll" + "r" * len(columns))]
        parts += [self._by_alignment(), *map(self._by, CLASSES)]
        said = self.protocol
        precision = f", {said['precision']}," if "precision" in said else ""
        made = f"Measured on {said['hardware']}{precision} in {said['seconds']:.0f} s."
        return "\n\n".join(filter(None, [*parts, made])) + "\n"

    def groups(self, what: str = "group") -> dict[str, "Report"]:
        """A report of each class of scenes, one of `CLASSES`; classes of numbers from low to high."""
        groups: dict[str, list[dict]] = {}
        for scene in self.scenes:
            groups.setdefault(scene.get(what, ""), []).append(scene)
        if what in NUMBERED:
            groups = dict(
                sorted(groups.items(), key=lambda item: int((re.findall(r"\d+", item[0]) or [-1])[0]))
            )
        return {group: Report.of_scenes(scenes, self.protocol, {}) for group, scenes in groups.items()}

    def apart(self) -> dict[str, "Report"]:
        """What is shown side by side: groups where they are other tasks, else the report itself, named ""."""
        return self.groups() if self.protocol.get("apart") else {"": self}

    def _by_alignment(self) -> str:
        """A table of depth under each alignment; none where a report knows the median only."""
        if not self.model.keys() & DEPTH_ROWS.keys():
            return ""
        rows = []
        for (group, report), (name, label) in product(self.apart().items(), ALIGNED_BY.items()):
            shown = ((depth_key("abs_rel", name), 3), (depth_key("delta_125", name), 1))
            if shown[0][0] in report.model:
                cells = [report.cell(*figure, who) for figure in shown for who in ("model", "constant")]
                rows.append([f"{group}: {label}" if group else label, *cells])
        heads = ("depth, aligned by", "AbsRel ↓", "constant", "within 1.25, % ↑", "constant")
        return markdown_table(heads, rows, "lrrrr")

    def _by(self, what: str) -> str:
        """A table with one row per class of scenes, where there are several."""
        groups = self.groups(what)
        if len(groups) < 2 or len(self.apart()) > 1:
            return ""
        shown = self.model.keys() - DEPTH_ROWS.keys()
        known = {key: row for key, row in rows_of(self.protocol).items() if key in shown}
        rows = []
        for group, means in groups.items():
            rows.append([group, len(means.scenes), *(means.cell(key, row[2]) for key, row in known.items())])
        heads = [what if what in NUMBERED else "", "scenes", *(row[0] for row in known.values())]
        return markdown_table(heads, rows, "l" + "r" * (len(heads) - 1))

    def __repr__(self) -> str:
        return self.to_markdown()


def figure_rows(
    columns: Sequence[tuple[Report, str]], without: Container[str] = (), intervals: bool = False
) -> list[list[str]]:
    """A row for each figure that any report holds: what it is, the better direction, a cell per column.

    Args:
        columns: (report, "model" or "constant").
        without: keys to leave out.
        intervals: whether a model's figure is followed by its interval.
    """
    rows: dict[str, tuple] = {}
    for report, _ in columns:
        known = rows_of(report.protocol, report.model)
        rows |= {key: row for key, row in known.items() if key not in rows}
    return [
        [label, direction, *(r.cell(key, decimals, who, intervals and who == "model") for r, who in columns)]
        for key, (label, direction, decimals) in rows.items()
        if key not in without and any(key in report.model for report, _ in columns)
    ]


def bundled_report(name: str) -> Report:
    """What a bundled model scored on its held-out scenes, as committed beside its weights.

    Raises:
        FileNotFoundError: No report for a model of that name.
    """
    path = BUNDLED / f"{name}_evaluation.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: vggt-lite evaluate --weights {name} --out {path}.")
    return Report.load(path)


def conditions(device: torch.device | str, started: float, precision: str = "exact") -> dict:
    """Of a protocol: seconds since `time.monotonic()` was `started`, device, versions, and as "precision" the
    number format of the products that `precision` takes on this device; "computed" is `precision` itself."""
    return {
        "seconds": round(time.monotonic() - started, 1), "device": str(device), "hardware": hardware(device),
        "computed": precision, "precision": str(pick_dtype(device, precision)).removeprefix("torch."),
        "versions": versions(),
    }  # fmt: skip


def hardware(device: torch.device | str) -> str:
    """The name of what computed, for people."""
    device, cpuinfo = torch.device(device), Path("/proc/cpuinfo")
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    text = cpuinfo.read_text(encoding="utf-8") if cpuinfo.exists() else ""
    found = re.search(r"^model name\s*:\s*(.+)", text, re.MULTILINE)
    name = found[1] if found else platform.processor() or platform.machine()
    return f"{name}, {torch.get_num_threads()} thread(s)"


def versions() -> dict[str, str]:
    """Of what the numbers depend on."""
    ours = {"torch": torch.__version__, "numpy": np.__version__, "vggt_lite": vggt_lite.__version__}
    return {"python": platform.python_version(), **ours}


def pair_histograms(rotation: Tensor, translation: Tensor) -> dict[str, list[int]]:
    """The histograms of a `Report`, from errors of pairs of views (N,) in degrees."""
    errors = {"rotation": rotation, "translation": translation}
    found = {}
    for name, values in {**errors, "larger": torch.maximum(rotation, translation)}.items():
        finite = values[values.isfinite()].long().clamp(max=MOST_DEGREES - 1)
        counts = torch.bincount(finite, minlength=MOST_DEGREES).tolist()
        found[name] = [*counts, len(values) - len(finite)]
    return found
