"""Two roads to the same points: their disagreement is zero where they agree, and counts in depths."""

import pytest
import torch

from vggt_lite.data import normalize_scene
from vggt_lite.metrics import depth_pointmap_consistency
from vggt_lite.model import Predictions
from vggt_lite.synthetic import generate_scenes


def truth():
    scenes = normalize_scene(generate_scenes(1_000_000, 2, 3, 24, 24))
    return Predictions(
        images=scenes.images, cam_from_world=scenes.cam_from_world, intrinsics=scenes.intrinsics,
        depth=scenes.depth, point_map=scenes.point_map,
    )  # fmt: skip


def test_the_truth_agrees_with_itself():
    torch.testing.assert_close(depth_pointmap_consistency(truth()), torch.zeros(2), atol=1e-5, rtol=0)


def test_points_moved_by_a_tenth_of_their_depth_disagree_by_a_tenth():
    pred = truth()
    pred.point_map = pred.point_map + 0.1 * pred.depth[..., None] * torch.tensor([0.6, 0.0, 0.8])
    pred.point_map[1] = truth().point_map[1]
    torch.testing.assert_close(depth_pointmap_consistency(pred), torch.tensor([0.1, 0.0]), atol=1e-4, rtol=0)


def test_a_missing_head_is_named():
    pred = truth()
    pred.point_map = None
    with pytest.raises(ValueError, match="camera, depth and point"):
        depth_pointmap_consistency(pred)
