"""A network without a reference view: reference="none" (π³, Wang et al. 2025, arXiv:2507.13347).

All views get the same special tokens, so permuted images give permuted tokens. Two things follow:

- Poses are in a world frame that is not fixed. Only poses relative to each other mean something.
- The point head can only predict points in each view's own camera frame.

Afterwards the poses are written relative to view 0, and the points are moved into its frame by those poses.
So a prediction means what it always means, and losses and metrics stay as they are. The gradient passes
through this change of frame. One thing is asked that an equivariant network cannot know: the unit, since
scenes are scaled by the mean distance of points *from view 0*. In generated scenes that changes by 1 % with
the choice of view 0, and no metric here depends on it.
"""

import torch
from torch import Tensor

from vggt_lite.geometry import (
    camera_from_pose_encoding,
    compose,
    invert_rigid,
    matrix_from_quat_xyzw,
    quat_xyzw_from_matrix,
    transform_points,
)
from vggt_lite.model.predictions import Predictions


def same_for_all(tokens: Tensor, num_scenes: int, num_views: int) -> Tensor:
    """Special tokens (1, 2, K, C) → (B · S, K, C): slot 1, which VGGT gives to all views but the first."""
    return tokens[0, 1].expand(num_scenes * num_views, -1, -1)


def to_first_view(pred: Predictions) -> Predictions:
    """Poses of any common world, points of each camera's frame → both in the first view's frame."""
    if pred.pose_encodings:
        pred.pose_encodings = [to_first_camera(encoding) for encoding in pred.pose_encodings]
        size = tuple(pred.images.shape[-2:])
        pred.cam_from_world, pred.intrinsics = camera_from_pose_encoding(pred.pose_encoding, size)
    if pred.point_map is not None:
        pred.point_map = points_in_world(pred.point_map, pred.cam_from_world)
    return pred


def to_first_camera(encoding: Tensor) -> Tensor:
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
