"""How long do the bundled models take for a few pictures?   python -m benchmarks.bundled [--threads 1 2]

NANO and TINY at the size of their training, all four answers, with 32 points to track, on the CPU and, where
there is one, a CUDA device. Each case runs once unmeasured; then all cases take turns. Written to
benchmarks/results/bundled_<device>.json.
"""

import argparse
from functools import partial

import torch

from benchmarks import measure
from vggt_lite import VGGT

MODELS, VIEWS = ("nano", "tiny"), (1, 4, 8)
QUERIES, REPEATS = 32, 9


def forward(device: str, repeats: int) -> dict:
    """Model and views → the times of a forward pass, taking turns."""
    runs = {}
    for name in MODELS:
        model = VGGT.from_pretrained(name).to(device).eval()
        size = model.config.image_size
        points = torch.rand(1, QUERIES, 2, device=device) * size
        for views in VIEWS:
            images = torch.rand(1, views, 3, size, size, device=device)
            runs[f"{name} {views} {size}"] = partial(model, images, points)
    with torch.inference_mode():
        measure.in_turn(runs, 1, device)  # wakes libraries
        return measure.in_turn(runs, repeats, device)


def run(device: str, threads_to_try: list[int], repeats: int) -> dict:
    report = measure.hardware(device) | {"queries": QUERIES, "rows": []}
    for threads in threads_to_try if device == "cpu" else [None]:
        settings = {"threads": threads, "device": device, "repeats": repeats}
        found = measure.in_child("benchmarks.bundled:forward", **settings)
        del found["peak_rss"]
        for case, turns in found.items():
            name, views, size = case.split()
            row = {"model": name, "views": int(views), "size": int(size), "threads": threads}
            report["rows"].append(row | measure.spread(turns))
            print("  ".join(f"{key}={value}" for key, value in report["rows"][-1].items()), flush=True)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two runs of each; writes no file")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="CPU threads to try")
    arguments = parser.parse_args()
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        report = run(device, arguments.threads, 2 if arguments.quick else REPEATS)
        if not arguments.quick:
            measure.write_result(f"bundled_{measure.slug(device)}", report)


if __name__ == "__main__":
    main()
