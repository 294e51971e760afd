"""Checks that write their right answer out accept what the package itself does."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from vggt_lite import geometry, losses
from vggt_lite.course import checks
from vggt_lite.data.normalize import normalize_geometry
from vggt_lite.data.pixel_map import PixelMap
from vggt_lite.inference.joins import moved_camera
from vggt_lite.losses.camera import PART_WEIGHTS, PARTS, STAGE_DECAY
from vggt_lite.losses.surface import difference_loss
from vggt_lite.metrics.poses import area_under_curve
from vggt_lite.model import aggregator, camera_head, dense_head, layers, patch_embed, track_head
from vggt_lite.training import schedule


def camera_loss(said, true):
    total = 0.0
    for age, guess in enumerate(reversed(said)):
        for part, slots in PARTS.items():
            error = (guess - true)[..., slots].abs().mean()
            total = total + STAGE_DECAY**age * PART_WEIGHTS[part] * error / len(said)
    return total


def epipolar_lines(pixels, camera, k1, k2):
    essential = geometry.essential_matrix(torch.eye(3, 4), camera)
    return F.pad(pixels, (0, 1), value=1.0) @ geometry.fundamental_matrix(essential, k1, k2).mT


def normalized(*scene):
    return tuple(x[0] for x in normalize_geometry(*(x[None] for x in scene))[:3])


def track_loss(said, true, visible):
    logits = torch.zeros_like(visible, dtype=torch.float)
    return losses.track_loss(said, logits, logits, true, visible)["coordinates"]


def composed(outer, inner):
    found = geometry.Similarity(*outer).compose(geometry.Similarity(*inner))
    return found.scale, found.rotation, found.translation


def pixels_by_log_focal(points, intrinsics):
    def pixels(log_factor):
        lens = intrinsics * torch.stack([log_factor.exp(), log_factor.exp(), torch.ones(())])[:, None]
        moved = geometry.project_points(points, torch.eye(3, 4), lens)[0]
        return moved - lens[:2, 2]  # the principal point is multiplied above, and does not count

    return torch.func.jacfwd(pixels)(torch.zeros(()))


def scaled(cam_from_world, depth, factor):
    larger = geometry.Similarity(
        torch.tensor(factor).double(), torch.eye(3).double(), torch.zeros(3).double()
    )
    return moved_camera(larger, cam_from_world), factor * depth


def umeyama(source, target):
    fit = geometry.umeyama(source, target)
    return fit.scale, fit.rotation, fit.translation


PACKAGE = {
    "adjustment.by_focal_length": pixels_by_log_focal,
    "alignment.umeyama": umeyama,
    "alternating.first_and_others": aggregator.first_and_others,
    "attention.attention_weights": layers.attention_weights,
    "blocks.rotate": lambda x, p, base: layers.rotate(x, layers.rotary_tables(p, x.shape[-1], base)),
    "camera_head.activation": camera_head.activate_pose,
    "cameras.pose_encoding": geometry.pose_encoding_from_camera,
    "cameras.projection": lambda *case: geometry.project_points(*case)[0],
    "cameras.unprojection": lambda depth, K: geometry.unproject_depth(depth, K, torch.eye(3, 4)),
    "dense.activations": dense_head.activate,
    "dense.sincos_2d": lambda *case: dense_head.sincos_1d(*case, torch.device("cpu")),
    "dense.stretch": lambda row, count: F.interpolate(
        row[None, None], count, mode="linear", align_corners=True
    )[0, 0],
    "dense_losses.differences": difference_loss,
    "evaluation.auc": lambda r, t, threshold: area_under_curve(torch.maximum(r, t), threshold),
    "frames.composed": composed,
    "frames.from_opengl": lambda m: geometry.convert_cameras(
        m, "opengl_world_from_cam", "opencv_cam_from_world"
    ),
    "frames.scaled": scaled,
    "losses.camera": camera_loss,
    "losses.tracks": track_loss,
    "scenes.normalize": normalized,
    "tokens.intrinsics_back": lambda K, *map: PixelMap((1, 1), (1, 1), *map).intrinsics_to_original(K),
    "tokens.patchify": lambda images, p: F.unfold(images, p, stride=p).mT,
    "tokens.position_table": patch_embed.resize_position_table,
    "tokens.unpatchify": lambda patches, h, w, p: F.fold(patches.mT, (h, w), p, stride=p),
    "tracking.correlation": track_head.correlate_whole_map,
    "tracking.pyramid": track_head.feature_pyramid,
    "tracking.sample": track_head.sample_bilinear,
    "training.learning_rate": schedule.learning_rate,
    "two_views.epipolar_lines": epipolar_lines,
}


@pytest.mark.parametrize("key", PACKAGE)
def test_what_the_package_does_passes(key):
    check = checks.every_check()[key]
    if check.without:
        assert "of the package: write it yourself" in check(PACKAGE[key]).message
        check = replace(check, without=())
    assert check(PACKAGE[key]).passed, check(PACKAGE[key])
