"""Camera metrics: are the cameras turned, and placed relative to each other, as in the truth?

Only relative poses of pairs of views are compared, and of a translation only its direction. So neither the
world's frame nor its unit matters. The area under the accuracy curve (AUC) exists in two forms:

    auc@τ      a pair counts below k° if the *larger* of its two angles is: the released evaluation code
    auc_min@τ  at each k the *smaller* of the two accuracies RRA@k and RTA@k: the text of the paper

A pair whose larger angle is below k counts in RRA@k and in RTA@k, so auc ≤ auc_min always. Tables made with
the released code (VGGT's README, π³, Depth Anything 3, MapAnything) hold the first.
"""

import numpy as np
import torch
from torch import Tensor

from vggt_lite.geometry import as_4x4, invert_rigid, rotation_angle
from vggt_lite.geometry.precision import precise


def pose_auc(
    cam_from_world_pred: Tensor, cam_from_world_true: Tensor, thresholds: tuple[int, ...] = (3, 5, 15, 30)
) -> dict[str, float]:
    """Areas under the accuracy curves over all pairs of views, and the median errors.

    Args:
        cam_from_world_pred: (S, 3, 4) or (S, 4, 4), S ≥ 2; any world frame, any unit.
        cam_from_world_true: the same shape.
        thresholds: whole degrees τ.

    Returns:
        As `pose_scores`. VGGT's table 1 is auc@30 of the 45 pairs among 10 random frames, for CO3D the mean
        over categories of what all pairs of a category give.
    """
    return pose_scores(*relative_pose_errors(cam_from_world_pred, cam_from_world_true), thresholds)


def pose_scores(
    rotation: Tensor, translation: Tensor, thresholds: tuple[int, ...] = (3, 5, 15, 30)
) -> dict[str, float]:
    """What `pose_auc` returns, from errors of pairs that may come from several scenes.

    Args:
        rotation: (pairs,) degrees, as from `relative_pose_errors`.
        translation: (pairs,) degrees.
        thresholds: whole degrees τ.

    Returns:
        auc@τ, auc_min@τ: means over k = 1 … τ of the accuracies described above (0 … 1; the last bin
            includes its edge). Not the trapezoid of image-matching benchmarks.
        rra@τ, rta@τ: shares of pairs whose rotation, or translation direction, is within τ°.
        rotation_median_deg, translation_median_deg.
    """
    result = {}
    for threshold in thresholds:
        turned, moved = accuracy_curve(rotation, threshold), accuracy_curve(translation, threshold)
        result[f"auc@{threshold}"] = area_under_curve(torch.maximum(rotation, translation), threshold)
        result[f"auc_min@{threshold}"] = torch.minimum(turned, moved).mean().item()
        result[f"rra@{threshold}"] = precise(rotation < threshold).mean().item()
        result[f"rta@{threshold}"] = precise(translation < threshold).mean().item()
    result["rotation_median_deg"] = float(np.median(rotation.cpu()))
    result["translation_median_deg"] = float(np.median(translation.cpu()))
    return result


def relative_pose_errors(cam_from_world_pred: Tensor, cam_from_world_true: Tensor) -> tuple[Tensor, Tensor]:
    """Errors of the relative pose of every pair of views, in the order (0, 1), (0, 2), … (1, 2), …

    Args:
        cam_from_world_pred: (S, 3, 4) or (S, 4, 4), S ≥ 2.
        cam_from_world_true: the same shape.

    Returns:
        rotation: (pairs,) angle in degrees, 0 … 180.
        translation: (pairs,) angle between directions in degrees, folded to 0 … 90: the sign is ignored,
            as in the release. 90 if either camera did not move. Poses that are not finite get infinity.
    """
    if cam_from_world_pred.shape != cam_from_world_true.shape or len(cam_from_world_true) < 2:
        raise ValueError(
            f"predicted cameras {tuple(cam_from_world_pred.shape)} and true ones "
            f"{tuple(cam_from_world_true.shape)} must both be (S, 3, 4) of one scene with S ≥ 2 views."
        )
    pred, true = _relative_poses(cam_from_world_pred), _relative_poses(cam_from_world_true)
    rotation = rotation_angle(pred[:, :3, :3], true[:, :3, :3]).rad2deg()
    a, b = pred[:, :3, 3], true[:, :3, 3]
    lengths = a.norm(dim=-1) * b.norm(dim=-1)
    cosine = (a * b).sum(-1).abs() / lengths.clamp_min(1e-12)
    translation = torch.acos(cosine.clamp(max=1.0)).rad2deg()
    return rotation.nan_to_num(nan=torch.inf), translation.nan_to_num(nan=torch.inf)


def area_under_curve(errors_deg: Tensor, threshold: int) -> float:
    """Mean over k = 1 … threshold of the share of errors (N,) below k degrees; k = threshold included."""
    return _below(errors_deg, threshold).mean().item()


def accuracy_curve(errors_deg: Tensor, threshold: int) -> Tensor:
    """(threshold,): entry k − 1 is the share of errors (N,) below k°, the last edge included."""
    return _below(errors_deg, threshold).mean(0)


def _below(errors_deg: Tensor, threshold: int) -> Tensor:
    """(N, threshold): 1 where an error is below k = 1 … threshold degrees."""
    steps = torch.arange(1, threshold + 1, dtype=errors_deg.dtype, device=errors_deg.device)
    below = errors_deg[:, None] < steps
    below[:, -1] |= errors_deg == threshold
    return precise(below)


def _relative_poses(cam_from_world: Tensor) -> Tensor:
    """i_from_j (pairs, 4, 4) of all pairs i < j, as precise as the device allows."""
    cam_from_world = precise(cam_from_world)
    i, j = torch.triu_indices(len(cam_from_world), len(cam_from_world), offset=1).to(cam_from_world.device)
    return as_4x4(cam_from_world)[i] @ invert_rigid(cam_from_world)[j]
