"""Trajectory metrics: how far a camera's path is from the true one, as robotics measures it."""

import torch
from torch import Tensor

from vggt_lite.geometry import as_4x4, camera_center, invert_rigid, rotation_angle, umeyama
from vggt_lite.geometry.precision import precise

ALIGNMENTS = ("similarity", "rigid", "none")


def trajectory_metrics(
    cam_from_world_pred: Tensor, cam_from_world_true: Tensor, alignment: str = "similarity", step: int = 1
) -> dict[str, float]:
    """Absolute trajectory error (ATE) and relative pose error (RPE).

    Args:
        cam_from_world_pred: (S, 3, 4) or (S, 4, 4), S > step, views in the order of the path; any world, any
            unit.
        cam_from_world_true: the same shape; its unit is that of all lengths returned.
        alignment: what is laid over the true camera centres first: "similarity" (scale, rotation,
            translation), "rigid" (without scale) or "none".
        step: views between the two ends of a relative pose.

    Returns:
        ate_rmse, ate_mean, ate_max: distances of camera centres after alignment.
        rpe_translation_rmse: length of what is left of a predicted step after the true one is undone;
            predicted translations are scaled as the alignment says.
        rpe_rotation_rmse_deg: the angle of what is left.
        scale: by which the prediction was multiplied.

    Raises:
        ValueError: shapes, an unknown alignment, or fewer than three views to align.

    Source: Sturm et al., "A benchmark for the evaluation of RGB-D SLAM systems", IROS 2012, section IV; the
    figures agree with those of the evo package.
    """
    if alignment not in ALIGNMENTS:
        raise ValueError(f"alignment={alignment!r} is unknown; choose one of {', '.join(ALIGNMENTS)}.")
    if cam_from_world_pred.shape != cam_from_world_true.shape or not 1 <= step < len(cam_from_world_true):
        raise ValueError(
            f"predicted cameras {tuple(cam_from_world_pred.shape)} and true ones "
            f"{tuple(cam_from_world_true.shape)} must both be (S, 3, 4) of one path with S > step={step}."
        )
    pred, true = precise(cam_from_world_pred), precise(cam_from_world_true)
    centers, true_centers = camera_center(pred), camera_center(true)  # (S, 3)
    scale = pred.new_ones(())
    if alignment != "none":
        over = umeyama(centers, true_centers, with_scale=alignment == "similarity")
        centers, scale = over.apply(centers), over.scale
    away = (centers - true_centers).norm(dim=-1)

    left = _steps(true, step).inverse() @ _scaled(_steps(pred, step), scale)  # (S − step, 4, 4)
    angle = rotation_angle(left[:, :3, :3], torch.eye(3).to(left).expand(len(left), 3, 3))
    return {
        "ate_rmse": _rms(away),
        "ate_mean": away.mean().item(),
        "ate_max": away.max().item(),
        "rpe_translation_rmse": _rms(left[:, :3, 3].norm(dim=-1)),
        "rpe_rotation_rmse_deg": _rms(angle.rad2deg()),
        "scale": scale.item(),
    }


def _steps(cam_from_world: Tensor, step: int) -> Tensor:
    """The later camera seen from the earlier, earlier_from_later (S − step, 4, 4)."""
    return as_4x4(cam_from_world[:-step]) @ invert_rigid(cam_from_world[step:])


def _scaled(motion: Tensor, scale: Tensor) -> Tensor:
    motion = motion.clone()
    motion[:, :3, 3] *= scale
    return motion


def _rms(values: Tensor) -> float:
    return values.square().mean().sqrt().item()
