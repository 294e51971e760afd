"""Do thirty photographs fit into 16 GB?   python -m benchmarks.thirty [--views 30]

VGGT-1B with random weights, camera and depth heads, float32, called as a user calls it: `reconstruct`, on
noise of 518 × 392 pixels. Memory is the peak of the whole process: interpreter, libraries, weights, work.
Beside it stands what `estimate_memory` and `estimate_time` said beforehand. The time that counts is that of
the processor: where other programs run on the same core, the clock measures them, too.

Written to benchmarks/results/thirty_cpu.json. Thirty views take most of an hour on one core.
"""

import argparse

import numpy as np

from benchmarks import measure
from benchmarks.inference import random_model
from benchmarks.small import instructions
from vggt_lite.inference.memory_estimate import estimate_memory
from vggt_lite.inference.time_estimate import estimate_time

WIDTH, HEIGHT, HEADS = 518, 392, ("camera", "depth")


def case(views: int) -> dict:
    """One reconstruction. Called in a process of its own, of which `in_child` adds the peak memory."""
    model = random_model(HEADS, "cpu", "float32")
    time = estimate_time(model, views, HEIGHT, WIDTH)
    memory = estimate_memory(model.config, views, HEIGHT, WIDTH)
    size = (views, HEIGHT, WIDTH, 3)
    photographs = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    seconds, work = measure.once(lambda: model.reconstruct(list(photographs)))
    return {
        "views": views,
        "height": HEIGHT,
        "width": WIDTH,
        "heads": "+".join(HEADS),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(work, 1),
        "estimated_seconds": round(time.seconds, 1),
        "estimated_bytes": memory.total,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--views", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    report = measure.hardware() | {"threads": arguments.threads, "instructions": instructions()}
    row = measure.in_child("benchmarks.thirty:case", threads=arguments.threads, views=arguments.views)
    print(row)
    measure.write_result("thirty_cpu", report | {"rows": [row]})


if __name__ == "__main__":
    main()
