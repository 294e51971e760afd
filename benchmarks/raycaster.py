"""How many images a second does the ray caster make?   python -m benchmarks.raycaster [--threads 1 2]

Times `generate_scenes` with its defaults (NANO's domain) on this CPU with one and two threads, at 64 × 64
and 112 × 112 pixels, and what shadows, the relief and supersampling cost; on a GPU too if there is one.
Every case runs once unmeasured, then `REPEATS` times; median, fastest and slowest are written to
benchmarks/results/raycaster_<device>.json with the hardware's name. Images per second of processor time
stand beside them: on a machine that does other work too, they tell what an idle one would do with one
thread. (Two threads on a busy machine can be far slower than one: each waits for the other to get its turn.)
"""

import argparse
import statistics
import time

import torch

from benchmarks import measure
from vggt_lite.config import VARIED_SCENES, SceneConfig
from vggt_lite.synthetic import generate_scenes

REPEATS = 7
PATIENCE = 15.0  # a case stops repeating after so many seconds
VIEWS = 4
CONFIGS = {
    "default": SceneConfig(),
    "default + 16 tracks": SceneConfig(),
    "shadows": SceneConfig(shadows=True),
    "supersample=2": SceneConfig(supersample=2),
    "varied (relief, all paths)": VARIED_SCENES,
}


def images_per_second(num_scenes: int, size: int, device: str, name: str, repeats: int) -> dict[str, float]:
    """Images per second over several runs, each with scenes of its own."""
    rates, work = [], []
    begin = time.perf_counter()
    for run in range(repeats + 1):
        start, start_work = time.perf_counter(), time.process_time()
        tracks = 16 if "tracks" in name else 0
        generate_scenes(run * num_scenes, num_scenes, VIEWS, size, size, device, tracks, CONFIGS[name])
        if device == "cuda":
            torch.cuda.synchronize()
        rates.append(num_scenes * VIEWS / (time.perf_counter() - start))
        work.append(num_scenes * VIEWS / (time.process_time() - start_work))
        if len(rates) > 1 and time.perf_counter() - begin > PATIENCE:
            break
    rates, work = rates[1:], work[1:]  # the first run also builds the textures
    return {
        "images_per_s_median": round(statistics.median(rates), 1),
        "slowest": round(min(rates), 1),
        "fastest": round(max(rates), 1),
        "runs": len(rates),
        "images_per_cpu_s_median": round(statistics.median(work), 1),
    }


def run(device: str, quick: bool, threads_to_try: list[int]) -> dict:
    rows, head = [], measure.hardware(device)
    for threads in threads_to_try if device == "cpu" else [1]:
        torch.set_num_threads(threads)
        for size in (64, 112):
            num_scenes = (1024 if device == "cuda" else 8) // (4 if quick else 1)
            for name in CONFIGS if threads == 1 else ("default",):
                rate = images_per_second(num_scenes, size, device, name, 2 if quick else REPEATS)
                row = {"threads": threads, "size": size, "config": name, "scenes": num_scenes, **rate}
                rows.append(row)
                print("  ".join(f"{key}={value}" for key, value in row.items()), flush=True)
    return {**head, "views_per_scene": VIEWS, "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two short runs per case; writes no file")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="CPU threads to try")
    arguments = parser.parse_args()
    quick = arguments.quick
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        report = run(device, quick, arguments.threads)
        if not quick:
            measure.write_result(f"raycaster_{measure.slug(device)}", report)


if __name__ == "__main__":
    main()
