"""What a predictor scores that never looks: the yardstick beside every figure.

Scenes of one kind resemble each other, so an average scene is a fair guess. A network is worth something
only by how far it beats this one.
"""

import math

import torch
from torch import Tensor

from vggt_lite.config import SceneConfig
from vggt_lite.data.normalize import normalize_scene
from vggt_lite.geometry import camera_from_pose_encoding, pose_encoding_from_camera, unproject_depth
from vggt_lite.model.predictions import Predictions
from vggt_lite.synthetic.cameras import square_pixel_intrinsics
from vggt_lite.synthetic.generate import generate_scenes


class ConstantPredictor:
    """Answers with the mean of training scenes whatever the images show.

    The mean camera of each view (rotations averaged and projected back to a rotation), the median depth
    of each pixel, points from these two, and tracks that stand still and are always visible.

    Args:
        scene_config: The kind of scenes.
        num_views: S, views of each scene. size: Height and width, pixels.
        num_scenes: Training scenes to average, seeds from 0.
    """

    def __init__(
        self, scene_config: SceneConfig, num_views: int, size: int, num_scenes: int = 200, device="cpu"
    ) -> None:
        scenes = normalize_scene(
            generate_scenes(0, num_scenes, num_views, size, size, device, config=scene_config)
        )
        rotation = nearest_rotation(scenes.cam_from_world[..., :3].mean(0))  # (S, 3, 3)
        translation = scenes.cam_from_world[..., 3:].mean(0)  # (S, 3, 1)
        cameras = torch.cat([rotation, translation], dim=-1)
        self.encoding = pose_encoding_from_camera(cameras, scenes.intrinsics.mean(0), (size, size))
        self.depth = scenes.depth.median(0).values  # (S, H, W)

    def __call__(self, images: Tensor, query_points: Tensor | None = None) -> Predictions:
        scenes, views, _, height, width = images.shape
        encoding = self.encoding[:views].expand(scenes, -1, -1)
        cam_from_world, intrinsics = camera_from_pose_encoding(encoding, (height, width))
        depth = self.depth[:views].expand(scenes, -1, -1, -1)
        ones = torch.ones_like(depth)
        pred = Predictions(
            images=images, pose_encodings=[encoding], cam_from_world=cam_from_world, intrinsics=intrinsics,
            depth=depth, depth_conf=ones, point_conf=ones,
            point_map=unproject_depth(depth, intrinsics, cam_from_world),
        )  # fmt: skip
        if query_points is not None:
            pred.tracks_list = [query_points[:, None].expand(-1, views, -1, -1)]
            pred.track_visibility = images.new_ones(scenes, views, query_points.shape[1])
        return pred


class BlindPredictor(ConstantPredictor):
    """Answers without having seen any scene: for scenes of which there is no mean.

    Not turned, each view a step to the right of the one before, everything equally far, 60° wide.

    Args:
        num_views: S, at most. size: Height and width, pixels.
    """

    def __init__(self, num_views: int, size: int, device="cpu") -> None:
        cameras = torch.eye(3, 4).repeat(num_views, 1, 1)
        cameras[:, 0, 3] = -0.1 * torch.arange(num_views)
        intrinsics = square_pixel_intrinsics(torch.full((num_views,), math.radians(60)), size, size)
        self.encoding = pose_encoding_from_camera(cameras, intrinsics, (size, size)).to(device)
        self.depth = torch.ones(num_views, size, size, device=device)


def nearest_rotation(matrix: Tensor) -> Tensor:
    """The rotations closest to 3×3 matrices (…, 3, 3), by singular value decomposition."""
    u, _, vh = torch.linalg.svd(matrix)
    sign = torch.ones_like(matrix[..., 0])
    sign[..., 2] = torch.linalg.det(u @ vh)  # −1 where the product would be a mirror image
    return (u * sign[..., None, :]) @ vh
