"""All losses together: one number to lower, and every part of it by name.

| weight   | here | release | paper |                                                     |
|----------|------|---------|-------|-----------------------------------------------------|
| camera   | 5    | 5       | 1     |                                                     |
| depth    | 1    | 1       | 1     |                                                     |
| point    | 1    | (1)     | 1     | the release's fine-tuning leaves the point head out |
| track    | 0.05 | –       | 0.05  |                                                     |
| matching | 0    | –       | –     | our addition, see `matching.py`                     |
| direction| 0    | –       | –     | our addition, see `direction.py`                    |

A loss of your own becomes one more line of `LOSSES`, also from a notebook:

    def normals(pred, batch, **_):
        loss = 1 - (pred.extras["normals"] * true_normals(batch)).sum(-1)  # (B, S, H, W)
        return masked_mean(loss, batch.valid), {}

    LOSSES["normals"] = Loss(normals, weight=0.1)
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from vggt_lite.losses.camera import camera_loss
from vggt_lite.losses.dense import depth_loss, point_loss
from vggt_lite.losses.direction import direction_loss
from vggt_lite.losses.matching import matching_loss
from vggt_lite.losses.scene_batch import SceneBatch
from vggt_lite.losses.track import track_loss
from vggt_lite.model.predictions import Predictions

LossAndParts = tuple[Tensor, dict[str, Tensor]]  # the loss (), and the parts it is made of by name


@dataclass(frozen=True)
class Loss:
    """One of the losses that `multitask_loss` adds up.

    Args:
        compute: Called as compute(pred, batch, form=…, patch_size=…). Returns the loss and its parts, or None
            where the head is off or the truth is missing.
        weight: In the total, unless weights are given to `multitask_loss`.
        head: The head of the model that it trains; None if it needs none.
    """

    compute: Callable[..., LossAndParts | None]
    weight: float
    head: str | None = None


def multitask_loss(
    pred: Predictions,
    batch: SceneBatch,
    weights: dict[str, float] | None = None,
    form: str = "code",
    patch_size: int = 14,
) -> LossAndParts:
    """The weighted sum of the losses of all heads that predicted something.

    Args:
        pred: what the network predicted.
        batch: the truth, normalised (`normalize_scene`).
        weights: by the names in `LOSSES`; one left out counts as 0 and is not computed. None takes the
            weights that stand there.
        form: "code" (as the release trains) or "paper", for every loss that has both.
        patch_size: pixels, for the matching loss.

    Returns:
        total: () with its graph.
        terms: scalars without graph: each loss before weighting ("camera") and its parts
            ("camera/rotation"), so that the one that is not finite can be named.

    Raises:
        ValueError: a weight has an unknown name, or nothing of what has weight was predicted.
    """
    weights = {name: loss.weight for name, loss in LOSSES.items()} if weights is None else weights
    check_names(weights)
    total, terms = 0.0, {}
    for name, loss in LOSSES.items():
        if weights.get(name, 0) <= 0:
            continue
        if (found := loss.compute(pred, batch, form=form, patch_size=patch_size)) is not None:
            value, parts = found
            total = total + weights[name] * value
            terms |= {name: value.detach()} | {f"{name}/{part}": x.detach() for part, x in parts.items()}
    if not terms:
        wanted = sorted(name for name, weight in weights.items() if weight > 0)
        raise ValueError(f"no loss can be computed: weights are given to {wanted}, but none was predicted.")
    return total, terms


def heads_for(names: Iterable[str]) -> set[str]:
    """The heads that a model needs for these losses. Raises: ValueError: a name is unknown."""
    check_names(names)
    return {LOSSES[name].head for name in names} - {None}


def check_names(names: Iterable[str]) -> None:
    if unknown := set(names) - set(LOSSES):
        raise ValueError(f"unknown loss weights {sorted(unknown)}; choose among {sorted(LOSSES)}.")


def _camera(pred: Predictions, batch: SceneBatch, form: str, **_) -> LossAndParts | None:
    if not pred.pose_encodings:
        return None
    size = tuple(batch.images.shape[-2:])
    cameras = (batch.cam_from_world, batch.intrinsics)
    parts = camera_loss(pred.pose_encodings, *cameras, size, batch.valid, form)
    return parts.pop("camera"), parts


def _depth(pred: Predictions, batch: SceneBatch, form: str, **_) -> LossAndParts | None:
    if pred.depth is None:
        return None
    depth, valid = (pred.of_dense_views(x) for x in (batch.depth, batch.valid))
    return _summed(depth_loss(pred.depth, pred.depth_conf, depth, valid, form))


def _point(pred: Predictions, batch: SceneBatch, form: str, **_) -> LossAndParts | None:
    if pred.point_map is None:
        return None
    point_map, valid = (pred.of_dense_views(x) for x in (batch.point_map, batch.valid))
    return _summed(point_loss(pred.point_map, pred.point_conf, point_map, valid, form))


def _track(pred: Predictions, batch: SceneBatch, form: str, **_) -> LossAndParts | None:
    if not pred.tracks_list or batch.tracks is None:
        return None
    logits = (pred.track_visibility_logits, pred.track_conf_logits)
    return _summed(track_loss(pred.tracks_list, *logits, batch.tracks, batch.track_visibility, form))


def _matching(pred: Predictions, batch: SceneBatch, patch_size: int, **_) -> LossAndParts | None:
    if pred.patch_tokens is None:
        return None
    loss, accuracy = matching_loss(pred.patch_tokens, batch, patch_size)
    return loss, {"accuracy": accuracy}


def _direction(pred: Predictions, batch: SceneBatch, **_) -> LossAndParts | None:
    return (direction_loss(pred.pose_encodings, batch.cam_from_world), {}) if pred.pose_encodings else None


def _summed(parts: dict[str, Tensor]) -> LossAndParts:
    return torch.stack(list(parts.values())).sum(), parts


LOSSES = {
    "camera": Loss(_camera, weight=5.0, head="camera"),
    "depth": Loss(_depth, weight=1.0, head="depth"),
    "point": Loss(_point, weight=1.0, head="point"),
    "track": Loss(_track, weight=0.05, head="track"),
    "matching": Loss(_matching, weight=0.0),
    "direction": Loss(_direction, weight=0.0, head="camera"),
}
