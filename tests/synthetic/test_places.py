"""Places beside the furnished table: each is seen from within, and steps of the camera show."""

from dataclasses import replace

import pytest
import torch

from vggt_lite.config import PLACES, WIDE_SCENES, SceneConfig
from vggt_lite.geometry import camera_center, project_points
from vggt_lite.synthetic import generate_scenes, textures
from vggt_lite.synthetic.between_views import median_parallax
from vggt_lite.synthetic.generate import scene_kinds

LITTLE = 0.02  # of the picture's width
SIZE = 40  # pixels


def at(place: str, path: str, count: int = 12):
    config = WIDE_SCENES.with_(places=(place,), paths=(path,), moving_objects=0)
    return generate_scenes(1_000_000, count, 4, SIZE, SIZE, config=config)


@pytest.mark.parametrize("path", WIDE_SCENES.paths)
@pytest.mark.parametrize("place", PLACES)
def test_steps_show_and_no_camera_is_inside_anything(place, path):
    batch = at(place, path)
    assert batch.depth.amin() > 0.15 and batch.depth.isfinite().all()
    parallax = median_parallax(batch)
    assert not parallax.isnan().any(), "neighbours share nothing"
    assert (parallax < LITTLE).float().mean() < 0.3 and LITTLE < parallax.median() < 0.25


def test_of_all_pairs_fewer_than_a_tenth_stand_nearly_still():
    config = WIDE_SCENES.with_(moving_objects=0)
    parallax = median_parallax(generate_scenes(1_000_000, 60, 4, SIZE, SIZE, config=config))
    assert (parallax < LITTLE).float().mean() < 0.1


def test_a_scene_does_not_depend_on_its_neighbours_or_on_how_many_views_follow():
    batch = generate_scenes(7, 6, 5, 24, 24, config=WIDE_SCENES)
    alone = generate_scenes(10, 1, 3, 24, 24, config=WIDE_SCENES)
    assert torch.equal(alone.depth[0], batch.depth[3, :3])
    assert torch.equal(alone.images[0], batch.images[3, :3])


def test_places_differ_in_depth():
    table, ground, interior = (at(place, "orbit").depth for place in ("table", "ground", "interior"))
    assert ground.amax() > 2 * table.amax() and interior.amax() < 16


def test_the_ground_has_relief():
    flat = generate_scenes(0, 8, 1, 32, 32, config=SceneConfig(places=("ground",), num_objects=0))
    hilly = generate_scenes(
        0, 8, 1, 32, 32, config=SceneConfig(places=("ground",), num_objects=0, heightfield=True)
    )
    near = (flat.point_map[..., 2] < 0.01) & (flat.depth < 5)
    assert near.float().mean() > 0.1 and hilly.point_map[..., 2][near].amax() > 0.1


def test_an_unknown_place_is_refused():
    with pytest.raises(ValueError, match="places.*'moon'.*'table'"):
        SceneConfig(places=("moon",))


def test_scenes_know_their_place_and_path():
    kinds = scene_kinds(1_000_000, 40, 4, WIDE_SCENES)
    assert {kind["place"] for kind in kinds} == set(WIDE_SCENES.places)
    assert {kind["path"] for kind in kinds} == set(WIDE_SCENES.paths)
    batch = generate_scenes(1_000_000, 40, 4, 16, 16, config=WIDE_SCENES)
    for kind, cameras in zip(kinds, batch.cam_from_world, strict=True):
        ahead = cameras[:, 2, :3]  # (S, 3) viewing directions; roll does not count
        turned = (ahead[0] * ahead[1:]).sum(-1).min() < 0.9999
        if kind["place"] != "interior":  # there a dolly looks straight ahead, too
            assert turned == (kind["path"] != "parallel"), kind


def test_photographs_change_what_surfaces_look_like_and_nothing_else():
    config = WIDE_SCENES.with_(photographic=False)
    painted = generate_scenes(1_000_000, 12, 2, 32, 32, config=config)
    before = generate_scenes(1_000_000, 12, 2, 32, 32, config=config.with_(texture="varied"))
    assert torch.equal(painted.depth, before.depth)
    assert torch.equal(painted.cam_from_world, before.cam_from_world)
    other = (painted.images != before.images).any(dim=2).flatten(1).float().mean(dim=1)
    assert (other > 0.05).float().mean() > 0.5, "hardly a scene shows a photograph"


def test_pieces_of_photographs_have_no_seam():
    masks = textures.photographs()
    assert masks.shape == (16, 2, textures.SIZE, textures.SIZE)
    assert masks.amin() >= 0 and masks.amax() <= 1
    for axis in (2, 3):
        steps = (masks - masks.roll(1, axis)).abs().mean(dim=(1, 5 - axis))  # (16, SIZE), the seam first
        assert (steps[:, 0] < steps[:, 1:].amax(dim=1)).all()


def test_median_parallax_is_that_of_every_pair_by_itself():
    batch = generate_scenes(0, 3, 4, SIZE, SIZE, config=WIDE_SCENES.with_(moving_objects=0))
    for scene, found in enumerate(median_parallax(batch)):
        for view in range(3):
            here, there = batch.cam_from_world[scene, view : view + 2]
            k = batch.intrinsics[scene, view + 1]
            points = batch.point_map[scene, view].flatten(0, 1)  # (H · W, 3)
            without_step = points + camera_center(there) - camera_center(here)
            moved, z = project_points(points, there, k)
            still, _ = project_points(without_step, there, k)
            seen = ((moved >= 0) & (moved < SIZE)).all(-1) & (z > 0)
            expected = (moved - still).norm(dim=-1)[seen].median() / SIZE
            torch.testing.assert_close(found[view], expected, rtol=1e-4, atol=1e-5)


def test_parallax_of_a_camera_that_only_turns_is_none():
    batch = generate_scenes(0, 1, 2, SIZE, SIZE)
    turned = batch.cam_from_world.clone()
    turned[:, 1, :, 3:] = turned[:, 1, :, :3] @ -camera_center(turned[:, 0])[..., None]
    assert median_parallax(replace(batch, cam_from_world=turned)).item() < 1e-4
