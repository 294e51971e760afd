"""`generate_scenes`: the same seeds give the same scenes, and the truth that comes with them is true."""

from dataclasses import fields

import pytest
import torch

from vggt_lite.config import VARIED_SCENES, SceneConfig
from vggt_lite.geometry import project_points, unproject_depth
from vggt_lite.synthetic import generate_scenes, render
from vggt_lite.synthetic.batch_rng import BatchRNG
from vggt_lite.synthetic.layout import sample_layout

EVERYTHING = VARIED_SCENES.with_(moving_objects=2, shadows=True, supersample=2)


def assert_same(a, b):
    for field in fields(a):
        x, y = getattr(a, field.name), getattr(b, field.name)
        assert (x is None and y is None) or torch.equal(x, y), f"{field.name} differs"


@pytest.mark.parametrize("config", [SceneConfig(), EVERYTHING])
def test_the_same_seed_gives_the_same_bits(config):
    first, second = (generate_scenes(5, 2, 3, 24, 32, num_tracks=7, config=config) for _ in range(2))
    assert_same(first, second)


@pytest.mark.parametrize("config", [SceneConfig(), EVERYTHING])
def test_a_scene_does_not_depend_on_the_others_in_its_batch(config):
    together = generate_scenes(5, 3, 2, 24, 32, num_tracks=7, config=config)
    for i in range(3):
        assert_same(together.scene(i), generate_scenes(5 + i, 1, 2, 24, 32, num_tracks=7, config=config))


def test_the_first_views_do_not_depend_on_how_many_follow():
    long, short = (generate_scenes(9, 2, n, 24, 32, num_tracks=7, config=EVERYTHING) for n in (5, 2))
    assert_same(long.views(slice(0, 2)), short)


def test_cutting_the_work_into_portions_does_not_change_the_result(monkeypatch):
    whole = generate_scenes(5, 2, 2, 24, 32, config=EVERYTHING)
    monkeypatch.setitem(render.RAYS_AT_ONCE, "cpu", 300)
    assert_same(whole, generate_scenes(5, 2, 2, 24, 32, config=EVERYTHING))


def test_different_seeds_give_different_scenes():
    batch = generate_scenes(0, 2, 1, 16, 16)
    assert not torch.allclose(batch.depth[0], batch.depth[1], atol=0.05)


def test_shapes_types_and_ranges_are_those_of_a_scene_batch():
    batch = generate_scenes(0, 2, 3, 24, 32, num_tracks=5)
    assert batch.images.shape == (2, 3, 3, 24, 32) and batch.depth.shape == (2, 3, 24, 32)
    assert batch.cam_from_world.shape == (2, 3, 3, 4) and batch.intrinsics.shape == (2, 3, 3, 3)
    assert batch.point_map.shape == (2, 3, 24, 32, 3)
    assert batch.tracks.shape == (2, 3, 5, 2) and batch.track_visibility.shape == (2, 3, 5)
    assert batch.valid.dtype == torch.bool and batch.valid.all()
    assert 0 <= batch.images.min() and batch.images.max() <= 1
    assert (batch.depth > 0).all() and (batch.depth < 8).all()


def test_point_maps_are_the_unprojected_depths():
    batch = generate_scenes(11, 4, 4, 32, 40, config=VARIED_SCENES)
    points = unproject_depth(batch.depth, batch.intrinsics, batch.cam_from_world)
    torch.testing.assert_close(points, batch.point_map, rtol=0, atol=1e-5)


def test_rotations_are_rotations():
    rotation = generate_scenes(0, 4, 4, 8, 8).cam_from_world[..., :3]
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3).expand(4, 4, 3, 3), rtol=0, atol=1e-5)
    assert (torch.linalg.det(rotation) > 0.99).all()


def test_points_of_view_0_lie_at_the_depth_that_view_1_sees_there():
    batch = generate_scenes(3, 6, 2, 96, 96)
    pixels, z = project_points(
        batch.point_map[:, 0].flatten(1, 2), batch.cam_from_world[:, 1], batch.intrinsics[:, 1]
    )  # (B, H·W, 2), (B, H·W)
    grid = (pixels / 48 - 1)[:, None]
    seen = torch.nn.functional.grid_sample(batch.depth[:, 1:], grid, align_corners=False)[:, 0, 0]
    inside = (grid.abs() < 0.95).all(-1)[:, 0]
    error = ((seen - z) / z)[inside]
    assert inside.float().mean() > 0.5
    assert (error.abs() < 0.02).float().mean() > 0.7  # visible: the same surface
    assert (error < 0.05).float().mean() > 0.97  # hidden: something nearer; never something farther


def test_a_tracked_point_is_one_world_point_and_is_seen_in_the_image_at_its_depth():
    batch = generate_scenes(3, 6, 4, 128, 128, num_tracks=64)
    assert batch.track_visibility[:, 0].all() and (batch.tracks[:, 0] >= 0).all()
    assert 0.4 < batch.track_visibility.float().mean() < 0.98

    visible = batch.track_visibility
    column, row = batch.tracks.long().clamp(0, 127).unbind(-1)  # the pixel the track falls in
    scene, view = torch.meshgrid(torch.arange(6), torch.arange(4), indexing="ij")
    point = batch.point_map[scene[..., None], view[..., None], row, column]  # (B, S, N, 3)
    distance = (point - point[:, :1]).norm(dim=-1)
    assert (distance[visible] < 0.1).float().mean() > 0.9  # as near as pixels are coarse
    assert distance[~visible].median() > 0.2


def test_tracks_on_a_moving_object_move_with_it():
    config = SceneConfig(num_objects=1, moving_objects=1, camera_height=(1.7, 1.7))
    count, size = 20, 128
    batch = generate_scenes(20, count, 2, size, size, num_tracks=300, config=config)
    layout = sample_layout(BatchRNG(20, count), 2, config)
    mover = layout.role.index("object")
    column, row = batch.tracks[:, 0].long().clamp(max=size - 1).unbind(-1)
    point = batch.point_map[torch.arange(count)[:, None], 0, row, column]  # (B, N, 3), to the nearest pixel
    center = layout.center[:, :, mover]  # (B, S, 3)
    on_mover = ((point - center[:, :1]).abs() < layout.half[:, None, mover].amax(-1, keepdim=True)).all(-1)
    assert on_mover.sum() > 50

    def distance(points):
        pixels, _ = project_points(points, batch.cam_from_world[:, 1], batch.intrinsics[:, 1])
        return (pixels - batch.tracks[:, 1]).norm(dim=-1)

    moved = distance(point + center[:, 1:] - center[:, :1])
    assert moved[on_mover].median() < 1 and distance(point)[on_mover].median() > 4
    assert distance(point)[~on_mover].median() < 1
    assert batch.track_visibility[:, 1][on_mover].float().mean() > 0.5  # the front stays in sight


def test_cameras_stay_in_the_room_and_outside_every_shape():
    for config in (SceneConfig(), EVERYTHING.with_(moving_objects=9)):
        count, views = 150, 8
        layout = sample_layout(BatchRNG(0, count), views, config)
        cam_from_world = generate_scenes(0, count, views, 1, 1, config=config).cam_from_world
        center = -(cam_from_world[..., :3].mT @ cam_from_world[..., 3:])[..., 0]  # (B, S, 3)
        assert (center[..., :2].abs() < layout.room[:, None, :2] - 0.3).all()
        assert (0.3 < center[..., 2]).all() and (center[..., 2] < layout.room[:, None, 2] - 0.1).all()
        x, y, z = (center[:, :, None] - layout.center).unbind(-1)  # (B, S, K)
        cos, sin = layout.yaw.cos()[:, None], layout.yaw.sin()[:, None]
        local = torch.stack([cos * x + sin * y, cos * y - sin * x, z], dim=-1).abs()
        assert (local > layout.half[:, None] + 0.1).any(-1).all()


def test_objects_on_the_table_do_not_overlap():
    layout = sample_layout(BatchRNG(0, 200), 1, SceneConfig(num_objects=12))
    objects = [k for k, word in enumerate(layout.role) if word == "object"]
    center, half = layout.center[:, 0, objects], layout.half[:, objects]
    reach = half[..., :2].amax(-1)
    reach = torch.where(layout.kind[objects] == 1, half[..., :2].norm(dim=-1), reach)
    apart = (center[:, :, None, :2] - center[:, None, :, :2]).norm(dim=-1)
    pairs = ~torch.eye(len(objects), dtype=torch.bool)
    present = center[..., 2] > 0
    both = present[:, :, None] & present[:, None] & pairs
    assert (apart > reach[:, :, None] + reach[:, None] - 1e-4)[both].all()


@pytest.mark.parametrize(
    "change, words",
    [
        ({"seed": -1}, "seed=-1"),
        ({"num_scenes": 0}, "num_scenes=0"),
        ({"num_views": 301}, "num_views=301.*1 to 300"),
        ({"height": 0}, "height=0"),
        ({"width": -2}, "width=-2"),
        ({"num_tracks": -1}, "num_tracks=-1"),
    ],
)
def test_a_request_that_cannot_work_says_what_would(change, words):
    with pytest.raises(ValueError, match=words):
        generate_scenes(**({"seed": 0, "num_scenes": 1, "num_views": 1, "height": 4, "width": 4} | change))


def test_one_pixel_one_view_and_sixteen_views_work():
    assert generate_scenes(0, 1, 1, 1, 1, num_tracks=1).depth.shape == (1, 1, 1, 1)
    assert generate_scenes(0, 1, 16, 4, 6).depth.shape == (1, 16, 4, 6)


@pytest.mark.gpu
def test_a_gpu_shows_the_same_scenes_as_the_cpu():
    cpu, gpu = (generate_scenes(0, 4, 3, 48, 48, device=d, num_tracks=16) for d in ("cpu", "cuda"))
    gpu = gpu.to("cpu")
    assert ((cpu.depth - gpu.depth).abs() < 1e-3).float().mean() > 0.999
    assert ((cpu.images - gpu.images).abs() < 0.02).float().mean() > 0.995


def test_chosen_views_are_those_of_the_whole_path():
    whole = generate_scenes(4, 2, 5, 24, 32, config=EVERYTHING)
    which = torch.tensor([[4, 1], [0, 3]])
    some = generate_scenes(4, 2, 5, 24, 32, num_tracks=6, config=EVERYTHING, views=which)
    rows = torch.arange(2)[:, None]
    for name in ("images", "depth", "cam_from_world", "intrinsics", "point_map"):
        torch.testing.assert_close(getattr(some, name), getattr(whole, name)[rows, which], atol=1e-6, rtol=0)
    assert some.tracks.shape == (2, 2, 6, 2)


def test_single_views_are_zoomed_and_an_upright_camera_keeps_its_lens():
    plain, zoomed = (
        generate_scenes(0, 3, 6, 24, 32, config=VARIED_SCENES.with_(zoom=zoom)) for zoom in (1.0, 1.5)
    )
    factor = zoomed.intrinsics[..., 0, 0] / plain.intrinsics[..., 0, 0]
    assert factor.min() < 1.15 and factor.max() > 1.35 and (factor >= 1).all() and (factor <= 1.5).all()
    torch.testing.assert_close(zoomed.intrinsics[..., 0, 2], plain.intrinsics[..., 0, 2])
    upright = generate_scenes(0, 3, 6, 32, 24, config=VARIED_SCENES.with_(zoom=1.0))
    torch.testing.assert_close(upright.intrinsics[..., 0, 0], plain.intrinsics[..., 0, 0])
