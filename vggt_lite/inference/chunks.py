"""`Chunk`: what a pass over a few views of a sequence leaves for joining, and for the result."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vggt_lite.geometry import transform_points


@dataclass(frozen=True)
class Chunk:
    """Views that were reconstructed together, in a world and a unit of their own. V views, n points."""

    views: tuple[int, ...]  # their numbers in the sequence
    cam_from_world: Tensor  # (V, 3, 4)
    intrinsics: Tensor  # (V, 3, 3) original pixels
    depth: Tensor  # (V, h, w), 0 where there is none
    depth_conf: Tensor  # (V, h, w)
    point_view: Tensor  # (n,) place in `views` of each refined observation; empty without refinement
    point: Tensor  # (n,) which point was observed
    point_pixel: Tensor  # (n, 2) original pixels
    point_depth: Tensor  # (n,)

    @classmethod
    def of(cls, views: tuple[int, ...], scene) -> "Chunk":
        """What joining needs of a `Reconstruction`."""
        view = point = torch.zeros(0, dtype=torch.long)
        pixel, z = torch.zeros(0, 2), torch.zeros(0)
        if scene.refinement is not None and scene.refinement.refined:
            points, inliers = scene.refinement.points, scene.refinement.inliers  # (N, 3), (S, N)
            view, point = inliers.nonzero().unbind(-1)
            pixel = scene.refinement.tracks[view, point]
            z = transform_points(scene.cam_from_world, points)[view, point, 2]
        confidence = torch.ones_like(scene.depth) if scene.depth_conf is None else scene.depth_conf
        depth = scene.depth * scene.valid
        cameras = scene.cam_from_world, scene.intrinsics
        return cls(tuple(views), *cameras, depth, confidence, view, point, pixel, z)

    @property
    def refined(self) -> bool:
        return len(self.point_view) > 0
