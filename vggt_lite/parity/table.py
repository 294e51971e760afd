"""`Table`: what a comparison found, stage by stage, for people, notebooks and JSON."""

import math
from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor

from vggt_lite.parity.stages import PARTS, part
from vggt_lite.utils.table import html_table, text_table

FLOOR = 2e-6  # of the largest magnitude: what float32 rounding leaves even where nothing was measured
SLACK = 10.0  # how many times the rounding noise a faithful implementation may be away
HEADS = ("computed in", "on", "max abs", "relative", "÷ tolerance", "")


def allowed(want: Tensor, noise: float = 0.0) -> float:
    """The largest difference that counts as equal: 10 × max(noise, 2e-6 · max|x|).

    `noise` is how far rounding alone moves these numbers, measured.
    """
    return SLACK * max(noise, FLOOR * want.double().abs().max().item())


def distance(got: Tensor, want: Tensor) -> float:
    """Largest |a − b| of two tensors of equally many elements, on the CPU in float64.

    Infinite if the number of elements differs or anything is NaN.
    """
    if got.numel() != want.numel():
        return math.inf
    got, want = (x.detach().cpu().double().flatten() for x in (got, want))
    error = (got - want).abs().max().item()
    return math.inf if math.isnan(error) else error


@dataclass(frozen=True)
class Row:
    """One stage of one comparison."""

    stage: str
    max_abs: float  # largest |a − b|, in the stage's own unit
    relative: float  # the same ÷ largest |b|
    tolerance: float | None  # None: shown, not judged, as long as it is finite
    ok: bool
    dtype: str = "float32"  # the type in which the stage was computed
    device: str = "cpu"
    case: str = ""

    @property
    def ratio(self) -> float | None:
        """Error ÷ tolerance: at most 1 passes; None where nothing is judged."""
        if self.tolerance is None:
            return None
        if not self.tolerance:
            return 0.0 if self.ok else math.inf
        return self.max_abs / self.tolerance

    @property
    def name(self) -> str:
        """Stage and case in one."""
        return f"{self.case}/{self.stage}" if self.case else self.stage

    def __str__(self) -> str:
        limit = "" if self.tolerance is None else f", tolerance {self.tolerance:.1e}"
        return f"{self.name} ({self.dtype}, {self.device}): off by {self.max_abs:.1e}{limit}"


def compare(stage: str, got: Tensor, want: Tensor, tolerance: float | None, **about) -> Row:
    """A row for two tensors; their shapes may differ where the number of elements agrees."""
    error, largest = distance(got, want), want.double().abs().max().item()
    ok = math.isfinite(error) and (tolerance is None or error <= tolerance)
    return Row(stage, error, error / largest if largest else error, tolerance, ok, **about)


@dataclass
class Table:
    """Rows of one comparison, in the order of computation.

    `print(table)` shows every row, `table.by_part()` is a line per part of the network; a notebook draws
    all rows.
    """

    title: str
    rows: list[Row] = field(default_factory=list)
    seconds: float = 0.0
    about: dict = field(default_factory=dict)  # what was compared: sizes, seeds, how tolerances came about

    @property
    def first_failure(self) -> Row | None:
        """The first stage that is off: later ones may only have inherited its error."""
        return next((row for row in self.rows if not row.ok), None)

    @property
    def ok(self) -> bool:
        """Something was compared, and nothing is off."""
        return bool(self.rows) and self.first_failure is None

    @property
    def worst(self) -> Row | None:
        """The row that comes closest to its tolerance; where none is judged, the largest relative error."""
        judged = [row for row in self.rows if row.tolerance is not None]
        if judged:
            return max(judged, key=lambda row: row.ratio)
        return max(self.rows, key=lambda row: row.relative, default=None)

    def verdict(self) -> str:
        """One line: how many passed, and the first failure or the worst of those that passed."""
        if self.first_failure:
            off = sum(not row.ok for row in self.rows)
            return f"OFF: {off} of {len(self.rows)} stages; the first is {self.first_failure}"
        if self.worst is None:
            return "nothing was compared"
        worst, count = self.worst, f"ok: {len(self.rows)} stages"
        if worst.ratio is None:
            return f"{count}, largest relative error {worst.relative:.1e} ({worst.stage})"
        return f"{count}, the worst at {worst.ratio:.2f} of its tolerance ({worst.stage})"

    def by_part(self) -> str:
        """A text with a line for every part of the network: the worst of its stages in all cases."""
        groups = {name: [row for row in self.rows if part(row.stage) == name] for name in PARTS}
        lines = [cells(PARTS[name], rows) for name, rows in groups.items() if rows]
        return "\n".join([self.title, text_table(["part", *HEADS], lines), self.verdict()])

    def __str__(self) -> str:
        lines = [cells(row.name, [row]) for row in self.rows]
        return "\n".join([self.title, text_table(["stage", *HEADS], lines), self.verdict()])

    def _repr_html_(self) -> str:
        lines = [cells(row.name, [row]) for row in self.rows]
        return html_table(["stage", *HEADS], lines, caption=f"{self.title}. {self.verdict()}")

    def to_dict(self) -> dict:
        """Plain values for JSON; infinity and NaN, which JSON lacks, become None."""

        def plain(value):
            return None if isinstance(value, float) and not math.isfinite(value) else value

        first = self.first_failure
        head = {"title": self.title, "ok": self.ok, "first_failure": first and str(first)}
        rows = [{key: plain(value) for key, value in asdict(row).items()} for row in self.rows]
        return head | {"seconds": round(self.seconds, 1), **self.about, "rows": rows}


def cells(name: str, rows: list[Row]) -> list[str]:
    """One line of a table: the worst values of some rows."""
    ratios = [row.ratio for row in rows if row.ratio is not None]
    return [
        name,
        ", ".join(sorted({row.dtype for row in rows})),
        ", ".join(sorted({row.device for row in rows})),
        f"{max(row.max_abs for row in rows):.1e}",
        f"{max(row.relative for row in rows):.1e}",
        f"{max(ratios):{'.2f' if max(ratios) < 1000 else '.0e'}}" if ratios else "",
        "ok" if all(row.ok for row in rows) else "OFF",
    ]


def type_name(dtype: torch.dtype) -> str:
    """ "float32" for torch.float32."""
    return str(dtype).removeprefix("torch.")
