"""Which parts of a camera motion a model predicts: one correlation per component.

A single view shows some components (the pitch from the floor in sight, the height of the camera); others
(yaw, a step sideways) can only come from matches between views. A model that correlates with the former and
not with the latter does not compare its views yet, whatever its loss is.
"""

import torch
from torch import Tensor

from vggt_lite.geometry import camera_center, quat_xyzw_from_matrix
from vggt_lite.geometry.precision import precise

COMPONENTS = ("pitch", "yaw", "roll", "sideways", "down", "forward", "height")


def motion_components(cam_from_first: Tensor, up_in_first: Tensor) -> Tensor:
    """How each view's camera moved since view 0.

    Args:
        cam_from_first: (B, S, 3, 4) cameras, where the world is the first camera's frame.
        up_in_first: (B, 3) the true upward direction in that frame.

    Returns:
        (B, S − 1, 7) in the order of `COMPONENTS`: rotation vector x, y, z (radians), then the position
        of the camera along x, y, z of the first camera, and along the upward direction.
    """
    others = cam_from_first[:, 1:]
    center = camera_center(others)  # (B, S − 1, 3)
    height = (center * up_in_first[:, None]).sum(-1, keepdim=True)
    return torch.cat([rotation_vector(others[..., :3]), center, height], dim=-1)


def rotation_vector(rotation: Tensor) -> Tensor:
    """Axis times angle (…, 3) in radians, for rotation matrices (…, 3, 3)."""
    quaternion = quat_xyzw_from_matrix(rotation)
    axis, w = quaternion[..., :3], quaternion[..., 3:]
    length = axis.norm(dim=-1, keepdim=True)
    return 2 * torch.atan2(length, w) * axis / length.clamp(min=1e-9)


def correlations(predicted: Tensor, true: Tensor) -> dict[str, float]:
    """Pearson's correlation of each component over all frames; 0 where the prediction is constant.

    Args:
        predicted: (frames, 7) as from `motion_components`.
        true: (frames, 7).
    """
    a, b = (x - x.mean(0) for x in (precise(predicted), precise(true)))
    spread = (a.square().sum(0) * b.square().sum(0)).sqrt()
    values = torch.where(spread > 1e-9, (a * b).sum(0) / spread.clamp(min=1e-9), 0.0)
    return dict(zip(COMPONENTS, values.tolist(), strict=True))
