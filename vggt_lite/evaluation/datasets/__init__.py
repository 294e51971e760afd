"""Data sets that others measure on, read from the layouts in which they are published.

Each module knows one: which frames its protocol takes (`samples`), and how they are judged (`score`). What
to download and where to put it: docs/evaluation.md.
"""

from vggt_lite.evaluation.datasets.benchmark import DATA_SETS, evaluate_data
from vggt_lite.evaluation.datasets.sample import Options, Sample, Scored

__all__ = ["DATA_SETS", "Options", "Sample", "Scored", "evaluate_data"]
