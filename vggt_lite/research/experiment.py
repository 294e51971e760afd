"""Change one thing, train, score: the same small training for every variant and every seed.

    linear = Variant("linear attention", build=lambda config: VGGT(config, block=LinearBlock))
    runs = run_experiment([BASELINE, linear], seeds=(0, 1, 2), recipe=SMALL_RECIPE, folder="runs/linear")
    print(compare_runs(runs))

A run is one variant trained with one seed. It leaves one JSON file and is not repeated; an interrupted run
goes on where it stopped. A file of other settings, or of other code, is refused. `comparison.py` says what
the runs show.
"""

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

import msgspec
import torch
from torch import nn

from vggt_lite.config import NANO, ModelConfig, SceneConfig, TrainConfig
from vggt_lite.data.batches import RenderedScenes, load_ahead
from vggt_lite.evaluation.protocols import collect, held_out_scenes
from vggt_lite.evaluation.report import conditions
from vggt_lite.evaluation.scores import ExtraScores, Scores
from vggt_lite.losses.scene_batch import SceneBatch
from vggt_lite.model.predictions import Predictions
from vggt_lite.model.vggt import VGGT
from vggt_lite.pretrained.loading import save_weights
from vggt_lite.research.presets import LANDMARKS, stage_model
from vggt_lite.synthetic.prerender import render_ahead
from vggt_lite.training.checkpoint import list_checkpoints
from vggt_lite.training.log import read_log, seconds_of
from vggt_lite.training.loop import train
from vggt_lite.utils.files import write_text
from vggt_lite.utils.fingerprint import TRAINING_CODE, commit, differences, fingerprint, fingerprints
from vggt_lite.utils.reading import read_json, reading
from vggt_lite.utils.runtime import pick_device, pick_dtype

# What is asked of every run: cameras, depth, points, tracks, matches, and whether views are compared
SCORES = ("auc_30", "rotation_median_deg", "translation_median_deg", "depth_abs_rel", "point_error",
          "depth_point_error", "track_delta_px", "matching_accuracy", "correlation_yaw",
          "correlation_sideways")  # fmt: skip
SCORED_SEED = 1_030_000  # of the first held-out scene: none that presets look at while they train
SCORING = ("protocols", "scores", "metric_groups")  # the modules of `evaluation` that matter here
RUN_CODE = TRAINING_CODE + tuple(f"vggt_lite.evaluation.{name}" for name in SCORING)
IDENTITY = ("variant", "changes", "seed", "recipe", "code", "build")  # what must be the same in a result


@dataclass(frozen=True)
class Variant:
    """What one kind of run changes about the recipe.

    Args:
        name: Any text; it names the files, too.
        model: Fields of `ModelConfig`.
        train: Fields of `TrainConfig`.
        build: Called with the run's `ModelConfig`, it returns the model, which needs `config`, `forward` and
            the attributes of a `VGGT`. None is `VGGT`.
        own_weights: Start with the weights that `build` gives. By default parameters that the recipe's own
            model has, by name and shape, start with that model's values, whatever else a variant draws.
    """

    name: str
    model: dict = field(default_factory=dict)
    train: dict = field(default_factory=dict)
    build: Callable[[ModelConfig], nn.Module] | None = None
    own_weights: bool = False

    @property
    def changes(self) -> dict:
        """What differs from the recipe, in values that JSON can hold."""
        build = {} if self.build is None else {"build": getattr(self.build, "__qualname__", repr(self.build))}
        own = {"own_weights": True} if self.own_weights else {}
        return {**self.model, **self.train, **build, **own}


BASELINE = Variant("baseline")


class RunResult(TypedDict):
    """What every result holds, beside much else."""

    variant: str
    seed: int
    scores: list[dict[str, float | None]]


@dataclass(frozen=True)
class Recipe:
    """What all variants share: sizes, scenes, training, and the scenes on which they are scored."""

    model: ModelConfig
    train: TrainConfig  # it is scored at every checkpoint; its seed is replaced by the run's
    scenes: SceneConfig
    size: int  # pixels
    num_scenes: int  # rendered ahead
    path_views: int  # views along the camera path of each
    scored_scenes: int = 64  # held-out
    scored_views: int = 3
    extra_scores: ExtraScores | None = None  # further figures of your own, as for `evaluate`

    def of(self, variant: Variant, seed: int) -> tuple[ModelConfig, TrainConfig]:
        """The configurations of one run.

        Raises:
            TypeError, ValueError: the variant changes a field that does not exist, or to what is refused.
        """
        return self.model.with_(**variant.model), self.train.with_(**variant.train).with_(seed=seed)


# NANO with lighter heads, all losses, small pictures of walls that keep their colours: minutes on one core
SMALL_RECIPE = Recipe(
    model=NANO.with_(
        image_size=40, dense_dims=(16, 24, 32, 32), dense_dim=16, track_dim=16, track_fused=16,
        track_hidden=32, track_depth=1, track_iterations=2, track_levels=2, track_radius=2,
    ),
    train=TrainConfig(
        steps=600, learning_rate=2e-3, betas=(0.9, 0.95), ema_decay=0.98, views=(2, 3), max_images=12,
        num_tracks=8, curriculum=0.0, augment=0.0, loss_form="paper", checkpoint_every=120,
        loss_weights={"camera": 5.0, "depth": 1.0, "point": 1.0, "track": 0.05, "matching": 0.3},
    ),
    scenes=LANDMARKS,
    size=40,
    num_scenes=4_096,
    path_views=4,
)  # fmt: skip


def run_experiment(
    variants: Sequence[Variant],
    seeds: Iterable[int],
    recipe: Recipe,
    folder: Path | str,
    scenes_folder: Path | str | None = None,
    device: torch.device | str | None = None,
) -> list[dict]:
    """Train and score every variant with every seed: all variants of the first seed first.

    Call it again with the same arguments to go on after a stop; finished runs are only read, which is said.

    Args:
        variants: Names must differ.
        seeds: Each decides weights, batches and colours of a run; all variants share them.
        recipe: What the variants change.
        folder: Gets a folder for each run, and its result beside it.
        scenes_folder: Where scenes are rendered ahead; by default in `folder`.
        device: Where to compute; None is the best at hand.

    Returns:
        The result of each run, as `read_runs` gives them.

    Raises:
        ValueError: two variants have one name, a `build` has no source, or `folder` holds a run of other
            settings or other code; the message says what differs. Nothing was trained then.
    """
    variants, device, folder = list(variants), pick_device(device), Path(folder)
    names = [variant.name for variant in variants]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"two variants are called {sorted(twice)[0]!r}: results go by their names.")
    # All code that decides what a run's result is, but for a variant's own `build`
    code = fingerprints(RUN_CODE) | {__name__: fingerprint(initial_model, scores_of, known=RUN_CODE)}
    runs = [(v, seed, identity_of(v, seed, recipe, code)) for seed in seeds for v in variants]
    results = [finished_run(folder, identity) for _, _, identity in runs]
    if read := sum(result is not None for result in results):
        print(f"{read} of {len(runs)} runs were finished before: read from {folder}, not trained again.")
    if read < len(runs):
        place = scenes_folder or folder / "scenes"
        scenes = render_ahead(place, recipe.scenes, recipe.num_scenes, recipe.path_views, recipe.size)
        results = [
            result or train_run(variant, seed, recipe, run_path(folder, identity), identity, scenes, device)
            for result, (variant, seed, identity) in zip(results, runs, strict=True)
        ]
    return results


def identity_of(variant: Variant, seed: int, recipe: Recipe, code: dict[str, str]) -> dict:
    """What makes a run the run it is, as it comes back from its JSON file."""
    model, config = recipe.of(variant, seed)
    build, extra = (f and fingerprint(f, known=RUN_CODE) for f in (variant.build, recipe.extra_scores))
    whole = asdict(replace(recipe, model=model, train=config, extra_scores=extra))
    values = (variant.name, variant.changes, seed, whole, code, build)
    return json.loads(json.dumps(dict(zip(IDENTITY, values, strict=True))))


def run_path(folder: Path, identity: dict) -> Path:
    """The folder of a run; its result lies beside it, with the suffix .json.

    Different names give different files: where letters had to be replaced, a sum of the name is added.
    """
    name = identity["variant"]
    plain = re.sub(r"[^a-z0-9-]+", "_", name.lower())[:60]
    if plain != name:
        plain += f"_{hashlib.sha256(name.encode()).hexdigest()[:6]}"
    return folder / f"{plain}_{identity['seed']}"


def finished_run(folder: Path, identity: dict) -> dict | None:
    """The result of a run; None if it has not finished.

    Raises:
        ValueError: the file is of another run, or damaged.
    """
    path = run_path(folder, identity).with_suffix(".json")
    if not path.exists():
        return None
    result = read_result(path)
    if "code" not in result:
        differ = ["it was recorded before fingerprints, so which code made it is not known"]
    else:
        differ = differences({key: result.get(key) for key in IDENTITY}, identity)
    if differ:
        raise ValueError(
            f"{path} holds another run: {'; '.join(differ)}. Give another folder, or delete the file and the "
            "folder of its name to train anew; read_runs shows it as it is."
        )
    return result


def read_result(path: Path) -> dict:
    """What the file of a finished run holds.

    Raises:
        ValueError: it is damaged, or holds something else.
    """
    result = read_json(path, dict[str, Any])
    with reading(path, "the result of a run; or delete it to train anew"):
        msgspec.convert(result, RunResult)
    return result


def train_run(
    variant: Variant, seed: int, recipe: Recipe, run: Path, identity: dict, scenes: Path, device: torch.device
) -> dict:
    """Train one run, or go on with it, and write its result.

    Raises:
        RuntimeError: `train` stopped before the end.
    """
    started, config = time.monotonic(), recipe.of(variant, seed)[1]
    model, shared = initial_model(recipe, variant, seed)
    data = load_ahead(RenderedScenes(scenes, config), config.steps, device)
    further = {"build": str(identity["build"]), "changes": json.dumps(identity["changes"])}
    options = {"dtype": pick_dtype(device), "eval_fn": partial(scores_of, recipe=recipe), "identity": further}
    trained = train(model.to(device), data, config, run, **options)
    if not trained.finished:
        raise RuntimeError(f"{run} stopped after {trained.step} of {config.steps} steps: call again.")
    lines = read_log(run / "log.jsonl")
    result = {
        **identity,
        "commit": commit(),
        "parameters": sum(p.numel() for p in model.parameters()),
        "shared_parameters": f"{shared} of {sum(1 for _ in model.parameters())}",
        **conditions(device, started),
        "seconds": round(seconds_of(lines)),
        "scores": [{"step": line["step"], **line["eval"]} for line in lines if "eval" in line],
        "losses": [{k: v for k, v in line.items() if "/" not in k} for line in lines if "loss" in line][-1],
    }
    save_weights(model, run / "model.safetensors", torch.float16)
    write_text(run.with_suffix(".json"), json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    for checkpoint in list_checkpoints(run):  # ten times as large as the weights, and needed no more
        checkpoint.unlink()
    return result


def initial_model(recipe: Recipe, variant: Variant, seed: int) -> tuple[nn.Module, int]:
    """The model with which a run begins, and how many of its parameters start as the recipe's own model does.

    Two models that draw different numbers of random values would else share hardly any.
    """
    model = stage_model(*recipe.of(variant, seed), {}, variant.build or VGGT)
    base, shared = stage_model(*recipe.of(BASELINE, seed), {}), 0
    base = {} if variant.own_weights else dict(base.named_parameters())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in base and base[name].shape == parameter.shape:
                parameter.copy_(base[name])
                shared += 1
    return model, shared


def scores_of(model: nn.Module, recipe: Recipe) -> dict[str, float]:
    """`SCORES` and the recipe's own of a model, on held-out scenes that are the same ones for every run."""
    device = next(model.parameters()).device
    which = (recipe.scored_scenes, SCORED_SEED, recipe.scored_views, recipe.size, recipe.scenes)
    scenes = held_out_scenes(*which, 16, 16, device)
    asked = list(SCORES)

    def extra(pred: Predictions, truth: SceneBatch) -> dict[str, float]:
        figures = recipe.extra_scores(pred, truth)
        asked.extend(figures)
        return figures

    scores = {"model": Scores(extra=recipe.extra_scores and extra)}
    found = collect({"model": model}, scenes, model.config.patch_size, scores)["model"].result()
    return {key: float(f"{found[key]:.5g}") for key in dict.fromkeys(asked) if key in found}


def read_runs(source: Path | str) -> list[dict]:
    """Results of finished runs: those in a folder of `run_experiment`, or gathered in one file.

    Raises:
        FileNotFoundError: there are none.
        ValueError: a file is damaged or no result; the message names it.
    """
    source = Path(source)
    if source.is_file():
        return read_json(source, list[dict[str, Any]])
    runs = [read_result(path) for path in sorted(source.glob("*.json"))]
    if not runs:
        raise FileNotFoundError(f"{source} holds no finished run (*.json): call run_experiment first.")
    return sorted(runs, key=lambda run: run["seed"])
