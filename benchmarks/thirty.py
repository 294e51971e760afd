"""Do thirty photographs fit into 16 GB?   python -m benchmarks.thirty [--views 30] [--whole]

VGGT-1B with random weights, camera and depth heads, float32, called as a user calls it: `reconstruct`, on
noise of 518 × 392 pixels. Memory is the peak of the whole process: interpreter, libraries, weights, work.

A whole pass takes about an hour of one core. Blocks of a kind are alike and take the same memory one after
the other. So without --whole only one block of the ViT is computed, and of 24 frame and global blocks the
four that the depth head reads; the others keep their weights in memory and pass their tokens on. The time of
a whole pass is then that of the part, divided by the part's share of `estimate_time`.

The time that counts is that of the processor: where other programs run on the same core, the clock measures
them, too. Beside the measurements stands what `estimate_memory` and `estimate_time` said beforehand. Written
to benchmarks/results/thirty_cpu.json.
"""

import argparse

import numpy as np
from torch import Tensor, nn

from benchmarks import measure
from benchmarks.inference import random_model
from vggt_lite import VGGT
from vggt_lite.inference.memory_estimate import estimate_memory
from vggt_lite.inference.time_estimate import estimate_time

WIDTH, HEIGHT, HEADS = 518, 392, ("camera", "depth")


class Skipped(nn.Module):
    """A block that keeps its weights and passes its tokens on."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor, *_) -> Tensor:
        return x


def skip_blocks(model: VGGT) -> set[str]:
    """Skip every block but one of the ViT and those that a head reads; returns the names of the skipped."""
    aggregator, skipped = model.aggregator, set()
    lists = {"patch_embed.blocks": {0}} | dict.fromkeys(
        ("frame_blocks", "global_blocks"), set(model.config.dense_layers)
    )
    for name, needed in lists.items():
        blocks = aggregator.get_submodule(name)
        for index in set(range(len(blocks))) - needed:
            blocks[index] = Skipped(blocks[index])
            skipped.add(f"aggregator.{name}.{index}")
    return skipped


def case(views: int, whole: bool) -> dict:
    """One reconstruction. Called in a process of its own, of which `in_child` adds the peak memory."""
    model = random_model(HEADS, "cpu", "float32")
    time = estimate_time(model, views, HEIGHT, WIDTH)
    memory = estimate_memory(model.config, views, HEIGHT, WIDTH)
    skipped = set() if whole else skip_blocks(model)
    computed = sum(seconds for name, seconds in time.parts.items() if name not in skipped)
    size = (views, HEIGHT, WIDTH, 3)
    photographs = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    seconds, work = measure.once(lambda: model.reconstruct(list(photographs)))
    return {
        "views": views,
        "height": HEIGHT,
        "width": WIDTH,
        "heads": "+".join(HEADS),
        "whole": whole,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(work, 1),
        "share_of_whole": round(computed / time.seconds, 4),
        "cpu_minutes_whole": round(work / (computed / time.seconds) / 60, 1),
        "estimated_minutes": round(time.seconds / 60, 1),
        "estimated_bytes": memory.total,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--views", type=int, default=30)
    parser.add_argument("--whole", action="store_true", help="compute every block")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    report = measure.hardware() | {"threads": arguments.threads, "instructions": measure.instructions()}
    sizes = {"views": arguments.views, "whole": arguments.whole}
    row = measure.in_child("benchmarks.thirty:case", threads=arguments.threads, **sizes)
    print(row)
    measure.write_result("thirty_cpu", report | {"rows": [row]})


if __name__ == "__main__":
    main()
