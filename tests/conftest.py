"""What every test shares: number of threads, fixed seeds, the checkout importable, markers that select."""

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the package needs no installation to be tested

os.environ.setdefault("VGGT_LITE_QUIET", "1")  # no progress bars

import torch  # noqa: E402

from vggt_lite.utils.runtime import seed_everything  # noqa: E402

# Small tensors are quicker on one thread, and sums repeat exactly. Another number shows what depends on it.
torch.set_num_threads(int(os.environ.get("VGGT_LITE_TEST_THREADS", 1)))

# Where numbers are compared that rounding moves; single tests elsewhere carry the mark themselves
NUMERIC = {"geometry", "layers", "losses", "metrics", "model", "parity", "synthetic"}


@pytest.fixture(autouse=True)
def same_seeds_for_every_test():
    """A test's numbers must not depend on which tests ran before it."""
    seed_everything(0)


def pytest_collection_modifyitems(config, items):
    """Mark what is numeric; skip, with the reason, what needs a GPU or weights that are not there."""
    for item in items:
        if set(item.path.relative_to(ROOT).parts) & NUMERIC:
            item.add_marker("numeric")
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
        if item.get_closest_marker("weights") and not os.environ.get("VGGT_LITE_WEIGHTS"):
            item.add_marker(pytest.mark.skip(reason="set VGGT_LITE_WEIGHTS to a VGGT-1B checkpoint"))
