"""Camera metrics: are the cameras turned, and placed relative to each other, as in the truth?

Only relative poses of pairs of views are compared, and of a translation only its direction. So neither the
world's frame nor its unit matters. A pair's error is the *larger* of its two angles, as in the released
evaluation code (the paper's text speaks of the smaller accuracy of the two, which is never lower).
"""

import torch
from torch import Tensor

from vggt_lite.geometry import as_4x4, invert_rigid, rotation_angle


def pose_auc(
    cam_from_world_pred: Tensor,
    cam_from_world_true: Tensor,
    thresholds: tuple[int, ...] = (3, 5, 15, 30),
) -> dict[str, float]:
    """Area under the accuracy curve over all pairs of views, and the median errors.

    Args:
        cam_from_world_pred: (S, 3, 4) or (S, 4, 4), S ≥ 2; any world frame, any unit.
        cam_from_world_true: the same shape.
        thresholds: whole degrees τ.

    Returns:
        auc@τ: mean over k = 1 … τ of the share of pairs with an error below k° (0 … 1; the last bin
            includes its edge). Not the trapezoid of image-matching benchmarks.
        rra@τ, rta@τ: shares of pairs whose rotation, or translation direction, is within τ°.
        rotation_median_deg, translation_median_deg.
    """
    rotation, translation = relative_pose_errors(cam_from_world_pred, cam_from_world_true)
    result = {}
    for threshold in thresholds:
        result[f"auc@{threshold}"] = area_under_curve(torch.maximum(rotation, translation), threshold)
        result[f"rra@{threshold}"] = (rotation < threshold).double().mean().item()
        result[f"rta@{threshold}"] = (translation < threshold).double().mean().item()
    result["rotation_median_deg"] = rotation.median().item()
    result["translation_median_deg"] = translation.median().item()
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
    steps = torch.arange(1, threshold + 1, dtype=errors_deg.dtype, device=errors_deg.device)
    below = errors_deg[:, None] < steps
    below[:, -1] |= errors_deg == threshold
    return below.double().mean().item()


def _relative_poses(cam_from_world: Tensor) -> Tensor:
    """i_from_j (pairs, 4, 4) of all pairs i < j, in float64."""
    cam_from_world = cam_from_world.double()
    i, j = torch.triu_indices(len(cam_from_world), len(cam_from_world), offset=1).to(cam_from_world.device)
    return as_4x4(cam_from_world)[i] @ invert_rigid(cam_from_world)[j]
