"""Fine-tuning: a trained model learns from your scenes.

What it forgets meanwhile depends on three things: how much may change (everything, some parts, or adapters
beside frozen matrices), how long, and whether old scenes are mixed in. docs/fine_tuning.md measures each.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from vggt_lite.config import TrainConfig
from vggt_lite.data.batches import load_ahead
from vggt_lite.data.scene_folders import ZOOMS, MixtureSource, SceneFolders
from vggt_lite.evaluation.metric_table import ROWS
from vggt_lite.evaluation.report import Report
from vggt_lite.metrics.intervals import bootstrap_interval
from vggt_lite.pretrained.int8 import is_int8
from vggt_lite.pretrained.loading import TrainedOn, save_weights
from vggt_lite.research.adapters import add_adapters, merge_adapters
from vggt_lite.training.checkpoint import list_checkpoints
from vggt_lite.training.loop import BatchSource, TrainResult, train
from vggt_lite.training.workers import Alone
from vggt_lite.utils.runtime import pick_device, pick_dtype, seed_everything
from vggt_lite.utils.table import text_table

RATES = {"weights": 1e-4, "adapters": 2e-4}  # peak learning rates without and with adapters
# A short run on few scenes: no curriculum (the model can match already) and an average that follows quickly.
FINE_TUNING = TrainConfig(
    steps=600, learning_rate=RATES["weights"], ema_decay=0.99, max_images=12, curriculum=0.0,
    aspects=(0.5, 1.0), checkpoint_every=200,
)  # fmt: skip
WEIGHTS = "model.safetensors"  # in `out`
HEADS = "heads"  # in `freeze`: all of them
SHOWN = ("auc_30", "rotation_median_deg", "fov_median_deg", "depth_abs_rel", "point_error", "track_delta_px")


@dataclass(frozen=True, kw_only=True)
class FineTuneOptions:
    """What is trained, and on what.

    Args:
        adapters: Their rank; 0 trains the weights themselves. With adapters the aggregator is frozen.
        freeze: Parts that stay as they are, by the beginning of their parameters' names ("aggregator",
            "aggregator.patch_embed", "depth_head", …), or "heads" for all heads.
        rehearse: Folders of old scenes to mix in.
        rehearsal: Share of the steps that see old scenes.
        zooms: Lowest and highest share of a picture's sides that is kept, see `SceneFolders`.

    Raises:
        ValueError: `rehearsal` is no share, or `adapters` is below 0.
    """

    adapters: int = 0
    freeze: tuple[str, ...] = ()
    rehearse: tuple[str, ...] = ()
    rehearsal: float = 1 / 3
    zooms: tuple[float, float] = ZOOMS

    def __post_init__(self) -> None:
        if not 0 < self.rehearsal < 1:
            raise ValueError(f"rehearsal={self.rehearsal} is a share of the steps: give 0.3, for example.")
        if self.adapters < 0:
            raise ValueError(f"adapters={self.adapters} is their rank: give 8, for example, or 0 for none.")


def prepare(model: nn.Module, options: FineTuneOptions) -> None:
    """Freeze parts of a model and add adapters, in place.

    Raises:
        ValueError: a name in `freeze` fits nothing, or nothing would be left to train.
    """
    names = [name for name, _ in model.named_parameters()]
    parts = [part for part in options.freeze if part != HEADS]
    if HEADS in options.freeze:
        parts += sorted({name.split(".")[0] for name in names if not name.startswith("aggregator.")})
    if options.adapters:
        parts.append("aggregator")
    for part in parts:
        if not any(f"{name}.".startswith(f"{part}.") for name in names):
            known = sorted({name.split(".")[0] for name in names})
            raise ValueError(f"freeze={part!r} fits no part of this model: it has {', '.join(known)}.")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not any(f"{name}.".startswith(f"{part}.") for part in parts))
    if options.adapters:
        add_adapters(model, options.adapters)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError(f"freeze={options.freeze} leaves nothing to train: name fewer, or add adapters.")


def fine_tune(
    model: nn.Module,
    folders: Iterable[Path | str],
    out: Path | str,
    options: FineTuneOptions | None = None,
    config: TrainConfig = FINE_TUNING,
    size: int | None = None,
    *,
    device: torch.device | str | None = None,
    max_seconds: float | None = None,
    workers: Alone | None = None,
    **notes: str,
) -> TrainResult:
    """Train a model on own scenes; stopped and called again with a fresh model, it goes on.

    Args:
        model: With its weights; it is changed in place, and in the end an ordinary model again.
        folders: Scenes of any format that `open_scene` knows, or folders of scenes.
        out: Receives checkpoints and the log, and when all is done `model.safetensors`, adapters merged, for
            `VGGT.from_pretrained(out)`.
        options: What is trained; None trains everything.
        config: Steps, batches, losses.
        size: Longer side of the pictures, pixels; None is the size that the model was made for.
        device: Where to compute; None is the best at hand.
        max_seconds: Stop cleanly after so long.
        workers: From `distributed.init`, where several processes train together.
        notes: Texts kept in the weight file, such as the name of the weights it began with.

    Raises:
        FileNotFoundError, ValueError: a folder, a part or the run in `out` does not fit; see the message.
    """
    if is_int8(model):
        raise ValueError("int8 matrices cannot be trained: take the weights that they were made from.")
    options, out, device = options or FineTuneOptions(), Path(out), pick_device(device)
    folders, workers = [str(folder) for folder in folders], workers or Alone()
    size = model.config.image_size if size is None else size
    if (out / WEIGHTS).exists() and not list_checkpoints(out):
        raise ValueError(f"{out / WEIGHTS} is not of this run, which would replace it: give another out.")
    if "track" not in model.config.heads:
        config = config.with_(loss_weights=config.loss_weights | {"track": 0.0})
    worker = (workers.rank, workers.world_size)
    data = batches(folders, options, config, size, model.config.patch_size, worker)
    asked = {f"options.{name}": str(value) for name, value in vars(options).items()} | notes
    seed_everything(config.seed)  # adapters are drawn
    prepare(model, options)
    result = train(
        model.to(device), load_ahead(data, config.steps, device), config, out, dtype=pick_dtype(device),
        max_seconds=max_seconds, identity=asked, workers=workers,
    )  # fmt: skip
    if result.finished:
        merge_adapters(model)
        model.trained_on = TrainedOn((size, size), config.views)
        if workers.rank == 0:
            save_weights(model, out / WEIGHTS, **notes)
        workers.gather(None)  # it is there now
    model.requires_grad_(True)
    model.eval()
    return result


def batches(
    folders: Sequence[str],
    options: FineTuneOptions,
    config: TrainConfig,
    size: int,
    patch_size: int,
    worker: tuple[int, int] = (0, 1),
) -> BatchSource:
    """New scenes, and old ones among them if any are rehearsed."""
    new = SceneFolders(folders, config, size, patch_size, options.zooms, worker)
    if not options.rehearse:
        return new
    old = SceneFolders(options.rehearse, config, size, patch_size, options.zooms, worker)
    return MixtureSource([new, old], [1 - options.rehearsal, options.rehearsal], config.seed)


def changes(before: Report, after: Report) -> str:
    """What fine-tuning did to the figures of the same held-out scenes, as a table for a terminal.

    The interval is that of the mean change over scenes (95 %, bootstrap). Medians over all pairs of views
    have none, nor has a single scene.
    """
    lines = []
    for key in (key for key in SHOWN if key in before.model and key in after.model):
        label, better, decimals = ROWS[key]
        pairs = zip(before.scenes, after.scenes, strict=True)
        pairs = [(old["model"].get(key), new["model"].get(key)) for old, new in pairs]
        apart = [new - old for old, new in pairs if None not in (old, new)]
        low, high = bootstrap_interval(apart) if len(apart) > 1 else (None, None)
        interval = "–" if low is None else f"{low:+.{decimals}f} … {high:+.{decimals}f}"
        old, new = before[key], after[key]
        cells = (f"{old:.{decimals}f}", f"{new:.{decimals}f}", f"{new - old:+.{decimals}f}", interval)
        lines.append((f"{label} {better}", *cells))
    heads = (f"{len(before.scenes)} held-out scenes", "before", "after", "change", "95 % interval of it")
    return text_table(heads, lines, "lrrrr")
