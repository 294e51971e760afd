"""The losses, each in the paper's form and in the form of the released training code."""

from vggt_lite.training.losses.camera import camera_loss
from vggt_lite.training.losses.dense import depth_loss, point_loss
from vggt_lite.training.losses.matching import matching_loss, patch_correspondences
from vggt_lite.training.losses.multitask import DEFAULT_WEIGHTS, multitask_loss
from vggt_lite.training.losses.track import track_loss

__all__ = [
    "DEFAULT_WEIGHTS",
    "camera_loss",
    "depth_loss",
    "matching_loss",
    "multitask_loss",
    "patch_correspondences",
    "point_loss",
    "track_loss",
]
