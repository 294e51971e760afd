"""Normalised scenes: the release's numbers, first camera at the origin, mean distance 1."""

import torch

from tests.geometry.cases import GOLDEN, assert_golden
from tests.losses.test_matching_loss import wall
from vggt_lite.data import normalize_scene
from vggt_lite.data.normalize import normalize_geometry
from vggt_lite.geometry import project_points, unproject_depth
from vggt_lite.losses import SceneBatch

INPUTS = [GOLDEN[f"norm/{name}"] for name in ("extrinsics", "world_points", "depths")]


def test_the_arithmetic_equals_the_release():
    cameras, points, depth, scale = normalize_geometry(*INPUTS, GOLDEN["norm/masks"])
    assert_golden(cameras, "norm/out_extrinsics")
    assert_golden(points, "norm/out_world_points")
    assert_golden(depth, "norm/out_depths")
    in_cam = GOLDEN["norm/cam_points"] / scale[:, None, None, None, None]
    assert_golden(in_cam, "norm/out_cam_points")


def test_a_scene_without_valid_pixels_equals_the_release():
    cameras, _, _, _ = normalize_geometry(*INPUTS, GOLDEN["norm/masks_empty1"])
    assert_golden(cameras, "norm/empty1_extrinsics")


def _scene() -> SceneBatch:
    """A wall seen by two cameras, in a world that is neither of theirs."""
    batch = wall()
    move = torch.tensor([[0.0, -1, 0, 3], [1.0, 0, 0, -2], [0.0, 0, 1, 5]])
    batch.cam_from_world = torch.cat(
        [batch.cam_from_world[..., :3] @ move[:, :3],
         batch.cam_from_world[..., :3] @ move[:, 3:] + batch.cam_from_world[..., 3:]], dim=-1
    )  # fmt: skip
    batch.point_map = unproject_depth(batch.depth, batch.intrinsics, batch.cam_from_world)
    return batch


def test_the_first_camera_is_the_world_and_points_are_at_distance_one_on_average():
    scene = normalize_scene(_scene())
    torch.testing.assert_close(scene.cam_from_world[:, 0], torch.eye(3, 4)[None], rtol=0, atol=1e-6)
    distance = scene.point_map.norm(dim=-1)[scene.valid].mean().item()
    torch.testing.assert_close(distance, 1.0, rtol=1e-5, atol=0)


def test_depth_cameras_and_points_still_agree_and_pixels_do_not_move():
    before, after = _scene(), normalize_scene(_scene())
    from_depth = unproject_depth(after.depth, after.intrinsics, after.cam_from_world)
    torch.testing.assert_close(after.point_map, from_depth, rtol=1e-5, atol=1e-6)
    old, _ = project_points(before.point_map[:, :1].flatten(2, 3), before.cam_from_world, before.intrinsics)
    new, _ = project_points(after.point_map[:, :1].flatten(2, 3), after.cam_from_world, after.intrinsics)
    torch.testing.assert_close(new, old, rtol=1e-4, atol=1e-3)


def test_normalising_twice_changes_nothing_more():
    once = normalize_scene(_scene())
    twice = normalize_scene(once)
    torch.testing.assert_close(twice.cam_from_world, once.cam_from_world, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(twice.depth, once.depth, rtol=1e-5, atol=1e-6)


def test_values_that_are_not_finite_become_zero_and_autocast_does_not_blur_poses():
    scene = _scene()
    scene.depth[0, 0, 0, 0] = float("inf")
    scene.point_map[0, 0, 0, 0] = float("nan")
    scene.valid[0, 0, 0, 0] = False
    want = normalize_scene(scene)
    assert want.depth[0, 0, 0, 0] == 0 and not want.point_map[0, 0, 0, 0].any()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(normalize_scene(scene).cam_from_world, want.cam_from_world)
