"""A loss on where the other cameras lie: the angle that the pose metrics measure.

This is our own addition; neither the paper nor the release has it. The camera loss compares positions in
scene units, so an error of a short step hardly counts, though it may turn the step by any angle. This term
compares directions between pairs of cameras, whatever the distance between them.
"""

import torch
from torch import Tensor

from vggt_lite.geometry import camera_center, camera_from_pose_encoding
from vggt_lite.losses.camera import STAGE_DECAY
from vggt_lite.losses.masked import masked_mean

SHORTEST = 0.01  # scene units: cameras closer than this have no direction to learn


def direction_loss(pose_encodings: list[Tensor], cam_from_world: Tensor) -> Tensor:
    """Mean of 1 − cos between true and predicted directions from each camera to each other one.

    Args:
        pose_encodings: n tensors (B, S, 9), one per iteration of the camera head, the final one last.
        cam_from_world: (B, S, 3, 4) truth, normalised (`normalize_scene`).

    Returns:
        () from 0 to 2; 0 if no two cameras stand apart. Iterations weigh as in `camera_loss`.
    """
    true, apart = camera_directions(cam_from_world)  # (B, S, S, 3), (B, S, S)
    counts = apart > SHORTEST
    loss = 0.0
    for stage, encoding in enumerate(reversed(pose_encodings)):
        cameras, _ = camera_from_pose_encoding(encoding.float(), (1, 1))  # the lens plays no part
        predicted, _ = camera_directions(cameras)
        weight = STAGE_DECAY**stage / len(pose_encodings)
        loss = loss + weight * masked_mean(1 - (true * predicted).sum(-1), counts)
    return loss


def camera_directions(cam_from_world: Tensor) -> tuple[Tensor, Tensor]:
    """Unit vectors (B, S, S, 3) from camera i to j in camera i's frame, and distances (B, S, S)."""
    center = camera_center(cam_from_world)  # (B, S, 3)
    world = center[:, None] - center[:, :, None]  # (B, S, S, 3): from i to j
    own = (cam_from_world[:, :, None, :, :3] @ world[..., None])[..., 0]
    distance = own.square().sum(-1).clamp_min(1e-12).sqrt()  # sqrt has no gradient at 0
    return own / distance[..., None], torch.where(distance > 1e-5, distance, 0.0)
