"""The recipes of the models that this repository trains: `vggt-lite train nano --out runs/nano`."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from vggt_lite.config import (
    HEADS,
    NANO,
    PAPERED_SCENES,
    PRECISIONS,
    TINY,
    VARIED_SCENES,
    WIDE_SCENES,
    ModelConfig,
    SceneConfig,
    TrainConfig,
    check_choice,
)
from vggt_lite.data.batches import GeneratedScenes, RenderedScenes, load_ahead
from vggt_lite.evaluation.protocols import collect, held_out_scenes
from vggt_lite.losses import heads_for
from vggt_lite.model import VGGT, Block
from vggt_lite.pretrained.loading import load_pretrained
from vggt_lite.research.net2net import net2net_widen
from vggt_lite.synthetic.prerender import render_ahead, render_meanwhile
from vggt_lite.training.loop import BatchSource, TrainResult, train
from vggt_lite.training.workers import Alone
from vggt_lite.utils.guards import check_limit
from vggt_lite.utils.runtime import pick_device, pick_dtype, seed_everything


@dataclass(frozen=True)
class TrainStage:
    """A part of a training: which scenes, the side of their images in pixels, and how it trains."""

    scenes: SceneConfig
    size: int
    config: TrainConfig
    num_scenes: int = 0  # rendered ahead; 0: rendered on the spot, never the same twice
    window: int = 0  # so many of them at a time, the others are rendered meanwhile; 0: all, before it starts
    frozen: tuple[str, ...] = ()  # parts that do not learn: "aggregator", "camera_head"


@dataclass(frozen=True)
class Preset:
    """A model, and the stages in which it learns; each starts with the weights of the one before."""

    model: ModelConfig
    path_views: int  # views along the camera path of each scene
    stages: dict[str, TrainStage]
    held_out: SceneConfig = SceneConfig()  # on which it is scored while it trains
    starts_from: str | None = None  # bundled weights, widened if they are of a narrower model


WATCHED_SEED = 1_500_000  # of the held-out scenes to look at while training; final figures come from others

# Walls that keep their colours, seen from one side: a single picture shows where its camera stands.
LANDMARKS = SceneConfig(walls="landmark", start_deg=(-50.0, 50.0))

_FAST = TrainConfig(
    learning_rate=1e-3, betas=(0.9, 0.95), ema_decay=0.995, max_images=32, curriculum=0.0,
    checkpoint_every=250,
)  # fmt: skip
_ALL = {"camera": 5.0, "depth": 1.0, "point": 1.0, "track": 0.1, "matching": 0.03}
_VARIED = _FAST.with_(
    learning_rate=6e-4, views=(1, 6), max_images=24, aspects=(0.75, 1.34), num_tracks=24, augment=0.3,
    loss_weights=_ALL | {"matching": 0.05},
)  # fmt: skip

PRESETS = {
    "nano": Preset(
        NANO,
        path_views=6,
        stages={
            # What to compare, and what a camera is. Landmarks give the camera head something to read
            # long before the network can relate two views; without them nothing moves for a long time.
            "landmarks": TrainStage(LANDMARKS, 48, _FAST.with_(
                steps=1_000, views=(2, 2), loss_weights={"camera": 5.0, "matching": 1.0},
            ), num_scenes=8_192),
            # Landmarks gone: only matches tell how the camera moved. Points in the first view's frame
            # ask every patch for its match. The matching loss is turned down, for its gradient is
            # 25 times that of the cameras and would outweigh it.
            "matches": TrainStage(SceneConfig(), 48, _FAST.with_(
                steps=1_500, views=(2, 3), seed=1,
                loss_weights={"camera": 5.0, "point": 1.0, "matching": 0.03},
            ), num_scenes=8_192),
            "all": TrainStage(SceneConfig(), 48, _FAST.with_(
                steps=1_200, views=(2, 4), max_images=24, seed=2, loss_weights=_ALL,
            ), num_scenes=8_192),
            "larger": TrainStage(SceneConfig(), 64, _FAST.with_(
                steps=1_100, learning_rate=8e-4, views=(1, 4), max_images=24, seed=3, loss_weights=_ALL,
            ), num_scenes=8_192),
        },
    ),
    "tiny": Preset(
        TINY,
        path_views=6,
        held_out=VARIED_SCENES,
        starts_from="nano",
        stages={
            # Half of the patches at half of the price: other lenses, shapes, photographs, more views.
            "smaller": TrainStage(VARIED_SCENES, 84, _VARIED.with_(steps=1_300, seed=10)),
            "full": TrainStage(VARIED_SCENES, 112, _VARIED.with_(steps=1_150, seed=11)),
            "longer": TrainStage(VARIED_SCENES, 112, _VARIED.with_(steps=1_800, seed=12)),
        },
    ),
}  # fmt: skip

# TINY once more, in a wider world: every kind of place, steps that show, and directions asked for by name.
# Points and tracks cost half of a step and teach the trunk little, so they come last. Then both once more:
# what moves directions most is the end of a schedule, where the rate falls.
_WIDE = _VARIED.with_(
    steps=1_800, learning_rate=4e-4, views=(2, 8), seed=20,
    loss_weights={"camera": 5.0, "depth": 1.0, "matching": 0.05, "direction": 1.0},
)  # fmt: skip
_STILL = WIDE_SCENES.with_(moving_objects=0)  # what flies cannot be rendered ahead
_PAPERED = PAPERED_SCENES.with_(moving_objects=0)
PRESETS["tiny-wide"] = Preset(
    TINY, path_views=8, held_out=WIDE_SCENES, starts_from="tiny",
    stages={
        "cameras": TrainStage(WIDE_SCENES, 112, _WIDE),
        "all": TrainStage(WIDE_SCENES, 112, _WIDE.with_(
            steps=500, learning_rate=2e-4, views=(1, 8), seed=21,
            loss_weights=_ALL | {"matching": 0.05, "direction": 1.0},
        )),
        "longer": TrainStage(WIDE_SCENES, 112, _WIDE.with_(
            steps=3_000, learning_rate=5e-4, seed=22, loss_weights=_WIDE.loss_weights | {"direction": 2.0},
        )),
        "all_again": TrainStage(WIDE_SCENES, 112, _WIDE.with_(
            steps=400, learning_rate=2e-4, views=(1, 8), seed=23,
            loss_weights=_ALL | {"matching": 0.05, "direction": 2.0},
        )),
        # More patches: they tell more of where the cameras stand.
        "finer": TrainStage(WIDE_SCENES, 140, _WIDE.with_(
            steps=1_200, learning_rate=5e-4, seed=24, loss_weights=_WIDE.loss_weights | {"direction": 2.0},
        )),
        # Cheaper pictures, so more of them: scenes rendered once and seen about three times, each time other
        # views of them, and depth decoded for two views of each (benchmarks/picture_cost.py).
        "finer_longer": TrainStage(_STILL, 140, _WIDE.with_(
            steps=2_800, learning_rate=5e-4, seed=25, dense_views=2,
            loss_weights=_WIDE.loss_weights | {"direction": 2.0},
        ), num_scenes=2_560),
        # The heads that had no part in it learn to read its tokens; cameras and depth lose nothing by it.
        "other_heads": TrainStage(_STILL, 140, _WIDE.with_(
            steps=500, learning_rate=5e-4, seed=26, dense_views=3,
            loss_weights={"camera": 5.0, "depth": 1.0, "point": 1.0, "track": 0.1},
        ), num_scenes=2_560, frozen=("aggregator", "camera_head")),
        # Nine times as many scenes, most seen while others are rendered. Real panoramas on some walls, and
        # cameras that only turn.
        "papered": TrainStage(_PAPERED, 140, _WIDE.with_(
            steps=6_500, learning_rate=5e-4, seed=27, dense_views=2,
            loss_weights=_WIDE.loss_weights | {"direction": 2.0},
        ), num_scenes=20_480, window=2_560),
        "other_heads_again": TrainStage(_PAPERED, 140, _WIDE.with_(
            steps=300, learning_rate=5e-4, seed=28, dense_views=3,
            loss_weights={"camera": 5.0, "depth": 1.0, "point": 1.0, "track": 0.1},
        ), num_scenes=20_480, frozen=("aggregator", "camera_head")),
    },
)  # fmt: skip

# The same for a GPU, longer and in larger batches (tools/train_slice.py). Not run yet: the bundled TINY is
# the one above, trained on a CPU.
_LARGE = _VARIED.with_(views=(1, 8), max_images=192, ema_decay=0.999, num_tracks=64)
PRESETS["tiny-gpu"] = replace(
    PRESETS["tiny"],
    path_views=8,
    stages={
        "smaller": TrainStage(VARIED_SCENES, 84, _LARGE.with_(steps=4_000, seed=10)),
        "full": TrainStage(VARIED_SCENES, 112, _LARGE.with_(steps=12_000, seed=11)),
    },
)


def train_preset(
    name: str,
    out: Path | str,
    data_folder: Path | str | None = None,
    max_seconds: float | None = None,
    resume: bool = True,
    eval_fn=None,
    workers: Alone | None = None,
    precision: str = "exact",
) -> TrainResult:
    """Train a preset, stage by stage, or go on where an earlier call stopped.

    Args:
        name: One of `PRESETS`.
        out: Gets a folder for each stage, with its checkpoints and log.
        data_folder: Where scenes are rendered ahead, in a folder for each size; by default `out`. On a
            GPU scenes are rendered on the spot unless a folder is given.
        max_seconds: Stop cleanly after so long.
        resume: False makes an earlier run in `out` an error.
        eval_fn: As for `train`, called with the model, the preset's kind of held-out scenes, and their size:
            the stage's, and no smaller than what the model is made for.
        workers: From `distributed.init`, where several processes train together.
        precision: "fast" multiplies in bfloat16 on a CPU, too, if it has instructions for it, and compiles
            the attention blocks, which takes one or two minutes at the start and needs a C++ compiler.

    Returns:
        The result of the last stage that ran; `finished` tells whether all is done.
    """
    if name not in PRESETS:
        raise ValueError(f"preset {name!r} is unknown; choose among {', '.join(map(repr, PRESETS))}.")
    check_limit(max_seconds)
    check_choice("precision", precision, PRECISIONS)
    preset, device, started = PRESETS[name], pick_device(), time.monotonic()
    workers, out = workers or Alone(), Path(out)
    data = Path(data_folder or out) if device.type == "cpu" or data_folder else None
    start = preset.starts_from and load_pretrained(preset.starts_from)
    if start and start.config.dim < preset.model.dim:
        start = net2net_widen(start, preset.model)
    weights = start.state_dict() if start else {}
    for number, (part, stage) in enumerate(preset.stages.items()):
        source = batch_source(preset, stage, data, device, workers)
        model = stage_model(preset.model, stage.config, weights).to(device)
        left = None if max_seconds is None else max(0.0, max_seconds - (time.monotonic() - started))
        folder = out / f"{number}_{part}"
        watched = preset.held_out, max(stage.size, preset.model.image_size)
        scores = eval_fn and (lambda model, watched=watched: eval_fn(model, *watched))
        for part_name in stage.frozen:
            getattr(model, part_name).requires_grad_(False)
        how = {} if precision == "exact" else {"precision": precision}
        if precision == "fast":
            compile_blocks(model)
        result = train(
            model, source, stage.config, folder, dtype=pick_dtype(device, precision), eval_fn=scores,
            max_seconds=left, resume=resume, workers=workers, identity=how,
        )  # fmt: skip
        if not result.finished:
            break
        weights = weights | workers.full_state(model.state_dict(), everywhere=True)  # heads left out stay
    return result


def held_out_scores(model: nn.Module, scenes: SceneConfig, size: int) -> dict[str, float]:
    """Scores to look at during a training, on 40 scenes of a kind and size in pixels that are kept out of it.

    The loss falls long before the network relates its views. The correlations of yaw and of sideways motion
    with the truth rise when it does.
    """
    device = next(model.parameters()).device
    batches = held_out_scenes(40, WATCHED_SEED, 4, size, scenes, 8, 20, device)
    found = collect({"model": model}, batches, model.config.patch_size)["model"].result()
    keys = ["auc_30", "rotation_median_deg", "matching_accuracy", "depth_abs_rel", "track_delta_px"]
    keys += [key for key in found if key.startswith("correlation_")]
    return {key: round(found[key], 4) for key in keys if key in found}


def stage_model(
    sizes: ModelConfig, config: TrainConfig, weights: dict, build: Callable[[ModelConfig], nn.Module] = VGGT
) -> nn.Module:
    """The model of one stage: only the heads that its losses use, weights from the stage before."""
    seed_everything(config.seed)
    heads = tuple(head for head in HEADS if head in heads_for(config.loss_weights))
    model = build(sizes.with_(heads=heads))
    model.load_state_dict(model.state_dict() | {k: v for k, v in weights.items() if k in model.state_dict()})
    return model


def compile_blocks(model: VGGT) -> None:
    """Have torch write programs for the blocks, with fewer passes over memory; it needs a C++ compiler.

    Numbers of views and sizes change from step to step: what was compiled for some serves the others, too.
    """
    import torch._dynamo  # takes seconds

    torch._dynamo.config.recompile_limit = 64  # kinds of block × tensors with and without gradients
    for block in (m for m in model.aggregator.modules() if isinstance(m, Block)):
        block.compile(dynamic=True)


def batch_source(
    preset: Preset, stage: TrainStage, data: Path | None, device: torch.device, workers: Alone
) -> BatchSource:
    """Scenes rendered ahead into a folder below `data`; on the device without one, or as the stage says."""
    worker = (workers.rank, workers.world_size)
    if data is None or not stage.num_scenes:
        return GeneratedScenes(
            stage.config, stage.scenes, stage.size, preset.path_views, device, preset.model.patch_size, worker
        )
    folder = data / f"scenes_{stage.size}_{stage.scenes.walls}_{stage.scenes.texture}"
    asked = folder, stage.scenes, stage.num_scenes, preset.path_views, stage.size
    rendering = None
    if stage.window and device.type == "cpu" and workers.world_size == 1:  # one process reads
        rendering = render_meanwhile(*asked)
    else:
        render_ahead(*asked, worker=worker)
        workers.gather(None)  # the others' shards are there now
    source = RenderedScenes(folder, stage.config, worker, preset.model.patch_size, stage.window, rendering)
    return load_ahead(source, stage.config.steps, device)
