"""Corrupted scenes: the same room, the corruption that was asked for, and a truth that still holds."""

import pytest
import torch

from vggt_lite.geometry import rotation_angle, unproject_depth
from vggt_lite.synthetic import Corruptions, corrupted_scenes, generate_scenes, overlap_with_first
from vggt_lite.synthetic.camera_effects import gaussian_blur
from vggt_lite.synthetic.corruptions import SHUFFLED

SEED = 1_000_003
CALM = corrupted_scenes(SEED, 2, Corruptions(), size=32)
EVERY = {
    "texture": Corruptions(texture="repetitive"),
    "overlap": Corruptions(turn_deg=60.0),
    "rolled": Corruptions(quarter_turns=3),
    "shuffled": Corruptions(shuffled=True),
    "blurred": Corruptions(blur=2.0),
    "moving": Corruptions(moving_objects=9),
    "all": Corruptions(
        texture="none", turn_deg=40.0, quarter_turns=1, shuffled=True, blur=1.0, moving_objects=3
    ),
}


@pytest.mark.parametrize("name", EVERY)
def test_depth_and_cameras_still_give_the_point_map(name):
    scenes = corrupted_scenes(SEED, 2, EVERY[name], size=32)
    points = unproject_depth(scenes.depth, scenes.intrinsics, scenes.cam_from_world)
    torch.testing.assert_close(points, scenes.point_map, atol=2e-5, rtol=0)
    assert scenes.images.shape == CALM.images.shape and scenes.valid.all()
    assert not torch.equal(scenes.images, CALM.images)


def test_without_corruptions_it_is_a_generated_scene():
    same = generate_scenes(SEED, 2, 4, 32, 32, config=Corruptions().scene_config)
    assert torch.equal(CALM.images, same.images)


def test_rolled_views_keep_their_place_and_show_the_same_things_turned():
    for turns in (1, 2, 3):
        rolled = corrupted_scenes(SEED, 1, Corruptions(quarter_turns=turns), size=32)
        assert torch.equal(rolled.images[:, 0], CALM.images[:1, 0])  # the reference view is left alone
        assert torch.equal(rolled.images[0, 2].rot90(-turns, (-2, -1)), CALM.images[0, 2])
        angle = rotation_angle(rolled.cam_from_world[0, :, :, :3], CALM.cam_from_world[0, :, :, :3])
        expected = 90.0 * min(turns, 4 - turns)
        torch.testing.assert_close(angle[1:].rad2deg(), torch.full((3,), expected), atol=0.1, rtol=0)


def test_a_quarter_turn_moves_what_is_right_to_the_top():
    rolled = corrupted_scenes(SEED, 1, Corruptions(quarter_turns=1), size=32)
    assert torch.equal(rolled.images[0, 1, :, 0], CALM.images[0, 1, :, :, -1])


def test_shuffled_views_are_the_same_views():
    shuffled = corrupted_scenes(SEED, 2, Corruptions(shuffled=True), size=32)
    assert sorted(SHUFFLED) == [0, 1, 2, 3]
    assert all(abs(a - b) > 1 for a, b in zip(SHUFFLED, SHUFFLED[1:], strict=False))
    assert torch.equal(shuffled.depth, CALM.depth[:, list(SHUFFLED)])


def test_a_blur_keeps_the_light_and_spreads_a_point_as_wide_as_asked():
    point = torch.zeros(1, 3, 33, 33)
    point[..., 16, 16] = 1
    spread = gaussian_blur(point, torch.tensor([2.0]), reach=6)[0, 0]
    away = torch.arange(33.0) - 16
    assert spread.sum() == pytest.approx(1, abs=1e-5)
    assert (spread.sum(0) * away**2).sum().sqrt() == pytest.approx(2, rel=0.02)
    flat = torch.full((2, 3, 8, 8), 0.25)
    torch.testing.assert_close(gaussian_blur(flat, torch.full((2,), 5.0), reach=15), flat)


def test_overlap_is_all_for_the_first_view_and_shrinks_with_the_turn():
    near, far = (
        overlap_with_first(corrupted_scenes(SEED, 4, Corruptions(turn_deg=a), 32)) for a in (8.0, 60.0)
    )
    assert near[:, 0].min() > 0.99
    assert (near[:, 1] > near[:, 3]).all()
    assert far[:, 3].mean() < 0.5 * near[:, 3].mean()
