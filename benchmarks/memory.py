"""How much memory does a forward pass need?   python -m benchmarks.memory [--only SUBSTRING] [--threads 2]

Measures the peak of `VGGT.forward` above the weights, input and predictions included, for several networks,
numbers of views, sizes and heads, each case in a process of its own, and sets the estimate of
`vggt_lite.inference.memory_estimate.estimate_memory` beside it. Peaks do not depend on values, so weights are
one constant, written to every page; a first pass over one small view loads what libraries load only once.
Written to benchmarks/results/memory_<device>.json; tests/test_memory.py holds the estimate to those figures.
VGGT-1B takes 6 to 11 GB and, with eight views on two cores, about five minutes.
"""

import argparse
import json

import torch

from benchmarks import measure
from vggt_lite.config import HEADS, NANO, TINY, VGGT_1B
from vggt_lite.inference.chunked import chunked
from vggt_lite.inference.memory_estimate import MemoryEstimate, estimate_memory
from vggt_lite.model import VGGT
from vggt_lite.pretrained.loading import cast_linear_weights

CONFIGS = {"NANO": NANO, "TINY": TINY, "VGGT_1B": VGGT_1B}
DENSE, ALL_DENSE = ("camera", "depth"), ("camera", "depth", "point")


def case(config, views, height, width, heads=ALL_DENSE, queries=0, dtype="float32", stored=None) -> dict:
    """One row's conditions; `dtype` of the products in the aggregator, `stored` of its matrices."""
    sizes = {"config": config, "views": views, "height": height, "width": width}
    return sizes | {"heads": list(heads), "queries": queries, "dtype": dtype, "stored": stored or dtype}


CASES = [
    case("NANO", 64, 112, 112),
    case("NANO", 32, 224, 224, HEADS, 256),
    case("TINY", 8, 392, 518),
    case("TINY", 24, 224, 224),
    case("TINY", 4, 518, 518, HEADS, 1024),
    case("VGGT_1B", 1, 224, 224),
    case("VGGT_1B", 8, 224, 224),
    case("VGGT_1B", 4, 224, 224, HEADS, 1024),
    case("VGGT_1B", 1, 392, 518),
    case("VGGT_1B", 2, 392, 518, HEADS, 256),
    case("VGGT_1B", 1, 392, 518, dtype="bfloat16"),
    case("VGGT_1B", 4, 224, 224, dtype="bfloat16", stored="float32"),
    case("VGGT_1B", 4, 392, 518),
    case("VGGT_1B", 4, 392, 518, DENSE),
    case("VGGT_1B", 8, 392, 518),
    case("VGGT_1B", 16, 224, 224, ("camera",)),
]


def build(config: str, heads: list[str], stored: str, device: str) -> VGGT:
    """A network whose parameters take their room and mean nothing."""
    with torch.device("meta"):
        model = VGGT(CONFIGS[config].with_(heads=tuple(heads)))
        cast_linear_weights(model, getattr(torch, stored))
    model.to_empty(device=device)
    model.aggregator.register_constants()
    for parameter in model.parameters():
        parameter.data.fill_(0.01)
    return model.eval().to(device)


@torch.no_grad()
def peak(config, views, height, width, heads, queries, dtype, stored, device: str) -> dict:
    """Bytes of the weights, and of everything else at its highest."""
    model = build(config, heads, stored, device)
    small = 10 * model.config.patch_size

    def forward(images, count):
        points = torch.rand(count, 2) * 64 if count else None
        with torch.autocast(device, getattr(torch, dtype), enabled=dtype != stored, cache_enabled=False):
            return model(images.to(device), points)

    with chunked(model):
        forward(torch.rand(1, 3, small, small), min(queries, 1))
    with measure.PeakMemory(device) as memory, chunked(model):
        forward(torch.rand(views, 3, height, width), queries)
    return {
        "weights_bytes": sum(p.numel() * p.element_size() for p in model.parameters()),
        "peak_above_weights_bytes": memory.bytes,
    }


def estimate_of(row: dict, device: str = "cpu") -> MemoryEstimate:
    """What `estimate_memory` says about a row's conditions."""
    return estimate_memory(
        CONFIGS[row["config"]],
        row["views"],
        row["height"],
        row["width"],
        getattr(torch, row["dtype"]),
        tuple(row["heads"]),
        row["queries"],
        device=device,
        stored=getattr(torch, row["stored"]),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="cases whose description contains this; writes no file")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    report = measure.hardware(device) | {"threads": arguments.threads, "rows": []}
    for conditions in CASES:
        if arguments.only not in json.dumps(conditions):
            continue
        row = conditions | measure.in_child(
            "benchmarks.memory:peak", threads=arguments.threads, memory=True, device=device, **conditions
        )
        del row["peak_rss"]
        report["rows"].append(row)
        working = estimate_of(row).working
        off = (row["weights_bytes"] + working) / (row["weights_bytes"] + row["peak_above_weights_bytes"]) - 1
        print(row, f"estimate {working}, {off:+.1%} of the whole", flush=True)
    if not arguments.only:
        measure.write_result(f"memory_{measure.slug(device)}", report)


if __name__ == "__main__":
    main()
