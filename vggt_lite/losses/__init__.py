"""The losses, each in the paper's form and in the form of the released training code."""

from vggt_lite.losses.camera import camera_loss
from vggt_lite.losses.dense import depth_loss, point_loss
from vggt_lite.losses.direction import direction_loss
from vggt_lite.losses.matching import matching_loss, patch_correspondences
from vggt_lite.losses.multitask import LOSSES, Loss, heads_for, multitask_loss
from vggt_lite.losses.scene_batch import SceneBatch
from vggt_lite.losses.track import track_loss

__all__ = [
    "LOSSES", "Loss", "SceneBatch", "camera_loss", "depth_loss", "direction_loss", "heads_for",
    "matching_loss", "multitask_loss", "patch_correspondences", "point_loss", "track_loss",
]  # fmt: skip
