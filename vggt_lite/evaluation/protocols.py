"""`evaluate`: one model, one kind of scenes, all figures, beside what a constant answer scores."""

import time
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import nn

from vggt_lite.config import NANO, VARIED_SCENES, WIDE_SCENES, ModelConfig, SceneConfig
from vggt_lite.config_fields import check_multiple
from vggt_lite.evaluation.constant import ConstantPredictor
from vggt_lite.evaluation.report import Report, conditions
from vggt_lite.evaluation.scene_classes import scene_classes
from vggt_lite.evaluation.scores import SURFACE_POINTS, ExtraScores, Scores, share_of
from vggt_lite.inference.chunked import chunked
from vggt_lite.losses.scene_batch import SceneBatch
from vggt_lite.model.predictions import Predictions
from vggt_lite.synthetic.generate import FIRST_EVALUATION_SEED, generate_scenes
from vggt_lite.training.workers import Alone
from vggt_lite.utils.runtime import pick_device, pick_dtype, pick_precision, progress

# What a bundled model was trained to see, and on how many such scenes it is scored
EVAL_DOMAINS = {"nano": (SceneConfig(), 200), "tiny": (VARIED_SCENES, 500), "wide": (WIDE_SCENES, 500)}
# How generated scenes are judged, and anyone's own
MEASURED = (
    "Poses: all pairs of views, the larger of rotation and translation-direction error (folded to 90°) "
    "must stay below the threshold; AUC over whole degrees. ATE and RPE: camera centres after a similarity "
    "(Umeyama). Depth: one median scale per scene where no other alignment is named, all valid pixels. "
    "Points: similarity (Umeyama) over corresponding pixels, mean distance ÷ mean distance of the true "
    "points from the first camera, which is the scene's scale; as surfaces: ICP {icp}, {surface_points:,} "
    "points of each cloud looking for the nearest of all of the other. Tracks: {num_tracks} random points "
    "of view 0, TAP-Vid."
)
TEXT = (
    "{num_scenes} generated scenes of {kind} that nobody trained on (seeds {first_seed:,} to "
    "{last_seed:,}), {num_views} views each along the camera's path, {size} × {size} pixels, the first view "
    f"as reference. {MEASURED} Correlations: over all views but the first of all scenes."
)


def evaluate(
    model: nn.Module, num_scenes: int = 200, first_seed: int = FIRST_EVALUATION_SEED, num_views: int = 4,
    size: int = 64, scene_config: SceneConfig | None = None, num_tracks: int = 32, batch_size: int = 20,
    device: torch.device | str | None = None, icp_distance: float | None = None,
    extra_scores: ExtraScores | None = None, workers: Alone | None = None, precision: str = "exact",
) -> Report:  # fmt: skip
    """Score a model on held-out generated scenes.

    Args:
        model: A `VGGT`; heads that it lacks are left out of the report.
        num_scenes: Scene i has the seed first_seed + i.
        num_views: Of a scene, at least two: poses are judged in pairs.
        size: Pixels, a multiple of the model's patch.
        scene_config: What to draw; None is NANO's domain.
        num_tracks: Points to follow per scene.
        batch_size: Scenes in one forward pass. Another number gives the same figures up to rounding: a track
            that lies on a threshold may fall on its other side.
        device: Where to compute; None is the best at hand.
        icp_distance: Refine surfaces by ICP within this share of the scene's scale; None does not.
        extra_scores: Figures of your own, of `Predictions.extras` for example: called with predictions and
            truth of one scene (B = 1, normalised), it returns numbers by name, and scenes are averaged.
        workers: From `research.distributed.init`: each process scores its share, and all get the report.
        precision: As for `reconstruct`; the report says what was done.

    Returns:
        A `Report`: print it for a table, `save` it as JSON.

    Raises:
        ValueError: an argument that cannot be, before anything is computed.
    """
    check_counts(num_scenes, num_views)
    check_multiple("size", size, model.config.patch_size)
    started = time.monotonic()
    scene_config, workers = scene_config or SceneConfig(), workers or Alone()
    device = pick_device(device)
    precision = pick_precision(device, precision)
    constant = ConstantPredictor(scene_config, num_views, size, device=device)
    predictors = {"model": model.to(device).eval(), "constant": constant}
    mine = share_of(range(first_seed, first_seed + num_scenes), workers)
    kind = (num_views, size, scene_config, num_tracks)
    scenes = held_out_scenes(len(mine), mine.start, *kind, batch_size, device)
    scores = {name: Scores(thorough=True, icp_distance=icp_distance) for name in predictors}
    scores["model"].extra = extra_scores  # the constant predictor has no such outputs
    collect(predictors, scenes, model.config.patch_size, scores, precision)
    numbers = {
        "num_scenes": num_scenes, "first_seed": first_seed, "num_views": num_views, "size": size,
        "num_tracks": num_tracks, "surface_points": SURFACE_POINTS,
    }  # fmt: skip
    said = {"kind": kind_of(scene_config), "last_seed": first_seed + num_scenes - 1}
    text = TEXT.format(**numbers, **said, icp=said_of_icp(icp_distance))
    protocol = {"text": text, **numbers, "icp": icp_distance, "batch_size": batch_size}
    protocol["scene_config"] = scene_config.to_dict()
    names = [{"name": f"seed {first_seed + index}", "group": ""} for index in range(num_scenes)]
    if len(scene_config.places) > 1:
        kinds = scene_classes(first_seed, num_scenes, num_views, scene_config)
        names = [name | kind for name, kind in zip(names, kinds, strict=True)]
    return summed_up(scores, names, protocol, device, started, workers, precision)


def summed_up(
    scores: dict[str, Scores], scenes: Sequence[dict], protocol: dict, device, started: float, workers: Alone,
    precision: str,
) -> Report:  # fmt: skip
    """The report of what all processes collected.

    Args:
        scores: Of "model" and "constant".
        scenes: Name, group and what else is to be said of each scene, in order.
        protocol: To which `conditions` are added; device, started, precision: as for these.
    """
    for found in scores.values():
        found.gather(workers)
    rounded = {
        who: [{key: float(f"{value:.5g}") for key, value in scene.items()} for scene in found.scenes]
        for who, found in scores.items()
    }
    pairs = zip(scenes, *rounded.values(), strict=True)
    scenes = [scene | dict(zip(rounded, both, strict=True)) for scene, *both in pairs]
    figures = {who: found.result() for who, found in scores.items()}
    protocol = protocol | conditions(device, started, precision)
    return Report(figures["model"], figures["constant"], protocol, scenes, scores["model"].histograms())


def eval_domain(config: ModelConfig) -> str:
    """The key of `EVAL_DOMAINS` for a model: "nano" if it was made for pictures no larger than NANO's.

    The name of a weight file says nothing: it may be a copy, or fine-tuned.
    """
    return "nano" if config.image_size <= NANO.image_size else "tiny"


def kind_of(scenes: SceneConfig) -> str:
    """What to call a kind of scenes in a sentence."""
    names = [name for name, (kind, _) in EVAL_DOMAINS.items() if kind == scenes]
    return f"{names[0].upper()}'s kind" if names else "a kind of their own"


def said_of_icp(distance: float | None) -> str:
    return "not used" if distance is None else f"within {distance:g} of that scale"


def check_counts(num_scenes: int | None, num_views: int) -> None:
    """Raises: ValueError: too few scenes (None: all) or views."""
    if num_scenes is not None and num_scenes < 1:
        raise ValueError(f"num_scenes={num_scenes} (--scenes): at least one scene is needed.")
    if num_views < 2:
        raise ValueError(f"num_views={num_views} (--views): poses are judged in pairs, so take at least 2.")


def held_out_scenes(
    num_scenes: int, first_seed: int, num_views: int, size: int, scene_config: SceneConfig, num_tracks: int,
    batch_size: int, device: torch.device | str,
) -> Iterator[SceneBatch]:  # fmt: skip
    """The scenes of a protocol, `batch_size` at a time; arguments as for `evaluate`."""
    for first in progress(range(0, num_scenes, batch_size), desc="evaluate", unit="batch"):
        seed, count = first_seed + first, min(batch_size, num_scenes - first)
        yield generate_scenes(seed, count, num_views, size, size, device, num_tracks, scene_config)


def collect(
    predictors: dict, scenes: Iterable[SceneBatch], patch_size: int, scores: dict[str, Scores] | None = None,
    precision: str = "exact",
) -> dict[str, Scores]:  # fmt: skip
    """What several predictors score on the same scenes.

    Args:
        predictors: By name; each is called like a `VGGT`.
        scenes: Batches with tracks.
        patch_size: Pixels, for the matching accuracy.
        scores: To add to; None begins anew.
        precision: Of networks, as for `pick_dtype`.
    """
    scores = scores or {name: Scores() for name in predictors}
    for batch in scenes:
        for name, predictor in predictors.items():
            scores[name].add(predict(predictor, batch, precision), batch, patch_size)
    return scores


@torch.inference_mode()
def predict(predictor, scenes: SceneBatch, precision: str = "exact") -> Predictions:
    """Predictions for a batch of scenes, following the points that the truth follows.

    A network computes in chunks, and in the number format of `pick_dtype`, as in `reconstruct`.
    """
    tracks = getattr(predictor, "track_head", True) is not None and scenes.tracks is not None
    inputs = (scenes.images, scenes.tracks[:, 0] if tracks else None)
    if not isinstance(predictor, nn.Module):
        return predictor(*inputs)
    device, dtype = scenes.images.device, pick_dtype(scenes.images.device, precision)
    rounded = torch.autocast(device.type, dtype, enabled=dtype != torch.float32, cache_enabled=False)
    with chunked(predictor, precision=precision), rounded:
        return predictor(*inputs)
