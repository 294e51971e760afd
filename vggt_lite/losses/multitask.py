"""All losses together: one number to lower, and every part of it by name.

| weight   | here | release | paper |                                                    |
|----------|------|---------|-------|----------------------------------------------------|
| camera   | 5    | 5       | 1     |                                                    |
| depth    | 1    | 1       | 1     |                                                    |
| point    | 1    | (1)     | 1     | the release's fine-tuning leaves the point head out |
| track    | 0.05 | –       | 0.05  |                                                    |
| matching | 0    | –       | –     | our addition, see `matching.py`                    |
"""

import torch
from torch import Tensor

from vggt_lite.losses.camera import camera_loss
from vggt_lite.losses.dense import depth_loss, point_loss
from vggt_lite.losses.matching import matching_loss
from vggt_lite.losses.scene_batch import SceneBatch
from vggt_lite.losses.track import track_loss
from vggt_lite.model.predictions import Predictions

DEFAULT_WEIGHTS = {"camera": 5.0, "depth": 1.0, "point": 1.0, "track": 0.05, "matching": 0.0}


def multitask_loss(
    pred: Predictions,
    batch: SceneBatch,
    weights: dict[str, float] | None = None,
    form: str = "code",
    patch_size: int = 14,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted sum of the losses of all heads that predicted something.

    Args:
        pred: what the network said.
        batch: the truth, normalised (`normalize_scene`).
        weights: of "camera", "depth", "point", "track", "matching"; one left out counts as 0 and is not
            computed. None takes `DEFAULT_WEIGHTS`.
        form: "code" (as the release trains) or "paper", for every loss.
        patch_size: pixels, for the matching term.

    Returns:
        total: () with its graph.
        terms: scalars without graph: each loss before weighting ("camera") and its parts
            ("camera/rotation"), so that the one that is not finite can be named.

    Raises:
        ValueError: a weight has an unknown name, or nothing of what has weight was predicted.
    """
    weights = DEFAULT_WEIGHTS if weights is None else weights
    if unknown := set(weights) - set(DEFAULT_WEIGHTS):
        raise ValueError(f"unknown loss weights {sorted(unknown)}; choose among {sorted(DEFAULT_WEIGHTS)}.")
    total, terms = 0.0, {}
    for name, loss in LOSSES.items():
        if weights.get(name, 0) <= 0 or (parts := loss(pred, batch, form, patch_size)) is None:
            continue
        value = parts.pop("total")
        total = total + weights[name] * value
        terms |= {name: value.detach()} | {f"{name}/{part}": x.detach() for part, x in parts.items()}
    if not terms:
        wanted = sorted(name for name, weight in weights.items() if weight > 0)
        raise ValueError(f"no loss can be computed: weights are given to {wanted}, but none was predicted.")
    return total, terms


# Each of these gives {"total": loss, part: …}, or None where the head was off or the truth is missing.


def _camera(pred: Predictions, batch: SceneBatch, form: str, patch_size: int) -> dict | None:
    if not pred.pose_encodings:
        return None
    size = tuple(batch.images.shape[-2:])
    cameras = (batch.cam_from_world, batch.intrinsics)
    parts = camera_loss(pred.pose_encodings, *cameras, size, batch.valid, form)
    return {"total": parts.pop("camera"), **parts}


def _depth(pred: Predictions, batch: SceneBatch, form: str, patch_size: int) -> dict | None:
    if pred.depth is None:
        return None
    return _summed(depth_loss(pred.depth, pred.depth_conf, batch.depth, batch.valid, form))


def _point(pred: Predictions, batch: SceneBatch, form: str, patch_size: int) -> dict | None:
    if pred.point_map is None:
        return None
    return _summed(point_loss(pred.point_map, pred.point_conf, batch.point_map, batch.valid, form))


def _track(pred: Predictions, batch: SceneBatch, form: str, patch_size: int) -> dict | None:
    if not pred.tracks_list or batch.tracks is None:
        return None
    logits = (pred.track_visibility_logits, pred.track_conf_logits)
    return _summed(track_loss(pred.tracks_list, *logits, batch.tracks, batch.track_visibility, form))


def _matching(pred: Predictions, batch: SceneBatch, form: str, patch_size: int) -> dict | None:
    if pred.patch_tokens is None:
        return None
    loss, accuracy = matching_loss(pred.patch_tokens, batch, patch_size)
    return {"total": loss, "accuracy": accuracy}


def _summed(parts: dict[str, Tensor]) -> dict[str, Tensor]:
    return {"total": torch.stack(list(parts.values())).sum(), **parts}


LOSSES = {"camera": _camera, "depth": _depth, "point": _point, "track": _track, "matching": _matching}
