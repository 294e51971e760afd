"""What does a picture cost in TINY's training, and does a cheap one teach as much?

    python -m benchmarks.picture_cost                 # about twenty minutes of one core

The stage "finer_longer" of the recipe "tiny-wide", from the weights called "tiny", in three ways:

- all heads: scenes drawn on the spot, float32, every head in every step, as TINY was trained at first;
- without points and tracks: the same, but cameras, depth of every view, matches and directions only;
- now: the same losses, scenes rendered ahead, depth of two views of each, `precision="fast"` (bfloat16
  products where the processor has them, compiled blocks).

All see the same number of pictures. Seconds are the processor's own, of one thread. Rendering ahead counts,
divided by how often the recipe sees each picture; compiling does not, and stands beside. What was learned
is the training loss against pictures seen, and at the end the loss on held-out batches, the same for all.
Written to benchmarks/results/picture_cost_cpu.json.
"""

import argparse
import tempfile
import time

import torch

from benchmarks import measure
from vggt_lite.data.batches import GeneratedScenes, RenderedScenes
from vggt_lite.pretrained.loading import load_pretrained
from vggt_lite.research.presets import PRESETS, compile_blocks, stage_model
from vggt_lite.synthetic.prerender import render_ahead
from vggt_lite.training import loop
from vggt_lite.training.state import TrainState
from vggt_lite.utils.runtime import pick_dtype, progress

PRESET = PRESETS["tiny-wide"]
STAGE = PRESET.stages["finer_longer"]
PATCH = PRESET.model.patch_size
FORMS = ALL_HEADS, BEFORE, NOW = ("all heads", "without points and tracks", "now")
EVERY_HEAD = {"point": 1.0, "track": 0.1}
LOSSES = ("camera", "depth", "matching", "direction")
STEPS, WINDOWS, HELD_OUT, SCENES = 120, 6, 4, 96


def held_out(config) -> list:
    """Batches that are not trained on."""
    source = GeneratedScenes(config.with_(seed=99), STAGE.scenes, STAGE.size, PRESET.path_views, "cpu", PATCH)
    return [source.batch_for_step(number) for number in range(HELD_OUT)]


def case(form: str, steps: int, scenes: int) -> dict:
    """Train, and count the processor's seconds."""
    is_new = form == NOW
    weights = STAGE.config.loss_weights | (EVERY_HEAD if form == ALL_HEADS else {})
    config = STAGE.config.with_(steps=steps, loss_weights=weights)
    config = config if is_new else config.with_(dense_views=0)
    model = stage_model(PRESET.model, config, load_pretrained("tiny").state_dict())
    whole = loop.default_objective(model, STAGE.config)
    found = {"form": form, "steps": steps, "size": STAGE.size, "rendering": 0.0}
    with tempfile.TemporaryDirectory() as folder:
        if is_new:
            began = time.process_time()
            render_ahead(f"{folder}/scenes", STAGE.scenes, scenes, PRESET.path_views, STAGE.size)
            each = (time.process_time() - began) / (scenes * PRESET.path_views)
            seen = STAGE.config.steps * STAGE.config.max_images / (STAGE.num_scenes * PRESET.path_views)
            found |= {"rendering": each / seen, "times_seen": round(seen, 1)}
            source = RenderedScenes(f"{folder}/scenes", config, patch_size=PATCH)
            compile_blocks(model)
        else:
            source = GeneratedScenes(config, STAGE.scenes, STAGE.size, PRESET.path_views, "cpu", PATCH)
        state = TrainState(model, config, f"{folder}/run", resume=False)
        objective = loop.default_objective(model, config)
        step = loop.TrainStep(state, objective, pick_dtype("cpu", "fast" if is_new else "exact"))
        seconds, pictures, curve = [], 0, []
        for number in progress(range(steps), desc=form, unit="step"):
            began = time.process_time()
            batch = source.batch_for_step(number)
            step(batch)
            state.step += 1
            seconds.append(time.process_time() - began)
            pictures += batch.images.shape[0] * batch.images.shape[1]
            if (number + 1) % (steps // WINDOWS) == 0:
                means = state.meter.read()
                curve.append({"pictures": pictures} | {name: round(means[name], 4) for name in LOSSES})
        state.average.copy_to(model)
    usual = sorted(seconds)[: int(0.9 * steps)]  # the steps that compile are the longest
    found["per_picture"] = sum(usual) / len(usual) * steps / pictures + found["rendering"]
    found["compiling"] = round(sum(seconds) - sum(usual) * steps / len(usual), 1)
    with torch.no_grad():
        losses = [whole(model(batch.images), batch)[1] for batch in held_out(STAGE.config)]
    means = {name: round(sum(float(x[name]) for x in losses) / HELD_OUT, 4) for name in LOSSES}
    curve.append({"pictures": f"{pictures}, held-out scenes", **means})
    return found | {"curve": curve, "pictures_per_s": round(1 / found["per_picture"], 2)}


def run(steps: int, scenes: int) -> dict:
    cases = [
        measure.in_child("benchmarks.picture_cost:case", form=form, steps=steps, scenes=scenes, threads=1)
        for form in FORMS
    ]
    costs = [found["per_picture"] for found in cases]
    keep = ("form", "size", "per_picture", "pictures_per_s", "rendering", "compiling", "times_seen")
    rows = [{key: found[key] for key in keep if key in found} for found in cases]
    curve = [{"form": found["form"], **point} for found in cases for point in found["curve"]]
    head = {"threads": 1, "steps": steps, "instructions": measure.instructions()}
    for row in rows:
        row["times_as_many"] = round(costs[0] / row["per_picture"], 2)
    return measure.hardware() | head | {"rows": rows, "curve": curve}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--scenes", type=int, default=SCENES, help="rendered ahead")
    arguments = parser.parse_args()
    report = run(arguments.steps, arguments.scenes)
    for row in report["rows"] + report["curve"]:
        print(row)
    measure.write_result("picture_cost_cpu", report)


if __name__ == "__main__":
    main()
