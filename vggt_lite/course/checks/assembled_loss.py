"""The loss, assembled from a learner's own pieces: what `assembled.py` says holds here, too."""

import torch
from torch import Tensor, nn

from vggt_lite import losses
from vggt_lite.course.checks.check import Check, draws
from vggt_lite.course.checks.watching import leaving_arguments
from vggt_lite.geometry import camera_from_pose_encoding, unproject_depth
from vggt_lite.losses import SceneBatch
from vggt_lite.losses.surface import difference_loss, normal_loss, over_scales  # noqa: F401 (mutants)
from vggt_lite.model import Predictions

SAID = ("depth", "depth_conf", "point_map", "point_conf", "track_visibility_logits", "track_conf_logits")
ITERATED = ("pose_encodings", "tracks_list")


class ReleasedLoss(nn.Module):
    """The package's losses, added up as the released code does."""

    def forward(self, pred: Predictions, truth: SceneBatch) -> Tensor:
        size, cameras = truth.images.shape[-2:], (truth.cam_from_world, truth.intrinsics)
        camera = losses.camera_loss(pred.pose_encodings, *cameras, size, truth.valid)["camera"]
        depth = losses.depth_loss(pred.depth, pred.depth_conf, truth.depth, truth.valid)
        points = losses.point_loss(pred.point_map, pred.point_conf, truth.point_map, truth.valid)
        logits = pred.track_visibility_logits, pred.track_conf_logits
        track = losses.track_loss(pred.tracks_list, *logits, truth.tracks, truth.track_visibility)
        total = 5 * camera + sum(depth.values()) + sum(points.values())
        return total + 0.05 * sum(track.values())


def run_loss(build, pred: Predictions, truth: SceneBatch):
    """The loss, and its gradients at all that was predicted, times the pixels over which it is a mean."""
    pred, loss = pred.apply(lambda x: x.clone().requires_grad_()), build()
    loss.forward = leaving_arguments(loss.forward)
    with torch.enable_grad():
        value = loss(pred, truth)
        if value is None:
            return None
        parts = {name: getattr(pred, name) for name in SAID}
        parts |= {f"{name}[{i}]": x for name in ITERATED for i, x in enumerate(getattr(pred, name))}
        scaled = value * truth.valid.sum()
        slopes = torch.autograd.grad(scaled, [*parts.values()], allow_unused=True, materialize_grads=True)
    return {"loss": value, "gradients": dict(zip(parts, slopes, strict=True))}


def _loss_case(iterations: int, *sizes: int, num_points: int, seed: int):
    """Predictions beside the truth of B scenes of S views of H × W pixels: `sizes`."""
    views, maps, points = sizes[:2], sizes, (*sizes[:2], num_points)
    pose, deep, holes, *off = draws((*views, 9), maps, maps, maps, maps, maps, (*maps, 3), seed=seed)
    places, seen, asked, sure, *moved = draws(
        (*points, 2), *3 * [points], *iterations * [(*points, 2)], seed=seed
    )
    turned = draws(*iterations * [(*views, 9)], seed=seed + 1)
    pose = torch.cat([pose[..., :7], 1 + 0.1 * pose[..., 7:]], dim=-1)  # fields of view near 1 radian
    cameras, intrinsics = camera_from_pose_encoding(pose, sizes[-2:])
    valid, depth = holes > -1, 2 + 0.2 * deep
    point_map = unproject_depth(depth, intrinsics, cameras)
    tracks = 10 + 5 * places
    truth = SceneBatch(
        torch.zeros(*views, 3, *sizes[-2:]), depth * valid, cameras, intrinsics,
        point_map * valid[..., None], valid, tracks, seen > -0.5,
    )  # fmt: skip
    said = Predictions(
        truth.images, pose_encodings=[pose + 0.1 * x for x in turned],
        depth=depth + 0.1 * off[0], depth_conf=1 + off[1].exp(),
        point_map=point_map + 0.1 * off[3], point_conf=1 + off[2].exp(),
        tracks_list=[tracks + 2 * x for x in moved],
        track_visibility_logits=asked, track_conf_logits=sure,
    )  # fmt: skip
    return said, truth


loss = Check(
    name="your loss",
    reference=ReleasedLoss,
    cases=lambda: {
        "one scene, four iterations": _loss_case(4, 1, 2, 28, 44, num_points=9, seed=0),
        "two scenes, two iterations": _loss_case(2, 2, 3, 24, 16, num_points=6, seed=2),
        "a single view and iteration": _loss_case(1, 1, 1, 40, 36, num_points=5, seed=4),
    },
    run=run_loss,
    atol=1e-3,
    rtol=1e-3,
    mutants={
        "your camera weighs 1, as in the paper; the code's weighs 5": "5 * camera → camera",
        "5 stands before all of the sum: only the camera weighs 5":
            "5 * camera + sum(depth.values()) + sum(points.values()) "
            "→ 5 * (camera + sum(depth.values()) + sum(points.values()))",
        "your tracks weigh 1: their unit is the pixel, so they weigh 0.05": "0.05 * →",
        "the coordinates of tracks weigh 0.05 in yours, their cross-entropies 1: all weigh 0.05":
            "0.05 * sum(track.values()) → sum(track.values()) - 0.95 * track['coordinates']",
        "the cross-entropies of tracks are missing": "sum(track.values()) → track['coordinates']",
        "the coordinates of tracks are missing": "sum(track.values()) "
            "→ (track['visibility'] + track['confidence'])",
        "depth is missing": "+ sum(depth.values()) →",
        "points are missing": "+ sum(points.values()) →",
        "height and width are exchanged in the fields of view":
            "size, cameras = truth.images.shape[-2:] → size, cameras = truth.images.shape[:-3:-1]",
        "only the last iteration's camera counts in yours":
            "(pred.pose_encodings → (pred.pose_encodings[-1:]",
        "only the last iteration's tracks count in yours": "(pred.tracks_list → (pred.tracks_list[-1:]",
        "iterations run backwards: `pose_encodings` has the last one last":
            "(pred.pose_encodings → (pred.pose_encodings[::-1]",
        "depth and points got each other's confidence":
            "pred.depth, pred.depth_conf → pred.depth, pred.point_conf; "
            "pred.point_map, pred.point_conf → pred.point_map, pred.depth_conf",
        "depth got three scales: four": "sum(depth.values()) → sum(depth.values()) - depth['gradient'] "
            "+ over_scales(difference_loss, [x.flatten(0, 1) for x in "
            "(pred.depth[..., None], truth.depth[..., None], truth.valid)], 3)",
        "points got four scales: three": "sum(points.values()) → sum(points.values()) - points['gradient'] "
            "+ over_scales(normal_loss, [x.flatten(0, 1) for x in "
            "(pred.point_map, truth.point_map, truth.valid)], 4)",
    },
    hint="Compare the four losses one by one with those of `losses.multitask_loss(pred, truth)[1]`.",
)  # fmt: skip
