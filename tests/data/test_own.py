"""Batches from own scenes: a function of the step, one shape each, near-by views, intrinsics that follow."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.data.foreign import write_co3d, write_colmap, write_nerfstudio, write_vkitti2
from vggt_lite.config import TrainConfig
from vggt_lite.data import write_scene
from vggt_lite.data.batches import StepLoader, image_sides, step_generator
from vggt_lite.data.readers import find_scenes, open_scene
from vggt_lite.data.scene_folders import (
    MixtureSource,
    SceneFolders,
    depth_of_points,
    near_views,
    usual_depth,
    view_overlap,
)
from vggt_lite.data.views import to_batch
from vggt_lite.geometry import project_points, unproject_depth
from vggt_lite.losses import SceneBatch
from vggt_lite.synthetic import generate_scenes

CONFIG = TrainConfig(
    steps=10, views=(2, 4), max_images=8, num_tracks=6, curriculum=0.0, augment=0.0, aspects=(0.5, 1.0)
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two scene folders, 40 × 56 pixels with six views, and 56 × 40 with three."""
    root = tmp_path_factory.mktemp("own")
    write_scene(root / "wide", generate_scenes(11, 1, 6, 40, 56))
    write_scene(root / "tall", generate_scenes(12, 1, 3, 56, 40))
    return root


@pytest.fixture(scope="module")
def all_formats(tmp_path_factory):
    root = tmp_path_factory.mktemp("theirs")
    theirs = {"nerfstudio": write_nerfstudio, "co3d": write_co3d, "vkitti2": write_vkitti2}
    return [write(root / name) for name, write in theirs.items()] + [write_colmap(root / "colmap", True)]


def source(folders, config=CONFIG, **options) -> SceneFolders:
    return SceneFolders(folders, config, 32, 8, **options)


def same(a, b) -> bool:
    return all(torch.equal(value, getattr(b, name)) for name, value in vars(a).items())


def test_a_batch_depends_on_seed_and_step_alone(folders):
    one, other = source([folders]), source([folders])
    for step in (0, 1, 5):
        other.batch_for_step(step)  # a run that comes from elsewhere
    assert same(one.batch_for_step(4), other.batch_for_step(4))
    assert not same(one.batch_for_step(4), source([folders], CONFIG.with_(seed=1)).batch_for_step(4))


def test_two_processes_make_half_of_a_batch_each(folders):
    config = CONFIG.with_(views=(2, 2), max_images=8)
    plain = {"config": config, "zooms": (1.0, 1.0)}
    for step in range(3):
        shares = [source([folders], worker=(rank, 2), **plain).batch_for_step(step) for rank in (0, 1)]
        whole = source([folders], **plain).batch_for_step(step)
        assert [len(share) for share in shares] == [2, 2] and len(whole) == 4
        assert whole.images.shape[1:] == shares[0].images.shape[1:] == shares[1].images.shape[1:]
        assert not torch.equal(shares[0].images, shares[1].images)
    with pytest.raises(ValueError, match="4 scenes cannot be shared by 5 processes"):
        source([folders], config, worker=(0, 5))


def test_a_scene_that_breaks_in_a_worker_process_is_named(folders, tmp_path):
    shutil.copytree(folders / "tall", tmp_path / "broken")
    loader = StepLoader(source([tmp_path / "broken"]), 4, num_workers=2)
    for picture in (tmp_path / "broken" / "images").iterdir():
        picture.write_bytes(b"no picture")
    with pytest.raises(ValueError, match="broken cannot be trained on"):
        loader.batch_for_step(0)


def test_views_and_aspect_are_drawn_per_batch_and_pictures_stay_as_many(folders):
    batches = [source([folders]).batch_for_step(step) for step in range(24)]
    views = {batch.images.shape[1] for batch in batches}
    heights = {batch.images.shape[-2] for batch in batches}
    assert views == {2, 3, 4} and heights <= {16, 24, 32} and len(heights) > 1
    for batch in batches:
        scenes, count = batch.images.shape[:2]
        assert scenes == CONFIG.max_images // count
        assert batch.images.shape[-1] == 32
        assert batch.tracks.shape == (scenes, count, 6, 2)


def test_sides_are_those_of_the_released_training():
    def sides(aspect, size=518, patch_size=14):
        return image_sides(size, patch_size, (aspect, aspect), step_generator(0, 0), released=True)

    # 518 · 0.33 = 170.94 → 12 patches; 518 · 0.99 = 512.8 → 36, rounded down though 37 are nearer
    assert [sides(a) for a in (0.33, 0.99, 1.0, 2.0)] == [(168, 518), (504, 518), (518, 518), (518, 252)]
    assert sides(0.1, 32, 8) == (8, 32)  # never less than a patch
    drawn = [
        image_sides(1000, 1, (0.5, 1.0), step_generator(seed, 0), released=True)[0] for seed in range(400)
    ]
    assert all(height % 10 == 0 and 500 <= height <= 1000 for height in drawn)  # two decimals
    middle = sum(height < 700 for height in drawn) / 400  # of a uniform draw; 0.485 of a logarithmic one
    assert abs(middle - 0.395) < 0.05


def test_scenes_with_too_few_views_are_left_out_and_no_more_are_asked_for_than_there_are(folders):
    assert all(source([folders / "tall"]).batch_for_step(step).images.shape[1] <= 3 for step in range(6))
    only = source([folders], CONFIG.with_(views=(4, 4))).batch_for_step(0)
    assert only.images.shape[1] == 4  # all of them from the scene of six


def painted_wall() -> SceneBatch:
    """Four cameras side by side before a wall whose colours are its own coordinates; fx is not fy."""
    views, height, width, distance = 4, 48, 64, 4.0
    k = torch.tensor([[60.0, 0, 30], [0, 50.0, 25], [0, 0, 1]]).expand(views, 3, 3)
    cameras = torch.eye(3, 4).repeat(views, 1, 1)
    cameras[:, 0, 3] = -0.2 * torch.arange(views)
    depth = torch.full((views, height, width), distance)
    points = unproject_depth(depth, k, cameras)
    images = torch.stack([points[..., 0] / 8 + 0.5, points[..., 1] / 8 + 0.5, depth / 8], 1)
    scene = (images, depth, cameras, k, points, depth > 0)
    return SceneBatch(*(value[None] for value in scene))


@pytest.mark.parametrize("step", range(4))
def test_points_land_on_their_own_colours_after_the_cut(tmp_path, step):
    """What one view sees is what another view sees where the batch's cameras say: intrinsics follow."""
    write_scene(tmp_path / "wall", painted_wall())
    batch = source([tmp_path / "wall"]).batch_for_step(step)
    pixels, z = project_points(
        batch.point_map[:, :1].flatten(2, 3), batch.cam_from_world[:, 1:2], batch.intrinsics[:, 1:2]
    )
    height, width = batch.depth.shape[-2:]
    inside = ((pixels >= 0).all(-1) & (pixels < torch.tensor([width, height])).all(-1))[:, 0]
    column, row = torch.where(inside[..., None], pixels[:, 0], 0.0).long().unbind(-1)
    there = batch.images[:, 1].flatten(2).gather(2, (row * width + column)[:, None].expand(-1, 3, -1))
    off = (there - batch.images[:, 0].flatten(2)).abs().amax(1)[inside]
    per_pixel = batch.images.diff(dim=-1).abs().max()  # half a pixel of rounding each way, and 8 bits
    assert inside.float().mean() > 0.5 and off.max() < 0.75 * per_pixel + 2 / 255


def test_principal_points_stay_in_the_middle_and_zooms_lengthen_the_lens(folders):
    plain = source([folders / "wide"], zooms=(1.0, 1.0)).batch_for_step(2)
    zoomed = source([folders / "wide"], zooms=(0.8, 0.8)).batch_for_step(2)
    middle = torch.tensor([plain.images.shape[-1] / 2, plain.images.shape[-2] / 2])
    torch.testing.assert_close(zoomed.intrinsics[..., :2, 2], middle.expand_as(zoomed.intrinsics[..., :2, 2]))
    ratio = zoomed.intrinsics[..., 0, 0] / plain.intrinsics[..., 0, 0]
    torch.testing.assert_close(ratio, torch.full_like(ratio, 1.25))


def test_every_format_gives_batches_and_they_mix(all_formats):
    data = source(all_formats)
    assert {scene.format for scene in data.scenes} == {"nerfstudio", "CO3Dv2", "Virtual KITTI 2", "COLMAP"}
    for step in range(3):
        batch = data.batch_for_step(step)
        for name, value in vars(batch).items():
            assert torch.isfinite(value.float()).all(), name
        first = torch.eye(3, 4).expand(len(batch), 3, 4)
        torch.testing.assert_close(batch.cam_from_world[:, 0], first, atol=1e-5, rtol=0)
        distance = torch.where(batch.valid, batch.point_map.norm(dim=-1), 0).sum((1, 2, 3))
        torch.testing.assert_close(
            distance / batch.valid.sum((1, 2, 3)), torch.ones(len(batch)), rtol=1e-3, atol=0
        )


def test_points_of_a_sparse_model_are_depth_where_they_project_and_tracks(all_formats):
    views = open_scene(all_formats[-1])
    batch = to_batch(views, (32, 40))
    depth = depth_of_points(views, batch)[0]
    for view in range(len(views)):
        world = views.points.world[views.points.ids[view]].float()
        pixels, z = project_points(world, batch.cam_from_world[0, view], batch.intrinsics[0, view])
        inside = (pixels >= 0).all(-1) & (pixels < torch.tensor([40.0, 32])).all(-1)
        column, row = pixels[inside].long().unbind(-1)
        at = depth[view, row, column]
        assert (at > 0).all() and (at <= z[inside] * (1 + 1e-6)).all()  # the nearer of two stays
        assert (depth[view] > 0).sum() == len(
            {(c, r) for c, r in zip(column.tolist(), row.tolist(), strict=True)}
        )
    own = source(all_formats[-1:]).batch_for_step(0)
    assert own.track_visibility[:, 0].all()  # drawn among those that the reference sees
    inside = own.tracks[own.track_visibility]
    assert ((inside >= 0) & (inside <= 32)).all()


def test_a_scene_without_any_depth_in_the_reference_gives_no_nonsense(folders, tmp_path):
    """Views without depth are never the reference; invalid pixels stay invalid."""
    shutil.copytree(folders / "wide", tmp_path / "some")
    for number in range(1, 6):
        np.savez(tmp_path / "some" / "depths" / f"{number:03d}.npz", depth=np.zeros((40, 56), np.float32))
    batch = source([tmp_path / "some"]).batch_for_step(0)
    assert all(torch.isfinite(value.float()).all() for value in vars(batch).values())
    empty = ~batch.valid.flatten(2).any(-1)
    assert empty.any() and (batch.depth[empty] == 0).all()


def test_what_cannot_be_learned_from_is_refused(folders, tmp_path):
    shutil.copytree(folders / "wide", tmp_path / "flat")
    shutil.rmtree(tmp_path / "flat" / "depths")
    with pytest.raises(ValueError, match=r"flat has neither depth maps nor .*COLMAP"):
        source([tmp_path / "flat"])
    with pytest.raises(ValueError, match="30 is not a multiple of patch_size=8; .* 24 and 32"):
        SceneFolders([folders], CONFIG, 30, 8)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no scene"):
        source([tmp_path / "empty"])
    with pytest.raises(FileNotFoundError, match="nowhere"):
        source([tmp_path / "nowhere"])
    assert [path.name for path in find_scenes(folders)] == ["tall", "wide"]


def test_overlap_knows_neighbours_and_opposite_sides(folders):
    views = open_scene(folders / "wide")
    overlap = view_overlap(views, usual_depth(views))
    torch.testing.assert_close(overlap, overlap.T)
    assert (overlap.diagonal() == 1).all()
    assert overlap[0, 1] > overlap[0, 5] and overlap[0, 1] > 0.5
    turned = views.views[1].cam_from_world.clone()
    turned[[0, 2]] *= -1  # half a turn about its own vertical axis: it looks the other way
    two = replace(views, views=[views.views[0], replace(views.views[1], cam_from_world=turned)])
    assert view_overlap(two, usual_depth(views))[0, 1] == 0


def test_views_are_neighbours_at_first_and_later_any_that_overlap():
    overlap = (1 - 0.15 * (torch.arange(10)[:, None] - torch.arange(10)).abs()).clamp(min=0)  # a walk
    for seed in range(20):
        first, *others = near_views(overlap, [4], 3, 0.0, step_generator(seed, 0))
        assert first == 4 and sorted(others) == [3, 5]
    later = {tuple(near_views(overlap, [4], 3, 1.0, step_generator(seed, 0))[1:]) for seed in range(200)}
    assert {index for pair in later for index in pair} == {0, 1, 2, 3, 5, 6, 7, 8, 9} - {
        index for index in range(10) if overlap[4, index] < 0.2
    }
    assert near_views(torch.eye(3), [1], 3, 1.0, step_generator(0, 0))[0] == 1  # strangers if need be


def test_old_and_new_scenes_take_turns_by_their_shares():
    class Constant:
        def __init__(self, value):
            self.value = value

        def batch_for_step(self, step):
            return self.value, step

    mixed = MixtureSource([Constant("new"), Constant("old")], [3, 1], seed=5)
    drawn = [mixed.batch_for_step(step) for step in range(400)]
    assert drawn[17] == MixtureSource([Constant("new"), Constant("old")], [3, 1], seed=5).batch_for_step(17)
    assert 70 <= sum(kind == "old" for kind, _ in drawn) <= 130 and drawn[9][1] == 9
