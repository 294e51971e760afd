"""Experiments, comparisons, fine-tuning, presets, several processes."""

from vggt_lite.research.comparison import Comparison, compare_runs, write_report
from vggt_lite.research.experiment import BASELINE, SMALL_RECIPE, Recipe, Variant, read_runs, run_experiment

__all__ = [
    "BASELINE", "SMALL_RECIPE", "Comparison", "Recipe", "Variant", "compare_runs", "read_runs",
    "run_experiment", "write_report",
]  # fmt: skip
