"""How long, and at what price, for ten thousand scenes?

    python -m benchmarks.throughput update                              the tables of docs/throughput.md
    python -m benchmarks.throughput --peak 989 --share 0.3 --price 2.5  hours and price on a GPU of your own

Operations of VGGT-1B, camera and depth heads, are *counted*: the network runs on torch's fake tensors and
`torch.utils.flop_counter` adds up matrix products, convolutions and attention; a multiplication and an
addition are two. Nothing here was measured on a GPU. `--peak` is the TFLOP/s that the GPU's maker states for
bfloat16, `--share` the part of it that you reach, `--price` what an hour of it costs you.

All views of a scene attend to each other, so its operations are exactly a · S + b · S² for S views; the
network runs twice to find a and b.
"""

import argparse
import json
import math
from dataclasses import dataclass
from functools import cache

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from benchmarks import measure
from benchmarks.inference import FAST, NEW
from tools.training_report import put_between
from vggt_lite import VGGT_1B
from vggt_lite.config import ModelConfig
from vggt_lite.inference.memory_estimate import fake_model
from vggt_lite.utils.files import write_text
from vggt_lite.utils.table import markdown_table

PAGE = measure.ROOT / "docs" / "throughput.md"
HEADS, SCENES, VIEWS = ("camera", "depth"), 10_000, (2, 8, 32, 100)
SIZE, PUBLISHED_SIZE = (392, 518), (336, 518)  # height, width
# VGGT's README, "Runtime and GPU Memory" (the paper's table 9): frames → seconds of the aggregator alone, one
# H100, FlashAttention 3, 518 × 336 pixels.
PUBLISHED = {1: 0.04, 2: 0.05, 4: 0.07, 8: 0.11, 10: 0.14, 20: 0.31, 50: 1.04, 100: 3.12, 200: 8.75}
ASSUMED = 100.0  # TFLOP/s that a GPU really does, for a table that is easy to scale


@dataclass(frozen=True)
class Operations:
    """a · S + b · S² operations of one part of the network for S views."""

    linear: int
    quadratic: int

    def __call__(self, views: int) -> int:
        return self.linear * views + self.quadratic * views**2


def attention(q, k, v, *_, **options) -> int:
    """Operations of torch's attention on a CPU, which its counter does not know; arguments are shapes."""
    return sdpa_flop_count(q, k, v)


def counted(config: ModelConfig, views: int, height: int, width: int) -> dict[str, int]:
    """Operations of the aggregator and of each head for a scene, by counting."""
    model = fake_model(config).requires_grad_(False)
    known = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: attention}
    with model.fake_mode, FlopCounterMode(display=False, custom_mapping=known) as counter:
        model.forward_unchecked(torch.empty(1, views, 3, height, width), None)
    found = counter.get_flop_counts()
    return {"aggregator": sum(found["Aggregator"].values())} | {
        "camera head": sum(found.get("CameraHead", {}).values()),
        "depth head": sum(found.get("DenseHead", {}).values()),
    }


@cache
def operations(config: ModelConfig, height: int, width: int) -> dict[str, Operations]:
    """Of the aggregator, the camera head and the depth head, for any number of views."""
    one, two = (counted(config, views, height, width) for views in (1, 2))
    return {part: Operations(2 * one[part] - two[part] // 2, two[part] // 2 - one[part]) for part in one}


def hours(operations: float, tflops: float, scenes: int = SCENES, gpus: int = 1) -> float:
    """Of every one of `gpus` processors that share `scenes`, each scene on one of them.

    Args:
        operations: of a scene.
        tflops: what a processor really does in a second: its peak times the share that is reached.
    """
    return scenes * operations / (tflops * 1e12) / 3600 / gpus


def scene_operations(views: int) -> int:
    """Of a whole forward pass of VGGT-1B with the heads that `reconstruct` needs."""
    return sum(part(views) for part in operations(VGGT_1B.with_(heads=HEADS), *SIZE).values())


def published_tflops(views: int) -> float:
    """TFLOP/s of an H100 in the aggregator: operations counted, seconds published."""
    aggregator = operations(VGGT_1B.with_(heads=HEADS), *PUBLISHED_SIZE)["aggregator"]
    return aggregator(views) / PUBLISHED[views] / 1e12


def tera(count: float) -> str:
    """TFLOP, three digits."""
    return f"{count / 1e12:.{max(0, 2 - math.floor(math.log10(count / 1e12)))}f}"


def counted_table() -> str:
    parts = operations(VGGT_1B.with_(heads=HEADS), *SIZE)
    rows = [
        [
            views,
            *(tera(part(views)) for part in parts.values()),
            tera(scene_operations(views)),
            *(f"{hours(scene_operations(views), ASSUMED, gpus=gpus):.3g}" for gpus in (1, 8)),
        ]
        for views in VIEWS
    ]
    heads = ("views", *parts, "together", f"hours at {ASSUMED:g} TFLOP/s, one GPU", "eight GPUs")
    return markdown_table(heads, rows, "r" * len(heads))


def published_table() -> str:
    aggregator = operations(VGGT_1B.with_(heads=HEADS), *PUBLISHED_SIZE)["aggregator"]
    rows = [
        [views, seconds, tera(aggregator(views)), f"{published_tflops(views):.0f}"]
        for views, seconds in PUBLISHED.items()
    ]
    heads = ("views", "seconds, published", "TFLOP, counted", "TFLOP ÷ seconds")
    return markdown_table(heads, rows, "rrrr")


def derived_table() -> str:
    rows = []
    for views in VIEWS:
        like = max(known for known in PUBLISHED if known <= views)
        speed = published_tflops(like)
        both = [hours(scene_operations(views), speed, gpus=gpus) for gpus in (1, 8)]
        rows.append([views, f"{speed:.0f}, that of {like}", *(f"{value:.3g}" for value in both)])
    heads = ("views", "TFLOP/s, derived", "hours, one GPU", "hours, eight GPUs")
    return markdown_table(heads, rows, "rrrr")


def measured_table() -> str:
    """Rows of this package's forms in the results of `benchmarks.inference` for processors."""
    rows = []
    for path in sorted(measure.RESULTS.glob("inference_*cpu.json")):
        report = json.loads(path.read_text())
        for row in report["rows"]:
            if row["form"] in (NEW, FAST) and (row["height"], row["width"]) == SIZE:
                parts = operations(VGGT_1B.with_(heads=HEADS), *SIZE)
                depth = parts["depth head"](row["views"])  # the point head does as much
                done = scene_operations(row["views"]) + depth * ("point" in row["heads"])
                seconds = row["cpu_seconds_median"] if report["threads"] == 1 else row["seconds_median"]
                days = SCENES * seconds / 86400
                limited = ", limited" * ("limited" in report.get("instructions", ""))
                cells = [report["hardware"] + limited, row["form"], row["views"], report["threads"]]
                cells += [f"{seconds:.3g}", tera(done), f"{done / seconds / 1e9:.0f}", f"{days:.3g}"]
                rows.append(cells)
    heads = ("processor", "form", "views", "threads", "seconds, measured", "TFLOP, counted", "GFLOP/s")
    heads += (f"days for {SCENES:,} scenes",)
    return markdown_table(heads, rows, "ll" + "r" * (len(heads) - 2))


TABLES = {
    "counted": counted_table, "published": published_table, "derived": derived_table,
    "measured": measured_table,
}  # fmt: skip


def of_your_own(peak: float, share: float, price: float, scenes: int, views: list[int]) -> str:
    """Hours and price on one GPU and on eight; the price is the same, as each scene is done once."""
    rows = []
    for count in views:
        one = hours(scene_operations(count), peak * share, scenes)
        rows.append([count, f"{one:.3g}", f"{one / 8:.3g}", f"{one * price:.4g}"])
    heads = ("views", "hours, one GPU", "hours, eight GPUs", "price")
    return markdown_table(heads, rows, "rrrr")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("update", nargs="?", choices=("update",), help="write the page's tables")
    parser.add_argument("--peak", type=float, help="TFLOP/s in bfloat16, as its maker states")
    parser.add_argument("--share", type=float, help="the part of it that is reached, 0 to 1")
    parser.add_argument("--price", type=float, help="of an hour of one GPU")
    parser.add_argument("--scenes", type=int, default=SCENES)
    parser.add_argument("--views", type=int, nargs="+", default=VIEWS)
    arguments = parser.parse_args()
    given = (arguments.peak, arguments.share, arguments.price)
    if arguments.update:
        text = PAGE.read_text(encoding="utf-8")
        for name, table in TABLES.items():
            text = put_between(text, f"throughput {name}", table())
        write_text(PAGE, text)
        return
    if None in given or arguments.peak <= 0 or not 0 < arguments.share <= 1 or arguments.price < 0:
        parser.error("give --peak above 0, --share in 0 … 1 and --price together: nothing here is assumed.")
    print(of_your_own(*given, arguments.scenes, arguments.views))


if __name__ == "__main__":
    main()
