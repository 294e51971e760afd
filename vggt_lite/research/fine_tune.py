"""Fine-tuning: a trained model meets your scenes, and keeps what it knows.

Three things decide what is forgotten: how much may move (everything, some parts, or thin adapters beside
frozen matrices), how long, and whether old scenes are rehearsed among the new ones. docs/fine_tuning.md says
what each did in a measured case.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from vggt_lite.config import TrainConfig
from vggt_lite.data.batches import BatchSource, Prefetch, step_generator
from vggt_lite.data.scene_folders import ZOOMS, MixtureSource, SceneFolders
from vggt_lite.evaluation.protocols import score
from vggt_lite.losses.scene_batch import SceneBatch
from vggt_lite.pretrained.loading import save_weights
from vggt_lite.research.adapters import add_adapters, merge_adapters, save_adapters
from vggt_lite.training.loop import TrainResult, train
from vggt_lite.utils.files import atomic_write
from vggt_lite.utils.runtime import seed_everything

RATES = {"weights": 1e-4, "adapters": 2e-4}  # peak learning rates without and with adapters
# A short run on few scenes: no curriculum (the model can match already) and an average that follows quickly.
FINE_TUNING = TrainConfig(
    steps=600, learning_rate=RATES["weights"], ema_decay=0.99, max_images=12, curriculum=0.0,
    aspects=(0.5, 1.0), checkpoint_every=200,
)  # fmt: skip
HEADS = "heads"  # in `freeze`: all of them
SHOWN = {  # what is compared before and after, and what people read
    "auc_30": "pose AUC@30 ↑", "rotation_median_deg": "rotation error, median ° ↓",
    "fov_median_deg": "field of view error, median ° ↓", "depth_abs_rel": "depth AbsRel ↓",
    "point_error": "point error ÷ scale ↓", "track_delta_px": "tracks δ_avg, network px, % ↑",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What moves, and what is shown.

    Args:
        adapters: Their rank; 0 trains the weights themselves. With adapters the aggregator is frozen.
        freeze: Parts that stay as they are, by the beginning of their parameters' names ("aggregator",
            "aggregator.patch_embed", "depth_head", …), or "heads" for all heads.
        rehearse: Folders of old scenes to mix in.
        rehearsal: Share of the steps that see old scenes.
        zooms: Lowest and highest share of a picture's sides that is kept, see `SceneFolders`.
    """

    adapters: int = 0
    freeze: tuple[str, ...] = ()
    rehearse: tuple[str, ...] = ()
    rehearsal: float = 1 / 3
    zooms: tuple[float, float] = ZOOMS

    def __post_init__(self) -> None:
        if not 0 < self.rehearsal < 1:
            raise ValueError(f"rehearsal={self.rehearsal} is a share of the steps: give 0.3, for example.")


def prepare(model: nn.Module, recipe: Recipe) -> None:
    """Freeze parts of a model and add adapters, in place.

    Raises:
        ValueError: a name in `freeze` fits nothing, or nothing would be left to train.
    """
    names = [name for name, _ in model.named_parameters()]
    parts = [part for part in recipe.freeze if part != HEADS]
    if HEADS in recipe.freeze:
        parts += sorted({name.split(".")[0] for name in names if not name.startswith("aggregator.")})
    if recipe.adapters:
        parts.append("aggregator")
    for part in parts:
        if not any(f"{name}.".startswith(f"{part}.") for name in names):
            known = sorted({name.split(".")[0] for name in names})
            raise ValueError(f"freeze={part!r} fits no part of this model: it has {', '.join(known)}.")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not any(f"{name}.".startswith(f"{part}.") for part in parts))
    if recipe.adapters:
        add_adapters(model, recipe.adapters)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError(
            f"freeze={recipe.freeze} leaves nothing to train: leave a part out, or add adapters."
        )


def fine_tune(
    model: nn.Module,
    folders: Iterable[Path | str],
    out: Path | str,
    recipe: Recipe | None = None,
    config: TrainConfig = FINE_TUNING,
    size: int | None = None,
    *,
    max_seconds: float | None = None,
    **notes: str,
) -> TrainResult:
    """Train a model on own scenes; killed and called again with a fresh model, it goes on.

    Args:
        model: With its weights; it is changed in place, and in the end an ordinary model again.
        folders: Scenes of any format that `open_scene` knows, or folders of scenes.
        out: Receives checkpoints and the log, and when all is done `model.safetensors` (for
            `VGGT.from_pretrained(out)`) and, if there were any, `adapters.safetensors`.
        recipe: What moves; None trains everything.
        config: Steps, batches, losses.
        size: Longer side of the pictures, pixels; None is the size that the model was made for.
        max_seconds: Stop cleanly after so long.
        notes: Texts kept in the weight file, such as the name of the weights it began with.

    Raises:
        FileNotFoundError, ValueError: a folder, a part or the run in `out` does not fit; see the message.
    """
    recipe, out = recipe or Recipe(), Path(out)
    folders = [str(folder) for folder in folders]
    size = size or model.config.image_size
    if "track" not in model.config.heads:
        config = config.with_(track_weight=0.0)
    data = batches(folders, recipe, config, size, model.config.patch_size)
    asked = {"folders": folders, "size": size, **json.loads(json.dumps(vars(recipe))), **notes}
    _same_run(out / "fine_tuning.json", asked)
    seed_everything(config.seed)  # adapters are drawn
    prepare(model, recipe)
    if next(model.parameters()).is_cuda:
        data = Prefetch(data)
    result = train(model, data, config, out, max_seconds=max_seconds)
    if result.finished:
        if recipe.adapters:
            save_adapters(model, out / "adapters.safetensors", **notes)
        merge_adapters(model)
        save_weights(model, out / "model.safetensors", **notes)
    model.requires_grad_(True)
    model.eval()
    return result


def batches(
    folders: Sequence[str], recipe: Recipe, config: TrainConfig, size: int, patch_size: int
) -> BatchSource:
    """New scenes, and old ones among them if any are rehearsed."""
    new = SceneFolders(folders, config, size, patch_size, recipe.zooms)
    if not recipe.rehearse:
        return new
    old = SceneFolders(recipe.rehearse, config, size, patch_size, recipe.zooms)
    return MixtureSource([new, old], [1 - recipe.rehearsal, recipe.rehearsal], config.seed)


def held_out(
    folders: Iterable[Path | str], size: int, patch_size: int, views: int = 4, num_tracks: int = 32
) -> list[SceneBatch]:
    """Each scene of some folders once, for scores: square pictures, uncoloured, always the same views."""
    config = TrainConfig(views=(views, views), max_images=views, num_tracks=num_tracks, augment=0.0)
    source = SceneFolders(folders, config, size, patch_size, zooms=(1.0, 1.0))
    return [
        source.scene(number, min(views, len(scene)), (size, size), 1.0, step_generator(0, number))
        for number, scene in enumerate(source.scenes)
    ]


def scores_of(model: nn.Module, scenes: Iterable[SceneBatch]) -> dict[str, float]:
    """The figures of `SHOWN` for a model on scenes with truth."""
    device = next(model.parameters()).device
    model.eval()
    found = score({"model": model}, (scene.to(device) for scene in scenes), model.config.patch_size)
    return {key: found["model"][key] for key in SHOWN if key in found["model"]}


def _same_run(path: Path, asked: dict) -> None:
    """Write down what a run was asked for; a run that goes on must be asked for the same."""
    if path.exists():
        there = json.loads(path.read_text(encoding="utf-8"))
        if differ := [key for key in asked.keys() | there.keys() if there.get(key) != asked.get(key)]:
            raise ValueError(
                f"{path.parent} holds a run with other {', '.join(sorted(differ))}; give another folder, or "
                "the arguments that it was started with."
            )
        return
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(asked, indent=1) + "\n", encoding="utf-8")
