"""What each choice of `SceneConfig` changes, and which choices it refuses."""

import math

import pytest
import torch

from vggt_lite.config import VARIED_SCENES, SceneConfig
from vggt_lite.synthetic import generate_scenes
from vggt_lite.synthetic.batch_rng import BatchRNG
from vggt_lite.synthetic.layout import sample_layout


def turned_by(cam_from_world):
    """Angles in radians between the viewing directions of neighbouring views, (B, S - 1)."""
    forward = cam_from_world[..., 2, :3]
    return (forward[:, 1:] * forward[:, :-1]).sum(-1).clamp(-1, 1).acos()


def centers(cam_from_world):
    """Camera positions in the world, (B, S, 3)."""
    return -(cam_from_world[..., :3].mT @ cam_from_world[..., 3:])[..., 0]


def test_landmark_walls_keep_their_hue_and_random_ones_do_not():
    def redness_of_east(walls):
        config = SceneConfig(walls=walls)
        batch = generate_scenes(0, 60, 1, 32, 32, config=config)
        layout = sample_layout(BatchRNG(0, 60), 1, config)
        east = layout.room[:, 0, None, None]
        on_wall = (batch.point_map[:, 0, ..., 0] - east).abs() < 1e-3
        colour = batch.images[:, 0].movedim(1, -1)[on_wall]
        assert len(colour) > 1000
        return (colour.argmax(-1) == 0).float().mean()

    assert redness_of_east("landmark") > 0.99
    assert redness_of_east("random") < 0.7


def test_texture_changes_the_colours_and_nothing_else():
    rich, none, repetitive = (
        generate_scenes(4, 3, 2, 48, 48, config=SceneConfig(texture=name))
        for name in ("rich", "none", "repetitive")
    )
    for other in (none, repetitive):
        assert torch.equal(rich.depth, other.depth) and torch.equal(rich.cam_from_world, other.cam_from_world)
        assert (other.images.amax(2) - other.images.amin(2)).max() < 1e-5  # grey
    assert (rich.images.amax(2) - rich.images.amin(2)).mean() > 0.2
    assert none.images.diff(dim=-1).abs().mean() < 0.4 * repetitive.images.diff(dim=-1).abs().mean()


def test_the_field_of_view_roll_and_height_are_the_ones_asked_for():
    config = SceneConfig(fov_deg=(40, 41), roll_deg=0, camera_height=(1.5, 1.5), camera_distance=(1.8, 1.8))
    batch = generate_scenes(0, 5, 3, 30, 60, config=config)
    fov = 2 * torch.atan(30 / batch.intrinsics[..., 0, 0])
    assert (fov > math.radians(40) - 1e-5).all() and (fov < math.radians(41) + 1e-5).all()
    assert (batch.intrinsics[0, 0, :2, 2] == torch.tensor([30.0, 15.0])).all()
    assert batch.cam_from_world[..., 0, 2].abs().max() < 1e-6  # no roll: the image's x axis is level
    assert generate_scenes(0, 5, 3, 8, 8).cam_from_world[..., 0, 2].abs().max() > 0.01
    torch.testing.assert_close(centers(batch.cam_from_world)[..., 2], torch.full((5, 3), 1.5))


def test_paths_turn_about_the_table_or_approach_it():
    config = SceneConfig(turn_deg=(10, 10), gaze_jitter=0.0)
    orbit, walk, forward = (
        generate_scenes(0, 12, 5, 8, 8, config=config.with_(paths=(path,))).cam_from_world
        for path in ("orbit", "walk", "forward")
    )
    assert turned_by(orbit).mean() == pytest.approx(math.radians(10), rel=0.25)
    assert turned_by(walk).std(dim=1).mean() > 2 * turned_by(orbit).std(dim=1).mean()  # uneven steps
    assert turned_by(forward).mean() < math.radians(4)
    from_middle = centers(forward)[..., :2].norm(dim=-1)
    assert (from_middle[:, 0] > from_middle[:, -1] + 0.1).all()


def test_a_wider_gaze_looks_farther_from_the_table():
    narrow, wide = (
        generate_scenes(0, 20, 1, 9, 9, config=SceneConfig(gaze_jitter=j)).cam_from_world for j in (0.0, 0.5)
    )
    assert (narrow - wide)[..., :3].abs().mean() > 0.02


def test_objects_heightfield_and_shadows_show():
    plain = SceneConfig(num_objects=0, texture="none")
    empty, full, hilly, dark = (
        generate_scenes(0, 6, 1, 48, 48, config=plain.with_(**change))
        for change in ({}, {"num_objects": 12}, {"heightfield": True}, {"shadows": True})
    )
    assert full.depth.mean() < empty.depth.mean() and not torch.equal(hilly.images, empty.images)
    assert torch.equal(dark.depth, empty.depth)
    assert (dark.images <= empty.images).all() and dark.images.mean() < empty.images.mean() - 0.01


def test_supersampling_approaches_a_finer_image_and_leaves_depth_alone():
    fine = generate_scenes(0, 3, 1, 320, 320, config=SceneConfig(supersample=2)).images
    truth = torch.nn.functional.avg_pool2d(fine[:, 0], 10)
    once, four = (generate_scenes(0, 3, 1, 32, 32, config=SceneConfig(supersample=n)) for n in (1, 4))
    assert torch.equal(once.depth, four.depth)
    assert (four.images[:, 0] - truth).abs().mean() < 0.5 * (once.images[:, 0] - truth).abs().mean()


@pytest.mark.parametrize(
    "change, words",
    [
        ({"texture": "wood"}, "texture.*'wood'.*'rich'"),
        ({"walls": "blue"}, "walls.*'landmark'"),
        ({"paths": ()}, "paths.*orbit"),
        ({"paths": ("orbit", "spiral")}, "paths.*'spiral'.*'forward'"),
        ({"num_objects": 13}, "num_objects=13.*0 to 12"),
        ({"heightfield": True, "num_objects": 11}, "num_objects=11.*at most 10"),
        ({"moving_objects": 10}, "moving_objects=10.*num_objects=9"),
        ({"supersample": 0}, "supersample=0.*1"),
        ({"turn_deg": (20, 8)}, r"turn_deg: \(20, 8\)"),
        ({"fov_deg": (5, 60)}, "fov_deg.*20"),
        ({"camera_height": (0.1, 1)}, "camera_height.*0.3"),
        ({"camera_distance": (0.5, 1)}, "camera_distance.*1.4"),
        ({"gaze_jitter": 2.0}, "gaze_jitter"),
        ({"roll_deg": -1.0}, "roll_deg"),
    ],
)
def test_a_configuration_that_cannot_work_says_what_would(change, words):
    with pytest.raises(ValueError, match=words):
        SceneConfig(**change)


def test_a_scene_survives_its_configuration_going_through_json():
    config = SceneConfig.from_dict({**VARIED_SCENES.to_dict(), "paths": ["walk"], "fov_deg": [50.0, 60.0]})
    assert config == VARIED_SCENES.with_(paths=("walk",), fov_deg=(50.0, 60.0))
