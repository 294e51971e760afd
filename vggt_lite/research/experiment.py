"""Change one thing, train, score: the same small training for every variant and every seed.

    runs = run_experiment([BASELINE, Variant("no positions", model={"global_positions": False})],
                          seeds=(0, 1, 2), recipe=SMALL_RECIPE, folder="runs/positions")
    print(compare(runs))

A run is one variant trained with one seed. It leaves one JSON file and is never repeated; an interrupted run
goes on where it stopped. `comparison.py` says what the runs show.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from torch import nn

from vggt_lite.config import NANO, ModelConfig, SceneConfig, TrainConfig
from vggt_lite.data.batches import RenderedScenes
from vggt_lite.pretrained.loading import save_weights
from vggt_lite.research.presets import LANDMARKS, stage_model
from vggt_lite.synthetic.prerender import render_ahead
from vggt_lite.training.checkpoint import list_checkpoints
from vggt_lite.training.log import read_log, seconds_of
from vggt_lite.training.loop import train
from vggt_lite.utils.files import atomic_write

# What is asked of every run: cameras, depth, points, tracks, matches, and whether views are compared
SCORES = ("auc_30", "rotation_median_deg", "translation_median_deg", "depth_abs_rel", "point_error",
          "depth_point_error", "track_delta_px", "matching_accuracy", "correlation_yaw",
          "correlation_sideways")  # fmt: skip
SCORED_SEED = 1_030_000  # of the first held-out scene, so that no figure here is one that presets watch


@dataclass(frozen=True)
class Variant:
    """What one kind of run changes about the recipe."""

    name: str
    model: dict = field(default_factory=dict)  # fields of `ModelConfig`
    train: dict = field(default_factory=dict)  # fields of `TrainConfig`


BASELINE = Variant("baseline")


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
        num_tracks=8, curriculum=0.0, augment=0.0, loss_form="paper", matching_weight=0.3,
        checkpoint_every=120,
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
) -> list[dict]:
    """Train and score every variant with every seed: all variants of the first seed first.

    Call it again with the same arguments to go on after a stop; finished runs are only read.

    Args:
        variants: Names must differ.
        seeds: Each decides weights, batches and colours of a run; all variants share them.
        recipe: What the variants change.
        folder: Gets a folder for each run, and its result beside it.
        scenes_folder: Where scenes are rendered ahead; by default in `folder`.

    Returns:
        The result of each run, as `read_runs` gives them.

    Raises:
        ValueError: two variants have one name, or `folder` holds a run with other settings.
    """
    names = [variant.name for variant in variants]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"two variants are called {sorted(twice)[0]!r}: results go by their names.")
    for variant in variants:
        recipe.of(variant, 0)  # a mistake in the last variant should not show after an hour
    folder = Path(folder)
    scenes = render_ahead(
        scenes_folder or folder / "scenes", recipe.scenes, recipe.num_scenes, recipe.path_views, recipe.size
    )
    return [run_once(variant, seed, recipe, folder, scenes) for seed in seeds for variant in variants]


def run_once(variant: Variant, seed: int, recipe: Recipe, folder: Path, scenes: Path) -> dict:
    """One run: trained, or gone on with, or only read where it is finished."""
    model_config, config = recipe.of(variant, seed)
    run = folder / f"{variant.name.replace(' ', '_')}_{seed}"
    path = run.with_suffix(".json")
    settings = {"recipe": asdict(replace(recipe, model=model_config, train=config))}
    settings = json.loads(json.dumps(settings))  # as they come back from a file
    if path.exists():
        result = json.loads(path.read_text(encoding="utf-8"))
        if result["recipe"] != settings["recipe"]:
            raise ValueError(f"{path} holds a run with other settings: give another folder, or delete it.")
        return result

    # The protocols themselves need the matching loss of this package
    from vggt_lite.evaluation.report import hardware, versions

    model = stage_model(model_config, config, {})
    watch = partial(held_out, recipe=recipe)
    trained = train(model, RenderedScenes(scenes, config), config, run, watch=watch)
    if not trained.finished:
        raise RuntimeError(
            f"{run} stopped after {trained.step} of {config.steps} steps; call again to go on."
        )
    lines = read_log(run / "log.jsonl")
    result = {
        "variant": variant.name,
        "changes": variant.model | variant.train,
        "seed": seed,
        "parameters": sum(p.numel() for p in model.parameters()),
        "seconds": round(seconds_of(lines)),
        "scores": [{"step": line["step"], **line["watch"]} for line in lines if "watch" in line],
        "losses": [{k: v for k, v in line.items() if "/" not in k} for line in lines if "loss" in line][-1],
        "hardware": hardware("cpu"),
        "versions": versions(),
        **settings,
    }
    save_weights(model, run / "model.safetensors", torch.float16)
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for checkpoint in list_checkpoints(run):  # ten times as large as the weights, and needed no more
        checkpoint.unlink()
    return result


def held_out(model: nn.Module, recipe: Recipe) -> dict[str, float]:
    """The scores of a model on the recipe's held-out scenes: the same ones for every run."""
    from vggt_lite.evaluation.protocols import held_out_scenes, score

    scenes = held_out_scenes(
        recipe.scored_scenes, SCORED_SEED, recipe.scored_views, recipe.size, recipe.scenes, 16, 16, "cpu"
    )
    found = score({"model": model}, scenes, model.config.patch_size)["model"]
    return {key: float(f"{found[key]:.5g}") for key in SCORES if key in found}


def read_runs(source: Path | str) -> list[dict]:
    """Results of finished runs: those in a folder of `run_experiment`, or gathered in one file.

    Raises:
        FileNotFoundError: there are none.
    """
    source = Path(source)
    if source.is_file():
        return json.loads(source.read_text(encoding="utf-8"))
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(source.glob("*.json"))]
    if not runs:
        raise FileNotFoundError(f"{source} holds no finished run (*.json): call run_experiment first.")
    return sorted(runs, key=lambda run: run["seed"])
