"""What every test shares: one thread, fixed seeds, the checkout importable, markers that select."""

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the package needs no installation to be tested

os.environ.setdefault("VGGT_LITE_QUIET", "1")  # no progress bars

import torch  # noqa: E402

from vggt_lite.utils.runtime import seed_everything  # noqa: E402

torch.set_num_threads(1)  # small tensors are quicker on one thread, and sums repeat exactly


@pytest.fixture(autouse=True)
def same_seeds_for_every_test():
    """A test's numbers must not depend on which tests ran before it."""
    seed_everything(0)


def pytest_collection_modifyitems(config, items):
    """Tests marked gpu or weights need something a plain machine lacks: skip them with the reason."""
    for item in items:
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
        if item.get_closest_marker("weights") and not os.environ.get("VGGT_LITE_WEIGHTS"):
            item.add_marker(pytest.mark.skip(reason="set VGGT_LITE_WEIGHTS to a VGGT-1B checkpoint"))
