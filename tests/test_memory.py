"""What a forward pass needs is known beforehand, to 15 % of what was measured."""

import json
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import measure
from benchmarks import memory as benchmark
from vggt_lite import VGGT
from vggt_lite.config import HEADS, NANO, TINY, VGGT_1B
from vggt_lite.inference.memory_estimate import (
    MemoryEstimate,
    count_weights,
    estimate_memory,
    gigabytes,
    views_that_fit,
)
from vggt_lite.pretrained.loading import cast_linear_weights

MEASURED = json.loads((Path(benchmark.__file__).parent / "results" / "memory_cpu.json").read_text())["rows"]


def name(row: dict) -> str:
    return f"{row['config']}-{row['views']}x{row['height']}x{row['width']}-{len(row['heads'])}-{row['dtype']}"


def is_quick(row: dict) -> bool:
    return row["views"] * row["height"] * row["width"] < 500_000 and row["queries"] < 1000


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, marks=[] if is_quick(row) else pytest.mark.slow) for row in MEASURED],
    ids=map(name, MEASURED),
)
def test_the_estimate_is_within_15_percent_of_what_was_measured(row):
    estimate = benchmark.estimate_of(row)
    measured = row["weights_bytes"] + row["peak_above_weights_bytes"]
    assert estimate.weights == row["weights_bytes"]
    assert abs(estimate.total / measured - 1) <= 0.15
    # Weights are most of it and known exactly: what comes on top is held to nearly as much by itself.
    assert abs(estimate.working / row["peak_above_weights_bytes"] - 1) <= 0.2


def test_the_measurements_cover_what_decides(measured=MEASURED):
    for wanted in (
        {"config": "VGGT_1B", "views": 4, "height": 392, "width": 518},
        {"config": "VGGT_1B", "dtype": "bfloat16"},
        {"config": "VGGT_1B", "stored": "float32", "dtype": "bfloat16"},
        {"config": "VGGT_1B", "queries": 1024},
        {"config": "NANO"},
        {"config": "TINY"},
    ):
        assert any(wanted.items() <= row.items() for row in measured), wanted
    assert {len(row["heads"]) for row in measured} == {1, 2, 3, 4}


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are compared with Linux's high water mark")
@pytest.mark.parametrize(
    "conditions",
    [
        benchmark.case("NANO", 48, 112, 112),
        pytest.param(benchmark.case("NANO", 24, 168, 168, HEADS, 256), marks=pytest.mark.slow),
    ],
    ids=["dense", "track"],
)
def test_the_network_still_needs_what_the_estimate_says(conditions):
    """Measured now, in a process of its own: notices when the network changes and the formulas do not."""
    row = measure.in_child("benchmarks.memory:peak", memory=True, threads=1, device="cpu", **conditions)
    estimate = benchmark.estimate_of(conditions)
    assert abs(estimate.working / row["peak_above_weights_bytes"] - 1) <= 0.15


@pytest.mark.parametrize("config", [NANO, NANO.with_(patch_embed="conv", num_registers=2), TINY])
@pytest.mark.parametrize("heads", [HEADS, ("camera",), ("depth", "track"), ("point",), ()])
def test_weights_are_counted_exactly(config, heads):
    model = VGGT(config.with_(heads=heads))
    matrices, others = count_weights(model.config)
    assert matrices + others == sum(p.numel() for p in model.parameters())
    cast_linear_weights(model, torch.bfloat16)
    stored = sum(p.numel() * p.element_size() for p in model.parameters())
    assert 2 * matrices + 4 * others == stored


def test_vggt_1b_has_as_many_weights_as_the_released_one():
    assert sum(count_weights(VGGT_1B)) == 1_256_537_516


def test_more_of_anything_needs_more():
    scene = {"config": NANO, "views": 2, "height": 64, "width": 64, "heads": ("camera", "depth", "track")}
    base = estimate_memory(**scene)
    assert base.working < estimate_memory(**scene | {"views": 3}).working
    assert base.working < estimate_memory(**scene | {"height": 72}).working
    assert base.working < estimate_memory(**scene, query_points=512).working
    assert base.total > estimate_memory(**scene | {"heads": ("camera",)}).total
    rounded = estimate_memory(**scene, dtype=torch.bfloat16)
    assert rounded.weights < 0.8 * base.weights
    stored = estimate_memory(**scene, dtype=torch.bfloat16, stored=torch.float32)
    assert stored.weights == base.weights and stored.working == rounded.working


def test_chunks_of_a_gpu_are_larger():
    scene = {"views": 24, "height": 112, "width": 112, "heads": ("camera",)}
    assert estimate_memory(NANO, **scene).working < estimate_memory(NANO, **scene, device="cuda").working


@pytest.mark.parametrize("views", [1, 2, 100])
def test_the_views_that_fit_are_the_most_that_fit(views):
    sizes = {"height": 112, "width": 112, "heads": ("camera",)}
    needed = estimate_memory(NANO, views, **sizes).working
    assert views_that_fit(NANO, available=needed, **sizes) == views
    assert views_that_fit(NANO, available=needed - 1, **sizes) == views - 1
    assert views_that_fit(NANO, available=-5, **sizes) == 0


def test_an_estimate_reads_as_a_sentence():
    estimate = MemoryEstimate(weights=5_000_000_000, stages={"the ViT": 1000, "the depth head": 250_000_000})
    assert str(estimate) == "5.25 GB: weights 5.00 GB, and 250 MB while it runs, most in the depth head"
    assert gigabytes(999e6) == "999 MB" and gigabytes(1e9) == "1.00 GB"


@pytest.mark.parametrize("views, height, width", [(0, 392, 518), (1, 390, 518), (1, 392, 0), (1, 392, 519)])
def test_impossible_scenes_are_refused(views, height, width):
    with pytest.raises(ValueError, match="multiples of the patch size 14"):
        estimate_memory(VGGT_1B, views, height, width)
