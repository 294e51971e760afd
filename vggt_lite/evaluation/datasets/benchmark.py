"""`evaluate_data`: a model on a published data set, by the protocol of the papers, as a `Report`."""

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from itertools import islice, zip_longest
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

from vggt_lite.evaluation.datasets import co3d, dtu, eth3d, tapvid
from vggt_lite.evaluation.datasets.sample import Options, Sample, Scored
from vggt_lite.evaluation.report import Report, conditions, pair_histograms
from vggt_lite.training.workers import Alone
from vggt_lite.utils.runtime import pick_device, pick_precision, progress

DATA_SETS: dict[str, ModuleType] = {"co3d": co3d, "dtu": dtu, "eth3d": eth3d, "tapvid-davis": tapvid}


def evaluate_data(
    model, data: str, root: str | Path, options: Options | None = None, num_scenes: int | None = None,
    device: torch.device | str | None = None, workers: Alone | None = None,
) -> Report:  # fmt: skip
    """Score a model on a data set that lies in a folder.

    Args:
        model: a `VGGT`, or anything with its `reconstruct`.
        data: one of `DATA_SETS`.
        root: the folder, in the layout of that data set's module.
        options: what differs from the protocol.
        num_scenes: only so many, in order, for a quick look; None: all.
        device: where to compute; None is the best at hand.
        workers: as for `evaluate`.

    Raises:
        ValueError, FileNotFoundError: naming the file or folder and what should be there.
    """
    if data not in DATA_SETS:
        raise ValueError(f"data={data!r} is unknown; choose one of {', '.join(DATA_SETS)}.")
    root, options, module = Path(root).expanduser(), options or Options(), DATA_SETS[data]
    if not root.exists():
        raise FileNotFoundError(f"{root} does not exist: see docs/evaluation.md for what to download.")
    if isinstance(model, nn.Module):
        model.to(pick_device(device))
    device, views = device_of(model), options.num_views or getattr(module, "NUM_VIEWS", None)
    options = replace(options, num_views=views, precision=pick_precision(device, options.precision))
    about = {"data": data, "text": module.TEXT, "unit": module.UNIT, "device": device}
    samples = list(islice(module.samples(root, options), num_scenes))  # all truth is checked before any work
    return report_of(
        samples, lambda sample: module.score(model, sample, options), options, **about, workers=workers
    )


def report_of(
    samples: Iterable[Sample], score: Callable[[Sample], Scored], options: Options, data: str, text: str,
    unit: str, device: torch.device, workers: Alone | None = None,
) -> Report:  # fmt: skip
    """The report of what `score` says of each sample.

    Args:
        data: name of the data set. text: its protocol, with names of numbers and options in braces.
        unit: of lengths. device: where the model computes.
        workers: of several processes each scores every n-th sample.

    Raises:
        ValueError: there is no sample.
    """
    started, workers, found = time.monotonic(), workers or Alone(), []
    mine = islice(samples, workers.rank, None, workers.world_size)
    for sample in progress(mine, desc=data, unit="scene"):
        try:
            scored = score(sample)
        except ValueError as error:
            raise ValueError(f"{data}, {sample.name}: {error}") from error
        figures = {
            who: {key: float(f"{value:.6g}") for key, value in getattr(scored, who).items() if value == value}
            for who in ("model", "constant")
        }
        scene = {"name": sample.name, "group": sample.group, "frames": scored.frames} | figures
        if not scene["model"]:
            raise ValueError(
                f"{data}: nothing of {sample.name} can be scored: leave it out, or mend its truth."
            )
        found.append((scene, scored.rotation, scored.translation))
    in_turn = zip_longest(*workers.gather(found))
    found = [row for turn in in_turn for row in turn if row is not None]
    scenes = [scene for scene, _, _ in found]
    rotation, translation = ([row[i] for row in found if row[i] is not None] for i in (1, 2))
    if not scenes:
        raise ValueError(f"no scene of {data} can be judged: see docs/evaluation.md for what must be there.")
    counts = {"num_scenes": len(scenes), "num_groups": len({scene["group"] for scene in scenes})}
    window = "all at once" if options.num_views is None else f"at most {options.num_views} frames at once"
    icp = "none" if options.icp is None else f"within {options.icp:g} {unit}"
    said = counts | asdict(options) | {"window": window, "icp_said": icp}
    protocol = {
        "text": text.format(**said), "data": data, "unit": unit, **counts, **asdict(options),
        **conditions(device, started, options.precision),
    }  # fmt: skip
    histograms = pair_histograms(torch.cat(rotation), torch.cat(translation)) if rotation else {}
    return Report.of_scenes(scenes, protocol, histograms)


def device_of(model) -> torch.device:
    """Where a model's parameters are; the CPU for what has none."""
    parameters = model.parameters() if hasattr(model, "parameters") else iter(())
    return next((p.device for p in parameters), torch.device("cpu"))
