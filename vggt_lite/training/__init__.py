"""Losses, and the loop that lowers them."""

from vggt_lite.training.loop import train
from vggt_lite.training.losses import (
    camera_loss,
    depth_loss,
    matching_loss,
    multitask_loss,
    point_loss,
    track_loss,
)

__all__ = [
    "camera_loss",
    "depth_loss",
    "matching_loss",
    "multitask_loss",
    "point_loss",
    "track_loss",
    "train",
]
