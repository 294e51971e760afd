"""A network without a reference view: no view is the first, until the answer is written down.

All views get the same special tokens, so the order of the views cannot matter: permuted images give
permuted tokens. Two things follow (π³, Wang et al. 2025, arXiv:2507.13347):

- Poses are in a world that nobody chose. They mean something only relative to each other.
- The point head can only speak of points in each view's own camera frame.

What we do then: the finished poses are written relative to view 0 and the points moved into its frame by
those poses. So a prediction means what it always means, and the losses and metrics stay as they are. The
gradient passes through this change of frame. One thing is asked that an equivariant network cannot know:
the unit, since scenes are scaled by the mean distance of points *from view 0*. In generated scenes that
changes by 1 % with the choice of view 0, and no metric here depends on it.
"""

import torch
from torch import Tensor

from vggt_lite.geometry import (
    compose,
    invert_rigid,
    matrix_from_quat_xyzw,
    quat_xyzw_from_matrix,
    transform_points,
)


def seen_from_first(encoding: Tensor) -> Tensor:
    """Pose encodings (B, S, 9) in any common world → in the first view's frame; fields of view stay."""
    rotation = matrix_from_quat_xyzw(encoding[..., 3:7])
    cam_from_any = torch.cat([rotation, encoding[..., :3, None]], dim=-1)  # (B, S, 3, 4)
    cam_from_first = compose(cam_from_any, invert_rigid(cam_from_any[:, :1]))
    quat_xyzw = quat_xyzw_from_matrix(cam_from_first[..., :3])
    return torch.cat([cam_from_first[..., 3], quat_xyzw, encoding[..., 7:]], dim=-1)


def points_in_world(points_in_cam: Tensor, cam_from_world: Tensor) -> Tensor:
    """Points (B, S, H, W, 3) of each view's camera frame → the same points in the world."""
    points = transform_points(invert_rigid(cam_from_world), points_in_cam.flatten(2, 3))  # (B, S, H · W, 3)
    return points.view_as(points_in_cam)
