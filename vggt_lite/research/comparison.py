"""What a few runs show: means over seeds, paired differences, and whether these exceed the spread of seeds.

Two variants trained with the same seed saw the same scenes in the same order and began with the same weights,
so their *difference* is steadier than either score. With three seeds that is still little: a difference is
called clear only if the 95 % interval of its mean, by Student's t (4.3 standard errors for three seeds),
leaves out zero. Of twenty rows that differ by chance alone, one will be called clear.
"""

from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from statistics import mean, stdev

from vggt_lite.evaluation.metric_table import ROWS
from vggt_lite.metrics.intervals import STUDENT_T
from vggt_lite.utils.files import write_text
from vggt_lite.utils.table import markdown_table

SHOWN = ("point_error", "depth_abs_rel", "rotation_median_deg", "auc_30")


@dataclass(frozen=True)
class PairedDifference:
    """One score of one variant less that of the baseline, over the seeds that both have."""

    mean: float  # variant − baseline
    spread: float  # standard deviation over seeds; 0 with one seed
    margin: float | None  # half-width of the 95 % interval of the mean; None with one seed
    better: bool | None  # whether the mean lies on the better side; None: that side is unknown

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.margin is not None and abs(self.mean) > self.margin

    @property
    def verdict(self) -> str:
        if self.margin is None:
            return "one seed: no telling"
        if not self.clear:
            return "within the spread of seeds"
        pair = ("higher", "lower") if self.better is None else ("better", "worse")
        side = self.mean > 0 if self.better is None else self.better
        return f"{pair[0] if side else pair[1]}, beyond the spread of seeds"


@dataclass(frozen=True)
class Comparison:
    """Scores by key, variant and seed. Print it for a table."""

    scores: dict[str, dict[str, dict[int, float]]]  # key → variant → seed → value
    baseline: str
    runs: list[dict]

    def values(self, key: str, variant: str) -> list[float]:
        """One score of a variant, a value for each seed; empty where it has no such head."""
        return list(self.scores.get(key, {}).get(variant, {}).values())

    def difference(self, key: str, variant: str) -> PairedDifference | None:
        """A variant against the baseline over the seeds that both have; None if they share none."""
        ours, base = self.scores[key].get(variant, {}), self.scores[key].get(self.baseline, {})
        paired = [ours[seed] - base[seed] for seed in ours if seed in base]
        if not paired or variant == self.baseline:
            return None
        spread, margin = 0.0, None
        if len(paired) > 1:
            spread = stdev(paired)
            margin = STUDENT_T[min(len(paired) - 2, len(STUDENT_T) - 1)] * spread / sqrt(len(paired))
        direction = row(key)[1]
        better = (mean(paired) > 0) == (direction == "↑") if direction else None
        return PairedDifference(mean(paired), spread, margin, better)

    def code(self) -> str:
        """In a sentence, which code computed the runs."""
        found = {tuple(sorted(run["code"].items())) if "code" in run else None for run in self.runs}
        if found == {None}:
            return "Recorded before fingerprints: which code made these runs was not written down."
        if len(found) > 1:
            return "Careful: these runs were made by different code, so differences may not be the variants'."
        commits = ", ".join(sorted({run["commit"] for run in self.runs}))
        return f"All runs were made by the same code (commit {commits})."

    def to_markdown(self, keys: tuple[str, ...] = SHOWN) -> str:
        """A table for each score: mean ± standard deviation over seeds, difference, verdict."""
        parts = []
        for key in (key for key in keys if key in self.scores):
            label, better, decimals = row(key)
            lines = []
            for variant, by_seed in self.scores[key].items():
                found, difference = list(by_seed.values()), self.difference(key, variant)
                cells = [variant, len(found), plus_minus(found, decimals)]
                if difference is None:
                    cells += ["–", "baseline" if variant == self.baseline else "no seed in common"]
                else:
                    spread = "" if difference.margin is None else f" ± {difference.spread:.{decimals}f}"
                    cells += [f"{difference.mean:+.{decimals}f}{spread}", difference.verdict]
                lines.append(cells)
            heads = ("variant", "seeds", "mean ± standard deviation", "paired difference", "")
            said = {"↑": " (higher is better)", "↓": " (lower is better)"}
            parts.append(f"**{label}**{said.get(better, '')}")
            parts.append(markdown_table(heads, lines, "lrrr"))
        return "\n\n".join([*parts, self.code()]) + "\n"

    def __repr__(self) -> str:
        return self.to_markdown()


def compare_runs(runs: list[dict], baseline: str | None = None) -> Comparison:
    """Line up the final scores of runs.

    Args:
        runs: As `run_experiment` or `read_runs` give them.
        baseline: The variant that others are compared with; by default that of the first run.

    Raises:
        ValueError: no runs, no run of the baseline, or one variant and seed twice.
    """
    if not runs:
        raise ValueError("runs is empty: call run_experiment, or read_runs on its folder.")
    baseline = baseline or runs[0]["variant"]
    if baseline not in (names := {run["variant"] for run in runs}):
        raise ValueError(f"no run of baseline={baseline!r}; there are {sorted(names)}.")
    scores: dict[str, dict[str, dict[int, float]]] = {}
    for run in runs:
        for key, value in run["scores"][-1].items():
            if key == "step":
                continue
            by_seed = scores.setdefault(key, {}).setdefault(run["variant"], {})
            if run["seed"] in by_seed:
                raise ValueError(f"two runs of {run['variant']!r} with seed {run['seed']}: keep one of them.")
            by_seed[run["seed"]] = value
    return Comparison(scores, baseline, runs)


def curves(runs: list[dict], key: str) -> list[dict]:
    """Held-out curves for `viz.draw_curves`: at each step, every variant's mean over seeds."""
    found: dict[int, dict[str, list[float]]] = {}
    for run in runs:
        for line in run["scores"]:
            if key in line:
                found.setdefault(line["step"], {}).setdefault(run["variant"], []).append(line[key])
    means = {step: {name: mean(values) for name, values in found[step].items()} for step in sorted(found)}
    return [{"step": step} | values for step, values in means.items()]


def write_report(
    comparison: Comparison, path: Path | str, title: str, question: str, keys: tuple[str, ...] = SHOWN
) -> Path:
    """One page of Markdown, and beside it a page with the curves of the first key.

    Args:
        path: Ends in .md; the page with the curves gets the same name with .html.
        title: Of the page.
        question: What was changed and why: a sentence or two of yours.
        keys: Scores to show, the most important one first.
    """
    from vggt_lite.viz import draw_curves, figure_block, write_page  # plotly takes a second to import

    path, runs = Path(path), comparison.runs
    recipe, first = runs[0]["recipe"], keys[0]
    seeds, variants = sorted({r["seed"] for r in runs}), list(dict.fromkeys(r["variant"] for r in runs))
    minutes = mean(run["seconds"] for run in runs) / 60
    drawn = [name for name in variants if comparison.values(first, name)]
    label, better, _ = row(first)
    fig = draw_curves(curves(runs, first), drawn, log=False, ylabel=f"{label} {better}")
    said = f"{label} of every variant against training steps, mean over seeds."
    page = write_page(path.with_suffix(".html"), title, [figure_block(fig, said)])
    listed = []
    for name in variants:
        run = next(run for run in runs if run["variant"] == name)
        shared = f"; {run['shared_parameters']} begin as the recipe's" if "shared_parameters" in run else ""
        changes = run["changes"] or "the recipe as it is"
        listed.append(f"- *{name}*: {changes}. {run['parameters']:,} numbers{shared}.")
    where = {f"{run['hardware']} ({run.get('precision', 'precision not recorded')})" for run in runs}
    setting = (
        f"Every run: {recipe['train']['steps']} steps of {recipe['train']['max_images']} images of "
        f"{recipe['size']} pixels; {minutes:.1f} minutes a run on {', '.join(sorted(where))}. "
        f"Seeds {', '.join(map(str, seeds))}. Scored on "
        f"{recipe['scored_scenes']} held-out scenes of {recipe['scored_views']} views."
    )
    text = [
        f"# {title}", question, "## Setting", setting, "\n".join(listed), "## What came out",
        comparison.to_markdown(keys).strip(),
        "Differences are paired by seed. *Beyond the spread of seeds*: the 95 % interval of the mean "
        "difference (Student's t) leaves out zero. Of twenty differences that mean nothing, one passes.",
        f"[{said}]({page.name})",
    ]  # fmt: skip
    write_text(path, "\n\n".join(text) + "\n")
    return path


def row(key: str) -> tuple[str, str, int]:
    """(what people read, the better direction, decimals) of a score; of your own its name, "" and 4."""
    return ROWS.get(key, (key, "", 4))


def plus_minus(values: list[float], decimals: int) -> str:
    """Mean ± standard deviation (of n − 1); the value alone where there is one."""
    spread = f" ± {stdev(values):.{decimals}f}" if len(values) > 1 else ""
    return f"{mean(values):.{decimals}f}{spread}"
