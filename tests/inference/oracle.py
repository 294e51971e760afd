"""A network whose answer is known, pictures to show it, and what of it every test here uses."""

import numpy as np
import torch

from vggt_lite.config import NANO
from vggt_lite.geometry import project_points, unproject_depth
from vggt_lite.inference.known import point_at
from vggt_lite.inference.refine import Refinement
from vggt_lite.model import Predictions

S, FOCAL, DEPTH = 3, 60.0, 2.0


class Oracle(torch.nn.Module):
    """Stands in for the network: cameras side by side in front of a wall, query points that stay put."""

    def __init__(self, pixel_center: float = 0.5, **changes) -> None:
        super().__init__()
        self.config = NANO.with_(pixel_center=pixel_center)
        self.changes = changes

    def forward(self, images, query_points=None):
        count, _, height, width = images.shape
        k = torch.tensor([[FOCAL, 0, width / 2], [0, FOCAL, height / 2], [0, 0, 1]])
        cameras = torch.eye(4)[:3].repeat(count, 1, 1)
        cameras[:, 0, 3] = -0.1 * torch.arange(count)
        depth = torch.full((count, height, width), DEPTH)
        values = {
            "cam_from_world": cameras,
            "intrinsics": k.repeat(count, 1, 1),
            "depth": depth,
            "depth_conf": 1 + torch.rand(count, height, width, generator=torch.Generator().manual_seed(0)),
            "point_map": unproject_depth(depth, k.repeat(count, 1, 1), cameras),
            "point_conf": torch.ones(count, height, width),
        } | self.changes
        values = {name: None if value is None else value[None] for name, value in values.items()}
        if query_points is not None:
            still = query_points.expand(count, -1, 2)
            values |= {"tracks_list": [still[None]], "track_visibility": torch.ones(1, *still.shape[:2])}
        return Predictions(images=images[None], **values)


def report(scene, count: int = 6) -> Refinement:
    """A refinement of a scene that needed none: points of its first view, where all views see them."""
    height, width = scene.original_sizes[0]
    pixels = torch.rand(count, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([width, height])
    points = torch.stack([point_at(scene, 0, *pixel.tolist()) for pixel in pixels])
    tracks, _ = project_points(points, scene.cam_from_world, scene.intrinsics)
    inliers = torch.ones(tracks.shape[:2], dtype=torch.bool)
    tracks[-1, 0], inliers[-1, 0] = torch.nan, False
    return Refinement(
        True, "", {(0, 1): 40, (1, 2): 31}, tracks, inliers, points, 3.5, 0.25, "prediction", "shared",
        torch.full((len(scene),), 0.01, dtype=torch.float64), 1.5,
    )  # fmt: skip


def pictures():
    rng = np.random.default_rng(0)
    sizes = [(60, 90), (120, 80), (50, 50)]
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
