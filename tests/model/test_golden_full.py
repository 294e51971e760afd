"""VGGT-1B gives the official network's numbers, every stage of it, in less memory than a laptop has."""

import gc
import resource
import sys
import time

import pytest
import torch

from tests.golden.loader import load, metadata
from vggt_lite import VGGT_1B
from vggt_lite.parity.checks import golden_rows
from vggt_lite.parity.deterministic_weights import deterministic_model
from vggt_lite.parity.table import Table

GOLD, INFO = load("full"), metadata("full")
GIB = 2**30


def peak_memory() -> int:
    """The most this process has held since it began, bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


@pytest.fixture(scope="module")
def model():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    model = deterministic_model(VGGT_1B)
    yield model
    del model
    gc.collect()  # 5 GB: they must not stay behind for the tests that follow
    torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.parametrize("case", INFO["cases"])
def test_every_stage_and_output_of_vggt_1b_equals_the_official_one(model, case, record_property):
    started = time.monotonic()
    table = Table(case, golden_rows(model, case, INFO, GOLD))
    record_property("worst", f"{table.worst.ratio:.3f} {table.worst.stage}")
    record_property("seconds", round(time.monotonic() - started, 1))
    assert len(table.rows) == sum(key.startswith(f"{case}/") for key in GOLD)
    assert table.ok, table.verdict()


@pytest.mark.slow
def test_the_whole_comparison_needs_at_most_12_gib(model, record_property):
    record_property("peak", f"{peak_memory() / GIB:.2f} GiB")
    assert peak_memory() <= 12 * GIB
