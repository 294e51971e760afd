"""`evaluate`: one model, one kind of scenes, all figures, beside what a constant answer scores."""

import time
from collections.abc import Iterable, Iterator

import torch
from torch import nn

from vggt_lite.config import VARIED_SCENES, SceneConfig
from vggt_lite.evaluation.constant import ConstantPredictor
from vggt_lite.evaluation.report import Report, hardware, versions
from vggt_lite.evaluation.scores import Scores
from vggt_lite.model.predictions import Predictions
from vggt_lite.runtime import progress
from vggt_lite.scenes.batch import SceneBatch
from vggt_lite.scenes.generate import FIRST_EVALUATION_SEED, generate_scenes

# What a bundled model was trained to see, and on how many such scenes it is scored
HOME = {"nano": (SceneConfig(), 200), "tiny": (VARIED_SCENES, 500)}
TEXT = (
    "{num_scenes} generated scenes that nobody trained on (seeds {first_seed:,} to {last_seed:,}), "
    "{num_views} views each along the camera's path, {size} × {size} pixels, the first view as reference. "
    "Poses: all pairs of views, the larger of rotation and translation-direction error (folded to 90°) "
    "must stay below the threshold; AUC over whole degrees. Depth: one median scale per scene, all valid "
    "pixels. Points: similarity (Umeyama) over corresponding pixels, mean distance ÷ mean distance of the "
    "true points from the first camera. Tracks: {num_tracks} random points of view 0, TAP-Vid. "
    "Correlations: over all views but the first of all scenes."
)


def evaluate(
    model: nn.Module,
    num_scenes: int = 200,
    first_seed: int = FIRST_EVALUATION_SEED,
    num_views: int = 4,
    size: int = 64,
    scene_config: SceneConfig | None = None,
    num_tracks: int = 32,
    batch_size: int = 20,
    device: torch.device | str | None = None,
) -> Report:
    """Score a model on held-out generated scenes.

    Args:
        model: A `VGGT`; heads that it lacks are left out of the report.
        num_scenes: Scene i has the seed first_seed + i.
        scene_config: What to draw; None is NANO's domain.
        num_tracks: Points to follow per scene.
        batch_size: Scenes in one forward pass; does not change the figures.
        device: Where to compute; None is where the model is.

    Returns:
        A `Report`: print it for a table, `save` it as JSON.
    """
    started = time.monotonic()
    scene_config = scene_config or SceneConfig()
    device = torch.device(device or next(model.parameters()).device)
    constant = ConstantPredictor(scene_config, num_views, size, device=device)
    predictors = {"model": model.to(device).eval(), "constant": constant}
    scenes = held_out_scenes(
        num_scenes, first_seed, num_views, size, scene_config, num_tracks, batch_size, device
    )
    scores = collect(predictors, scenes, model.config.patch_size)
    numbers = {"num_scenes": num_scenes, "first_seed": first_seed, "num_views": num_views, "size": size}
    text = TEXT.format(**numbers, last_seed=first_seed + num_scenes - 1, num_tracks=num_tracks)
    protocol = {
        "text": text, **numbers, "num_tracks": num_tracks, "scene_config": scene_config.to_dict(),
        "seconds": round(time.monotonic() - started, 1), "hardware": hardware(device),
        "versions": versions(),
    }  # fmt: skip
    figures = {name: found.result() for name, found in scores.items()}
    return Report(
        figures["model"], figures["constant"], protocol, by_scene(scores, first_seed),
        scores["model"].histograms(),
    )  # fmt: skip


def held_out_scenes(
    num_scenes: int,
    first_seed: int,
    num_views: int,
    size: int,
    scene_config: SceneConfig,
    num_tracks: int,
    batch_size: int,
    device: torch.device | str,
) -> Iterator[SceneBatch]:
    """The scenes of a protocol, `batch_size` at a time; arguments as for `evaluate`."""
    for first in progress(range(0, num_scenes, batch_size), desc="evaluate", unit="batch"):
        count = min(batch_size, num_scenes - first)
        yield generate_scenes(
            first_seed + first, count, num_views, size, size, device, num_tracks, scene_config
        )


def score(predictors: dict, scenes: Iterable[SceneBatch], patch_size: int) -> dict[str, dict[str, float]]:
    """All figures of several predictors on the same scenes.

    Args:
        predictors: By name; each is called like a `VGGT`.
        scenes: Batches with tracks.
        patch_size: Pixels, for the matching accuracy.
    """
    return {name: found.result() for name, found in collect(predictors, scenes, patch_size).items()}


def collect(predictors: dict, scenes: Iterable[SceneBatch], patch_size: int) -> dict[str, Scores]:
    """What `score` sums up, scene by scene; arguments as there."""
    scores = {name: Scores() for name in predictors}
    for batch in scenes:
        for name, predictor in predictors.items():
            scores[name].add(predict(predictor, batch), batch, patch_size)
    return scores


def by_scene(scores: dict[str, Scores], first_seed: int) -> list[dict]:
    """The scenes of a `Report`, five digits each."""
    rounded = {
        name: [{key: float(f"{value:.5g}") for key, value in scene.items()} for scene in scores[name].scenes]
        for name in ("model", "constant")
    }
    return [
        {"name": f"seed {first_seed + index}", "group": "", "model": model, "constant": constant}
        for index, (model, constant) in enumerate(zip(*rounded.values(), strict=True))
    ]


@torch.inference_mode()
def predict(predictor, scenes: SceneBatch) -> Predictions:
    """Predictions for a batch of scenes, following the points that the truth follows."""
    tracks = getattr(predictor, "track_head", True) is not None and scenes.tracks is not None
    return predictor(scenes.images, scenes.tracks[:, 0] if tracks else None)
