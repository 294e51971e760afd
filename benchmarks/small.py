"""What do smaller weights cost?   python -m benchmarks.small [vggt] [tiny] [--folder DIR]

*vggt*: VGGT-1B with weights made by rule, which needs no download, written in the release's form and
converted by `vggt-lite convert`. Each form is loaded in a process of its own and sees two small views: memory
above an interpreter that has imported everything, time, and how far its answers are from float32's. Takes 9
GB of disk in --folder, where the files stay (started again, what is there is not made again).

*tiny*: the trained TINY on held-out scenes, in each form. int4 is an experiment: 64 numbers of a row share a
scale; it is computed with float32 numbers that were rounded so, and there is no such file.

Where the processor multiplies bfloat16, float32 and int8 are also computed as precision="fast" does.

Written to benchmarks/results/small_cpu.json, with the instructions that the processor has for it.
"""

import argparse
import json
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks import measure
from vggt_lite import VGGT, VGGT_1B
from vggt_lite.config import PRECISIONS
from vggt_lite.evaluation.protocols import EVAL_DOMAINS, collect, held_out_scenes
from vggt_lite.inference.chunked import chunked
from vggt_lite.model import VGGT as Network
from vggt_lite.parity.deterministic_weights import deterministic_images, deterministic_tensor
from vggt_lite.pretrained.convert import convert
from vggt_lite.pretrained.int8 import SMALL, rounded, scales, to_int8
from vggt_lite.pretrained.loading import to_official
from vggt_lite.pretrained.weight_files import skip_init
from vggt_lite.synthetic.generate import FIRST_EVALUATION_SEED
from vggt_lite.utils.runtime import pick_dtype
from vggt_lite.utils.tensor_files import stream_tensors

FORMS = {"float32": None, "int8": None, "bfloat16": torch.bfloat16}  # and the dtype with which it is loaded
FAST = ("float32", "int8")  # of which precision="fast" is measured, too
VIEWS, SIZE, RUNS, SCENES = 2, 112, 1, 60


# --- VGGT-1B ----------------------------------------------------------------------------------------


def write_release(path: str) -> dict:
    """A file of the release's form: its names, float32."""
    with torch.device("meta"), skip_init():
        state = to_official(Network(VGGT_1B).state_dict())
    kinds = {name: (torch.float32, tuple(value.shape)) for name, value in state.items()}
    stream_tensors(path, kinds, {}, lambda name: deterministic_tensor(name, kinds[name][1]))
    return {}


def converted(source: str, out: str, form: str) -> dict:
    """`convert` in a process of its own: seconds, and the most memory beside pages of the source."""
    start = time.process_time()
    with AnonymousMemory() as memory:
        convert(source, out, form)
    return {"convert_cpu_seconds": round(time.process_time() - start, 1), "convert_bytes": memory.bytes}


class AnonymousMemory(measure.PeakMemory):
    """`PeakMemory` without pages of files, which the system takes back when it likes. Linux only."""

    def __enter__(self) -> "AnonymousMemory":
        self.before = self._highest = measure._status("RssAnon")
        self._done = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        return self

    def _watch(self) -> None:
        while not self._done.wait(measure.SAMPLING_INTERVAL):
            self._highest = max(self._highest, measure._status("RssAnon"))

    def __exit__(self, *_) -> None:
        self._done.set()
        self._watcher.join()
        self.bytes = self._highest - self.before


def used(path: str, dtype: str | None, answers: str, runs: int, precision: str) -> dict:
    """Memory and time of loading a file and of a forward pass; the answers go to a file."""
    products = pick_dtype("cpu", precision)
    rounded = torch.autocast("cpu", products, enabled=products != torch.float32, cache_enabled=False)
    images = deterministic_images("small", VIEWS, SIZE, SIZE)
    with measure.PeakMemory() as whole:
        start = time.process_time()
        model = VGGT.from_pretrained(path, dtype=dtype and getattr(torch, dtype))
        loaded = {
            "load_cpu_seconds": round(time.process_time() - start, 1),
            "loaded_bytes": measure.rss() - whole.before,
        }
        with chunked(model, precision=precision), rounded:
            model(images[:1, :, :28, :28])  # reads the weights
            turns, pred = [], None
            for _ in range(runs):
                pred = None
                start, work = time.perf_counter(), time.process_time()
                pred = model(images)
                turns.append((time.perf_counter() - start, time.process_time() - work))
    depth, pose = pred.depth[0].numpy(), pred.pose_encoding[0].numpy()
    np.savez(answers, depth=depth, pose=pose, camera=pred.cam_from_world[0].numpy())
    return loaded | {"peak_bytes": whole.bytes} | measure.spread(turns)


def differences(found: str, reference: str) -> dict:
    """How far depth and poses are from those of float32."""
    one, other = np.load(found), np.load(reference)
    turn = one["camera"][:, :, :3] @ other["camera"][:, :, :3].transpose(0, 2, 1)
    cosine = (np.trace(turn, axis1=1, axis2=2) - 1) / 2
    apart = np.abs(one["camera"][:, :, 3] - other["camera"][:, :, 3]).max()
    return {
        "depth_median_percent": 100 * float(np.median(np.abs(one["depth"] / other["depth"] - 1))),
        "depth_most_percent": 100 * float(np.abs(one["depth"] / other["depth"] - 1).max()),
        "rotation_deg": float(np.degrees(np.arccos(np.clip(cosine, -1, 1))).max()),
        "translation_percent": 100 * float(apart / np.abs(other["camera"][:, :, 3]).max()),
    }


def vggt_rows(folder: Path, threads: int) -> list[dict]:
    settings, rows = {"memory": True, "threads": threads}, []
    source = folder / "release.safetensors"
    if not source.exists():
        measure.in_child("benchmarks.small:write_release", path=str(source), threads=threads)
    forms = [(form, dtype, precision) for form, dtype in FORMS.items() for precision in precisions(form)]
    for form, dtype, precision in forms:
        path = source if form == "float32" else folder / f"{form}.safetensors"
        answers = folder / f"{form}_{precision}.npz"
        made = folder / f"{form}.json"
        if not path.exists():
            target = "benchmarks.small:converted"
            found = measure.in_child(target, source=str(source), out=str(path), form=form, **settings)
            made.write_text(json.dumps(found))
        row = {
            "network": "VGGT_1B",
            "form": named(form, precision),
            "views": VIEWS,
            "size": SIZE,
            "file_bytes": path.stat().st_size,
        }
        stored = dtype and str(dtype).removeprefix("torch.")
        target = "benchmarks.small:used"
        row |= measure.in_child(
            target,
            path=str(path),
            dtype=stored,
            answers=str(answers),
            runs=RUNS,
            precision=precision,
            **settings,
        )
        row |= json.loads(made.read_text()) if made.exists() else {}
        row |= differences(str(answers), str(folder / "float32_exact.npz"))
        row.pop("peak_rss")
        print(row, flush=True)
        rows.append(row)
    for row in rows:
        row["time_to_float32"] = round(row["cpu_seconds_median"] / rows[0]["cpu_seconds_median"], 3)
        row["time_to_bfloat16"] = round(row["cpu_seconds_median"] / rows[-1]["cpu_seconds_median"], 3)
    return rows


def precisions(form: str) -> tuple[str, ...]:
    """Those that are measured of a form."""
    return PRECISIONS if form in FAST and measure.bfloat16_pays() else ("exact",)


def named(form: str, precision: str) -> str:
    """ "int8", or "int8, fast"."""
    return form if precision == "exact" else f"{form}, {precision}"


# --- TINY -------------------------------------------------------------------------------------------


@torch.no_grad()
def to_int4(model: nn.Module, group: int = 64) -> None:
    """Round every large matrix to integers from −7 to 7 times a scale for each group of a row."""
    for module in model.modules():
        if (
            isinstance(module, nn.Linear)
            and module.weight.numel() >= SMALL
            and not module.in_features % group
        ):
            rows = module.weight.reshape(-1, group)
            scale = scales(rows) * 127 / 7
            module.weight.copy_((rounded(rows, scale) * scale[:, None]).reshape(module.weight.shape))


def tiny(scenes: int) -> dict:
    """Scores of TINY on the same held-out scenes in every form."""
    models = {
        form: VGGT.from_pretrained("tiny", heads=("camera", "depth"), dtype=dtype)
        for form, dtype in (FORMS | {"int4": None}).items()
    }
    to_int8(models["int8"])
    to_int4(models["int4"])
    config, (domain, _), found = models["int8"].config, EVAL_DOMAINS["tiny"], {}
    for precision in PRECISIONS:
        chosen = {form: model for form, model in models.items() if precision in precisions(form)}
        held_out = held_out_scenes(scenes, FIRST_EVALUATION_SEED, 4, config.image_size, domain, 1, 20, "cpu")
        for form, scores in collect(chosen, held_out, config.patch_size, precision=precision).items():
            found[named(form, precision)] = scores.result()
    return found


def tiny_rows(threads: int) -> list[dict]:
    found, rows = measure.in_child("benchmarks.small:tiny", scenes=SCENES, threads=threads), []
    found.pop("peak_rss")
    for form in found:
        row = {"network": "TINY", "form": form, "scenes": SCENES}
        for key in ("auc_30", "auc_5", "depth_abs_rel"):
            value = found[form][key]
            row |= {key: value, f"{key}_change_percent": 100 * (value / found["float32"][key] - 1)}
        rows.append(row)
        print(row, flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=("vggt", "tiny"), default=("vggt", "tiny"))
    parser.add_argument("--folder", type=Path, help="for the files of VGGT-1B; default: one that is removed")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", default="small_cpu", help="name of the result file")
    arguments = parser.parse_args()
    path = measure.RESULTS / f"{arguments.out}.json"
    earlier = json.loads(path.read_text()) if path.exists() else {}
    report = measure.hardware() | {"threads": arguments.threads, "instructions": measure.instructions()}
    report |= {part: earlier.get(part, []) for part in ("rows", "scores")}
    if "vggt" in arguments.parts:
        with tempfile.TemporaryDirectory() as temporary:
            report["rows"] = vggt_rows(arguments.folder or Path(temporary), arguments.threads)
        measure.write_result(arguments.out, report)
    if "tiny" in arguments.parts:
        report["scores"] = tiny_rows(arguments.threads)
        measure.write_result(arguments.out, report)


if __name__ == "__main__":
    main()
