"""How fast does training go, and where does the time go?   python -m benchmarks.training [--threads 2]

The last stage of the recipes of NANO and TINY, four views to a scene, images square, on the CPU or, where
there is one, a CUDA device:

- a step's time and scenes per second, plain and with the attention blocks compiled, taking turns;
- its peak memory above model, optimiser and average;
- a profile: data, the parts of the forward pass, losses, backward, optimiser (with clipping and average).
  Each part is timed by itself, which on a GPU forbids overlaps: shares, not seconds, are what it tells;
- how long a step waits for its batch, with scenes drawn on the spot and scenes rendered ahead, with and
  without `StepLoader`. A loader that keeps up leaves nothing to wait for.

Written to benchmarks/results/training_<device>.json. Compiling needs a C++ compiler; without one the file
says so.
"""

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import contextmanager
from unittest.mock import patch

import torch

from benchmarks import measure
from vggt_lite.data.batches import GeneratedScenes, RenderedScenes, StepLoader
from vggt_lite.model import Block
from vggt_lite.research.presets import PRESETS, stage_model
from vggt_lite.synthetic.prerender import render_ahead
from vggt_lite.training import loop
from vggt_lite.training.state import TrainState
from vggt_lite.utils.runtime import pick_dtype

MODELS, VIEWS = ("nano", "tiny"), 4
PLAIN, COMPILED = "plain", "attention blocks compiled"
SOURCES = ("drawn on the spot", "rendered ahead")
NUM_AHEAD = 64  # scenes; a batch reads a few of them, as it would of thousands
HEADS = ("camera_head", "depth_head", "point_head", "track_head")
STEPS = 15  # timed; as many more for each of the others


class Trial:
    """The last stage of a recipe in a temporary folder, ready to make steps."""

    def __init__(self, name: str, device: str, folder: str) -> None:
        self.preset = PRESETS[name]
        self.stage = list(self.preset.stages.values())[-1]
        self.config = self.stage.config.with_(views=(VIEWS, VIEWS), aspects=(1.0, 1.0), curriculum=0.0)
        self.device, self.folder = device, folder
        self.model = stage_model(self.preset.model, self.config, {}).to(device)
        self.state = TrainState(self.model, self.config, f"{folder}/run", resume=False)
        self.step = loop.TrainStep(
            self.state, loop.default_objective(self.model, self.config), pick_dtype(device)
        )

    def source(self, kind: str = SOURCES[0]):
        path, size = self.preset.path_views, self.stage.size
        if kind == SOURCES[0]:
            return GeneratedScenes(self.config, self.stage.scenes, size, path, self.device)
        still = self.stage.scenes.with_(moving_objects=0)  # what flies cannot be rendered ahead
        render_ahead(f"{self.folder}/scenes", still, NUM_AHEAD, path, size)
        return RenderedScenes(f"{self.folder}/scenes", self.config)

    def conditions(self) -> dict:
        sizes = {"images": self.config.max_images, "scenes": self.config.max_images // VIEWS}
        parameters = sum(p.numel() for p in self.model.parameters())
        return sizes | {"views": VIEWS, "size": self.stage.size, "parameters": parameters}


@contextmanager
def trial(name: str, device: str):
    with tempfile.TemporaryDirectory() as folder:
        yield Trial(name, device, folder)


# --- what is measured -----------------------------------------------------------------------------


def times(model: str, device: str, steps: int) -> dict:
    """Seconds of whole steps on one batch, plain and compiled by turns; what compiling took, or why not."""
    runs, found = {}, {}
    with trial(model, device) as plain, trial(model, device) as compiled:
        batch = plain.source().batch_for_step(0)
        runs[PLAIN] = lambda: plain.step(batch)
        runs[PLAIN]()  # wakes libraries
        for block in (m for m in compiled.model.modules() if isinstance(m, Block)):
            block.compile()
        try:
            found["compiling_seconds"] = round(measure.once(lambda: compiled.step(batch), device)[0], 1)
            runs[COMPILED] = lambda: compiled.step(batch)
        except Exception as error:  # no compiler, or one that does not fit: worth a line in the file
            found["note"] = f"could not be compiled: {str(error).strip().splitlines()[0][:120]}"
        return found | {"turns": measure.in_turn(runs, steps, device), **plain.conditions()}


def peak(model: str, device: str) -> dict:
    """Peak memory of a step above what stays from step to step."""
    with trial(model, device) as it:
        batch = it.source().batch_for_step(0)
        it.step(batch)  # the optimiser's moments stay from now on
        it.state.optimizer.zero_grad(set_to_none=True)
        with measure.PeakMemory(device) as memory:
            it.step(batch)
    return {"peak_above_state_bytes": memory.bytes}


class Clock:
    """Seconds by the name of a part."""

    def __init__(self, device: str) -> None:
        self.device, self.seconds = device, defaultdict(float)
        self.began: dict[str, float] = {}

    def start(self, part: str) -> None:
        self.began[part] = self.now()

    def stop(self, part: str) -> None:
        self.seconds[part] += self.now() - self.began[part]

    def now(self) -> float:
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()
        return time.perf_counter()

    def around(self, part: str, call: Callable) -> Callable:
        """The call, timed."""

        def timed(*arguments, **options):
            self.start(part)
            result = call(*arguments, **options)
            self.stop(part)
            return result

        return timed


def profile(model: str, device: str, steps: int) -> dict:
    """Median seconds of every part of a step."""
    with trial(model, device) as it:
        clock, source = Clock(device), it.source()
        network = it.model.aggregator
        network.embed = clock.around("embedding", network.embed)
        parts = {"frame attention": network.frame_blocks, "global attention": network.global_blocks}
        parts |= {
            name.replace("_", " "): [getattr(it.model, name)] for name in HEADS if getattr(it.model, name)
        }
        for part, modules in parts.items():
            for module in modules:
                module.register_forward_pre_hook(lambda *_, part=part: clock.start(part))
                module.register_forward_hook(lambda *_, part=part: clock.stop(part))
        it.step.forward = clock.around("forward", it.step.forward)
        it.step.objective = clock.around("losses", it.step.objective)
        gradients = clock.around("gradients", loop.loss_and_gradients)
        per_step = []
        with patch.object(loop, "loss_and_gradients", gradients):
            for number in range(steps + 1):
                clock.seconds.clear()
                batch = clock.around("data", source.batch_for_step)(number)
                clock.around("step", it.step)(batch)
                found = dict(clock.seconds)
                found["backward"] = found["gradients"] - found["forward"] - found["losses"]
                found["optimiser"] = found["step"] - found.pop("gradients")
                inside = [found[part] for part in ("embedding", *parts)]
                found["rest of the forward pass"] = found.pop("forward") - sum(inside)
                per_step.append(found)
    per_step = per_step[1:]  # the first wakes libraries
    return {part: round(statistics.median(s[part] for s in per_step), 4) for part in per_step[0]}


def waiting(model: str, device: str, steps: int) -> dict:
    """Seconds of waiting for a batch, for each way to load."""
    rows = []
    with trial(model, device) as it:
        for kind in SOURCES:
            source = it.source(kind)
            for ahead in (False, True):
                loader = StepLoader(source, steps + 2, num_workers=1) if ahead else source
                waits, whole = [], []
                for number in range(steps + 2):
                    began = time.perf_counter()
                    batch = loader.batch_for_step(number)
                    got = time.perf_counter()
                    it.step(batch)
                    waits.append(got - began)
                    whole.append(time.perf_counter() - began)
                waits, whole = waits[2:], whole[2:]  # the first fill the queue
                rows.append({
                    "scenes_from": kind, "prefetch": ahead, "wait_median": round(statistics.median(waits), 4),
                    "wait_max": round(max(waits), 4), "seconds_median": round(statistics.median(whole), 4),
                    "wait_share": round(sum(waits) / sum(whole), 4), "runs": steps,
                })  # fmt: skip
    return {"rows": rows}


def run(device: str, threads: int | None, steps: int) -> dict:
    report = measure.hardware(device) | {
        "threads": threads,
        "rows": [],
        "ratios": [],
        "parts": [],
        "loading": [],
    }
    common = {"device": device, "threads": threads}
    for model in MODELS:
        found = measure.in_child("benchmarks.training:times", model=model, steps=steps, **common)
        memory = measure.in_child("benchmarks.training:peak", memory=True, model=model, **common)
        conditions = {key: found[key] for key in ("images", "scenes", "views", "size", "parameters")}
        for form, turns in found["turns"].items():
            row = {"model": model, "form": form, **conditions, **measure.spread(turns)}
            row["scenes_per_s"] = round(conditions["scenes"] / row["seconds_median"], 3)
            if form == PLAIN:
                row["peak_above_state_bytes"] = memory["peak_above_state_bytes"]
            else:
                row["compiling_seconds"] = found["compiling_seconds"]
            report["rows"].append(row)
        if COMPILED in found["turns"]:
            pairs = zip(found["turns"][PLAIN], found["turns"][COMPILED], strict=True)
            both = [new[0] / old[0] for old, new in pairs]
            ratio = {
                "model": model,
                "form": f"{COMPILED} ÷ {PLAIN}",
                "time": round(statistics.median(both), 3),
            }
            report["ratios"].append(
                ratio | {"time_min": round(min(both), 3), "time_max": round(max(both), 3)}
            )
        else:
            report["rows"].append({"model": model, "form": COMPILED, **conditions, "note": found["note"]})
        shares = measure.in_child("benchmarks.training:profile", model=model, steps=steps, **common)
        del shares["peak_rss"]
        whole = shares.pop("step") + shares["data"]
        for part, seconds in sorted(shares.items(), key=lambda item: -item[1]):
            report["parts"].append(
                {"model": model, "part": part, "seconds": seconds, "share": seconds / whole}
            )
        loading = measure.in_child("benchmarks.training:waiting", model=model, steps=steps, **common)
        report["loading"] += [{"model": model, **row} for row in loading["rows"]]
        for part in ("rows", "ratios", "parts", "loading"):
            for row in report[part]:
                if row["model"] == model:
                    print("  ".join(f"{key}={value}" for key, value in row.items()), flush=True)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two steps of each; writes no file")
    parser.add_argument("--threads", type=int, help="CPU threads; default: torch's choice")
    arguments = parser.parse_args()
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        threads = (arguments.threads or torch.get_num_threads()) if device == "cpu" else None
        report = run(device, threads, 2 if arguments.quick else STEPS)
        if not arguments.quick:
            measure.write_result(f"training_{measure.slug(device)}", report)


if __name__ == "__main__":
    main()
