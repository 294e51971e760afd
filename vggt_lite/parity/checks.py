"""The comparisons that need nothing but this package: golden numbers, and one model in two precisions."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from vggt_lite.model import VGGT
from vggt_lite.parity import golden
from vggt_lite.parity.deterministic_weights import deterministic_model, deterministic_state_dict
from vggt_lite.parity.stages import in_order, observe, summarise
from vggt_lite.parity.table import Row, Table, allowed, compare, type_name
from vggt_lite.utils.runtime import progress


@contextmanager
def plain_float32(device: torch.device | str) -> Iterator[None]:
    """Products in full float32 on a device: neither TF32 nor autocast, whatever was set outside."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = (matmul.allow_tf32, cudnn.allow_tf32)
    matmul.allow_tf32 = cudnn.allow_tf32 = False
    try:
        with torch.autocast(torch.device(device).type, enabled=False):
            yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


def verify_golden(
    which: str = "tiny", device: torch.device | str = "cpu", cases: Iterable[str] | None = None
) -> Table:
    """The whole network, with the rule's weights, against the official network's numbers.

    Args:
        which: "tiny" (every part of VGGT, seconds) or "full" (VGGT-1B: 5 GB of weights, minutes).
        device: Where to compute, in float32.
        cases: Some of the file's cases; None takes all.

    Raises:
        ValueError: no such file or case.
        FileNotFoundError: the golden files are not here.
    """
    started = time.monotonic()
    if which not in golden.CONFIGS:
        raise ValueError(f"which={which!r}: choose among {', '.join(golden.CONFIGS)}.")
    info = golden.metadata(which)
    cases = list(info["cases"] if cases is None else cases)
    if unknown := [case for case in cases if case not in info["cases"]]:
        raise ValueError(f"{which} has no case {unknown[0]!r}; choose among {', '.join(info['cases'])}.")
    numbers, filled = golden.load(which), ""
    model = deterministic_model(golden.CONFIGS[which], filled, device)
    table = Table(f"golden numbers, {which}: this network against the official one's, on {device}")
    for case in progress(cases, desc=f"golden {which}", unit="case"):
        variant = info["cases"][case].get("variant", "")
        if variant != filled:
            deterministic_state_dict(model, variant)
        filled = variant
        table.rows += golden_rows(model, case, info, numbers)
    table.seconds = time.monotonic() - started
    table.about = {"file": which, "cases": cases, "tolerance": "10 × max(measured noise, 2e-6 · max|x|)"}
    return table


def golden_rows(model: VGGT, case: str, info: dict, numbers: dict[str, Tensor]) -> list[Row]:
    """One case of a golden file, every stage in every form that was stored.

    Args:
        model: Filled by the rule, in evaluation mode.
        case: Its name. info, numbers: The file's `metadata` and arrays.
    """
    device = next(model.parameters()).device
    images, points = golden.case_inputs(info["cases"][case])
    with plain_float32(device):
        found, types = observe(model, images.to(device), None if points is None else points.to(device))
    stored = [key.removeprefix(f"{case}/") for key in numbers if key.startswith(f"{case}/")]
    order = {name: place for place, name in enumerate(found)}
    rows = []
    for key in sorted(in_order(stored), key=lambda key: order.get(key.partition("@")[0], len(order))):
        stage, _, form = key.partition("@")
        want = numbers[f"{case}/{key}"]
        about = {"case": case, "device": device.type, "dtype": type_name(types.get(stage, torch.float32))}
        got = summarise(found[stage], form) if stage in found else want.new_empty(0)  # unseen stages fail
        rows.append(compare(key, got, want, allowed(want, info["noise"].get(f"{case}/{key}", 0.0)), **about))
    return rows


def require_float32(model: VGGT) -> VGGT:
    """The model itself, if all its parameters are float32.

    Raises:
        ValueError: they are not, so that there is no float32 to compare with.
    """
    if kinds := {p.dtype for p in model.parameters()} - {torch.float32}:
        raise ValueError(
            f"the model holds {type_name(kinds.pop())} parameters, so there is no float32 to compare with: "
            "load it with dtype=None."
        )
    return model


def verify_precision(
    model: VGGT, images: Tensor, points: Tensor | None = None, dtype: torch.dtype = torch.bfloat16
) -> Table:
    """What half precision changes: one model on the same images in float32 and under autocast.

    Nothing is judged but that every number stays finite. The column "computed in" shows which parts leave
    autocast: the camera, depth and point heads.

    Args:
        model: Any `VGGT` with float32 parameters, on any device.
        images: (S, 3, H, W) or (B, S, 3, H, W). points: Query points, or None.
        dtype: torch.bfloat16 or torch.float16.

    Raises:
        ValueError: `dtype` is no half precision, or the model's parameters are not float32.
    """
    if dtype not in (torch.bfloat16, torch.float16):
        raise ValueError(f"dtype={dtype}: choose torch.bfloat16 or torch.float16.")
    require_float32(model)
    started, device = time.monotonic(), next(model.parameters()).device
    images, points = images.to(device), None if points is None else points.to(device)
    with plain_float32(device):
        want, _ = observe(model, images, points)
        with torch.autocast(device.type, dtype, cache_enabled=False):  # no second copy of all weights
            got, types = observe(model, images, points)
    rows = [
        compare(stage, got[stage], want[stage], None, dtype=type_name(types[stage]), device=device.type)
        for stage in got
    ]
    title = f"{type_name(dtype)} autocast against float32, the same weights and images, on {device}"
    about = {"images": list(images.shape), "dtype": type_name(dtype)}
    return Table(title, rows, time.monotonic() - started, about)
