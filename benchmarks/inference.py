"""What does VGGT-1B cost, as the release computes it and as this package does?

    python -m benchmarks.inference                          # CPU: 1 and 4 views, camera + depth + point heads
    python -m benchmarks.inference --threads 1 --views 1 2 --out inference_amx_cpu
    python -m benchmarks.inference --device cuda            # GPU: 1 … 1,250 views, camera + depth heads, bf16

All forms run on the same random weights (speed and memory do not depend on their values) and the same
pictures, and their outputs are compared. The old form is `benchmarks/released_form.py`: the release with its
excess of kept layers already corrected. Where a CPU multiplies bfloat16, there are two more: the old form
under autocast, as its users have it today, and precision="fast". Times are taken in one process, the forms
taking turns, so that what else the machine does hits all of them; the processor's own seconds stand beside
them. Peaks of memory are taken in a process of their own for each form (--times-only leaves them out).
Results go to benchmarks/results/inference_<device>.json after every row: started again, the script goes on
where it was (--afresh begins anew).
"""

import argparse
import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch

from benchmarks import measure
from benchmarks.released_form import released_autocast, released_form
from vggt_lite import VGGT, VGGT_1B
from vggt_lite.inference.chunked import chunked
from vggt_lite.utils.runtime import progress

OLD, NEW = "released, four layers kept", "vggt_lite"
OLD_AUTOCAST, FAST = "released, under autocast", "vggt_lite, fast"
RATIOS = ((NEW, OLD), (FAST, OLD), (FAST, OLD_AUTOCAST), (FAST, NEW))  # that are written down, new ÷ old
OUT_OF_MEMORY = "out of memory"


def random_model(heads: tuple[str, ...], device: str, dtype: str) -> VGGT:
    """VGGT-1B with small random numbers in place of weights."""
    with torch.device("meta"):
        model = VGGT(VGGT_1B.with_(heads=heads))
    model.to_empty(device="cpu")
    model.aggregator.register_constants()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(0.0, 0.02, generator=generator)
            if name.endswith(("norm1.weight", "norm2.weight", "norm.weight", "gamma")):
                parameter += 1.0
    if dtype != "float32":
        from vggt_lite.pretrained.loading import cast_linear_weights

        cast_linear_weights(model, getattr(torch, dtype))
    return model.eval().to(device)


@contextmanager
def fast(model: VGGT) -> Iterator[None]:
    """As `reconstruct` computes on a CPU with precision="fast"."""
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False), chunked(model, precision="fast"):
        yield


FORMS = {  # the context in which a model computes
    OLD: lambda model: released_form(),
    OLD_AUTOCAST: lambda model: released_autocast(),
    NEW: chunked,
    FAST: fast,
}


def weights_bytes(model: VGGT) -> int:
    return sum(p.numel() * p.element_size() for p in model.parameters())


def pictures(views: int, height: int, width: int, device: str) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(views, 3, height, width, generator=generator).to(device)


def forward(model: VGGT, images: torch.Tensor, form: str):
    with FORMS[form](model), torch.no_grad():
        predictions = model(images)
    if images.is_cuda:
        torch.cuda.synchronize()
    return predictions


def peak(form: str, views: int, height: int, width: int, heads: list[str], device: str, dtype: str) -> dict:
    """Memory of one forward pass above the weights; called in a process of its own."""
    model, images = random_model(tuple(heads), device, dtype), pictures(views, height, width, device)
    gc.collect()
    with measure.PeakMemory(device) as memory:
        forward(model, images, form)
    return {"peak_above_weights_bytes": memory.bytes, "weights_bytes": weights_bytes(model)}


def relative_difference(a, b) -> float:
    """Largest difference of any output ÷ that output's largest magnitude."""
    pairs = [
        (getattr(a, name), getattr(b, name)) for name in ("pose_encoding", "depth", "depth_conf", "point_map")
    ]
    return max(((x - y).abs().max() / x.abs().max()).item() for x, y in pairs if x is not None)


def seconds(model: VGGT, images: torch.Tensor, forms: list[str], runs: int) -> tuple[dict, dict]:
    """Of each form what `measure.once` says of every turn, and how far its outputs are from the first's."""
    times, differences, found = {form: [] for form in forms}, {}, {}

    def answer(form: str) -> None:
        found[form] = forward(model, images, form)

    for _ in progress(range(runs), desc=f"{len(images)} views", unit="run"):
        for form in forms:
            times[form].append(measure.once(partial(answer, form), str(images.device)))
        differences = {form: relative_difference(found[forms[0]], found[form]) for form in forms}
        found.clear()
    return times, differences


def one_size(report: dict, model: VGGT, views: int, args) -> None:
    """All forms at one number of views; the report grows by their rows and ratios."""
    device, (height, width) = args.device, args.size
    what = {
        "device": report["hardware"],
        "dtype": args.dtype,
        "views": views,
        "height": height,
        "width": width,
        "heads": "+".join(args.heads),
    }
    images, rows = pictures(views, height, width, device), []
    too_many = (OLD, OLD_AUTOCAST) if views > args.most_views_old else ()
    forms = [form for form in args.forms if form not in too_many]
    try:
        times, differences = seconds(model, images, forms, args.runs)
    except torch.OutOfMemoryError:
        report["rows"].append({"form": " / ".join(forms), **what, "note": OUT_OF_MEMORY})
        return
    del images
    for form in forms:
        if args.times_only:
            memory = {}
        elif device == "cpu":
            arguments = {"form": form, "views": views, "height": height, "width": width}
            arguments |= {"heads": args.heads, "device": device, "dtype": args.dtype}
            target = "benchmarks.inference:peak"
            memory = measure.in_child(target, memory=True, threads=args.threads, **arguments)
        else:
            with measure.PeakMemory(device) as seen:
                forward(model, pictures(views, height, width, device), form)
            memory = {"peak_above_weights_bytes": seen.bytes, "weights_bytes": weights_bytes(model)}
        memory.pop("peak_rss", None)
        rows.append({"form": form, **what, **measure.spread(times[form]), **memory})
        rows[-1]["largest_relative_difference"] = differences[form]
        print("  ".join(f"{key}={value}" for key, value in rows[-1].items()), flush=True)
    report["rows"] += rows
    peaks = {row["form"]: row.get("peak_above_weights_bytes") for row in rows}
    for new, old in RATIOS:
        if new in times and old in times:
            ratio = {"form": f"{new} ÷ {old}", **what, **measure.ratio(times[old], times[new])}
            if not args.times_only:
                ratio["memory"] = round(peaks[new] / peaks[old], 3)
            report["ratios"].append(ratio)
            print("  ".join(f"{k}={v}" for k, v in ratio.items()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--views", type=int, nargs="+", help="default: 1 4 (cpu); 1 10 100 200 1250 (cuda)")
    parser.add_argument("--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--heads", nargs="+")
    parser.add_argument("--dtype", help="of the aggregator's matrices: float32 (cpu) or bfloat16 (cuda)")
    parser.add_argument("--forms", nargs="+", choices=list(FORMS), help="default: all that pay here")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--times-only", action="store_true", help="no peaks of memory")
    parser.add_argument("--threads", type=int, default=2, help="of the CPU")
    parser.add_argument("--most-views-old", type=int, default=200, help="do not try the old form beyond")
    parser.add_argument("--out", help="name of the result file; default inference_<device>")
    parser.add_argument("--afresh", action="store_true", help="forget rows measured before")
    args = parser.parse_args()
    gpu = args.device.startswith("cuda")
    args.views = args.views or ([1, 10, 100, 200, 1250] if gpu else [1, 4])
    args.size = args.size or ([336, 518] if gpu else [392, 518])
    args.heads = args.heads or (["camera", "depth"] if gpu else ["camera", "depth", "point"])
    args.dtype = args.dtype or ("bfloat16" if gpu else "float32")
    args.forms = args.forms or (
        [OLD, OLD_AUTOCAST, NEW, FAST] if measure.bfloat16_pays(args.device) else [OLD, NEW]
    )
    torch.set_num_threads(args.threads)

    name = args.out or f"inference_{measure.slug(args.device)}"
    path = measure.RESULTS / f"{name}.json"
    report = {**measure.hardware(args.device), "threads": args.threads, "rows": [], "ratios": []}
    if not gpu:
        report["instructions"] = measure.instructions()
    if path.exists() and not args.afresh:
        earlier = json.loads(path.read_text())
        report |= {"rows": earlier["rows"], "ratios": earlier["ratios"]}
    done = {(row["views"], row["height"], row["heads"], row["dtype"]) for row in report["rows"]}
    wanted = [v for v in args.views if (v, args.size[0], "+".join(args.heads), args.dtype) not in done]
    if not wanted:
        print(f"{path} already holds all of it; --afresh measures anew")
        return

    model = random_model(tuple(args.heads), args.device, args.dtype)
    forward(model, pictures(1, 140, 140, args.device), NEW)  # wakes libraries and clocks
    for views in wanted:
        one_size(report, model, views, args)
        measure.write_result(name, report)


if __name__ == "__main__":
    main()
