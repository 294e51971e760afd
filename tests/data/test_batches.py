"""Scenes rendered ahead come back as they were, and a batch depends on its step alone."""

import time

import pytest
import torch

from vggt_lite.config import SceneConfig, TrainConfig
from vggt_lite.data import batches
from vggt_lite.data.augment import augment_colors
from vggt_lite.data.batches import GeneratedScenes, RenderedScenes, StepLoader, choose_views, step_generator
from vggt_lite.data.tracks_from_depth import tracks_from_depth, visible_by_depth
from vggt_lite.geometry import project_points
from vggt_lite.synthetic import generate_scenes, textures
from vggt_lite.synthetic.prerender import ShardReader, render_ahead, render_meanwhile
from vggt_lite.training.identity import described

CONFIG = TrainConfig(steps=100, max_images=12, num_tracks=8, augment=0.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return render_ahead(tmp_path_factory.mktemp("scenes"), SceneConfig(), 10, 5, 32, shard_scenes=4)


def assert_same(a, b):
    for name, value in vars(a).items():
        assert torch.equal(value, getattr(b, name)), name


def test_scenes_come_back_as_they_were_rendered(folder):
    images, depth, cameras, intrinsics = ShardReader(folder).read(
        torch.tensor([9, 2]), torch.tensor([[4, 0], [1, 2]])
    )
    for row, (seed, views) in enumerate(((9, [4, 0]), (2, [1, 2]))):
        truth = generate_scenes(seed, 1, 5, 32, 32).views(views)
        assert (images[row].float() / 255 - truth.images[0]).abs().max() <= 0.5 / 255 + 1e-6
        torch.testing.assert_close(depth[row], truth.depth[0], rtol=5e-4, atol=0)
        torch.testing.assert_close(cameras[row], truth.cam_from_world[0])
        torch.testing.assert_close(intrinsics[row], truth.intrinsics[0])


def test_rendering_resumes_and_two_workers_make_the_same_files(folder, tmp_path):
    for worker in (1, 0):
        with pytest.raises(FileNotFoundError, match="rendering has not finished|no index"):
            ShardReader(tmp_path)
        render_ahead(tmp_path, SceneConfig(), 10, 5, 32, shard_scenes=4, worker=(worker, 2))
    (tmp_path / "scenes_00001.safetensors").unlink()
    render_ahead(tmp_path, SceneConfig(), 10, 5, 32, shard_scenes=4)
    for path in folder.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name
    assert len(list(tmp_path.iterdir())) == 4


def test_what_must_not_be_trained_on_is_refused(folder, tmp_path):
    with pytest.raises(ValueError, match="are for evaluation"):
        render_ahead(tmp_path, SceneConfig(), 10, first_seed=999_995)
    with pytest.raises(ValueError, match="moving_objects=0"):
        render_ahead(tmp_path, SceneConfig(moving_objects=1), 10)
    with pytest.raises(ValueError, match="holds other scenes: num_views was 5, now 6"):
        render_ahead(folder, SceneConfig(), 10, 6, 32, shard_scenes=4)


def test_scenes_of_another_generator_are_refused(tmp_path, monkeypatch):
    def render():
        return render_ahead(tmp_path, SceneConfig(), 1, 2, 16)

    render()
    shard = (tmp_path / "scenes_00000.safetensors").read_bytes()
    real = textures.bricks
    monkeypatch.setattr(textures, "bricks", lambda seed: real(seed + 1))
    with pytest.raises(ValueError, match=r"holds other scenes: generator was \w{12}, now \w{12}"):
        render()
    monkeypatch.undo()
    render()
    assert (tmp_path / "scenes_00000.safetensors").read_bytes() == shard


def test_a_batch_depends_on_seed_and_step_alone(folder):
    first, again = RenderedScenes(folder, CONFIG), RenderedScenes(folder, CONFIG)
    wanted = first.batch_for_step(7)
    for step in (3, 9):
        again.batch_for_step(step)
    torch.rand(5)
    assert_same(again.batch_for_step(7), wanted)
    other = RenderedScenes(folder, CONFIG.with_(seed=1)).batch_for_step(7)
    assert other.images.shape != wanted.images.shape or not torch.equal(other.images, wanted.images)


def test_other_aspects_are_cut_from_the_middle_and_the_cameras_know_it(folder):
    source = RenderedScenes(folder, CONFIG.with_(aspects=(0.5, 2.0)), patch_size=4)
    shapes = set()
    for step in range(8):
        batch = source.batch_for_step(step)
        height, width = batch.images.shape[-2:]
        shapes.add((height < 32, width < 32))
        assert max(height, width) == 32 and height % 4 == width % 4 == 0
        centre = torch.tensor([width / 2, height / 2]).expand_as(batch.intrinsics[..., :2, 2])
        assert torch.equal(batch.intrinsics[..., :2, 2], centre)
        pixels, _ = project_points(
            batch.point_map[:, 0].flatten(1, 2), batch.cam_from_world[:, 0], batch.intrinsics[:, 0]
        )
        assert (pixels[:, 0] - 0.5).abs().max() < 1e-2  # the first pixel's point is seen in its middle
    assert shapes >= {(True, False), (False, True)}


def test_a_window_moves_from_the_first_scenes_to_the_last(folder, monkeypatch):
    source, asked = RenderedScenes(folder, CONFIG, window=4), []
    read = source.reader.read
    monkeypatch.setattr(
        source.reader, "read", lambda scenes, views: asked.append(scenes) or read(scenes, views)
    )
    for step in range(CONFIG.steps):
        source.batch_for_step(step)
    for step, scenes in enumerate(asked):
        first = 6 * step // CONFIG.steps
        assert first <= scenes.min() and scenes.max() < first + 4
    assert {int(scene) for scenes in asked for scene in scenes} == set(range(9))
    assert "window" in source.description() and "window" not in RenderedScenes(folder, CONFIG).description()
    with pytest.raises(ValueError, match="window=11 must be 0 to 10"):
        RenderedScenes(folder, CONFIG, window=11)


def test_scenes_are_read_while_others_are_rendered_and_are_the_same(folder, tmp_path):
    rendering = render_meanwhile(tmp_path / "new", SceneConfig(), 10, 5, 32, shard_scenes=4)
    source = RenderedScenes(tmp_path / "new", CONFIG, rendering=rendering)
    for step in (0, 1):
        assert_same(source.batch_for_step(step), RenderedScenes(folder, CONFIG).batch_for_step(step))
    rendering.join(60)
    assert rendering.exitcode == 0


def test_rendering_that_failed_is_not_waited_for(tmp_path):
    with pytest.raises(ValueError, match="moving_objects=0"):
        render_meanwhile(tmp_path / "new", SceneConfig(moving_objects=1), 4, 5, 32)
    rendering = render_meanwhile(tmp_path / "new", SceneConfig(), 10, 5, 32, shard_scenes=4)
    rendering.kill()
    rendering.join()
    with pytest.raises(RuntimeError, match="safetensors is missing: rendering ended early"):
        RenderedScenes(tmp_path / "new", CONFIG, rendering=rendering).batch_for_step(0)


def test_a_folder_of_other_scenes_is_not_read_meanwhile(folder):
    with pytest.raises(ValueError, match="holds other scenes: num_views was 5, now 6"):
        render_meanwhile(folder, SceneConfig(), 10, 6, 32, shard_scenes=4)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_loaded_ahead_are_those_of_the_source_from_any_step(folder, num_workers):
    source = RenderedScenes(folder, CONFIG.with_(augment=1.0))
    loader = StepLoader(source, 9, num_workers)
    before = torch.get_rng_state()
    for step in (0, 1, 2, 6, 7, 8):  # a run that goes on at step 6, up to its end
        assert_same(loader.batch_for_step(step), source.batch_for_step(step))
    assert torch.equal(torch.get_rng_state(), before)  # what dropout draws from
    assert described(loader) == described(source)


@pytest.mark.parametrize("rendered", [True, False])
def test_the_shares_of_three_processes_are_the_scenes_of_one(folder, rendered):
    config = CONFIG.with_(views=(2, 3), max_images=20)  # 10 or 6 scenes; of 10 the last is nobody's
    kind = {"folder": folder} if rendered else {"scene_config": SceneConfig(), "size": 32, "path_views": 4}

    def source(**worker):
        if rendered:
            return RenderedScenes(config=config, **kind, **worker)
        return GeneratedScenes(config, **kind, **worker)

    for step in range(3):
        whole = source().batch_for_step(step)
        shares = [source(worker=(rank, 3)).batch_for_step(step) for rank in range(3)]
        assert {len(share) for share in shares} == {len(whole) // 3}
        for name in ("images", "depth", "cam_from_world", "intrinsics", "point_map"):
            together = torch.cat([getattr(share, name) for share in shares])
            torch.testing.assert_close(together, getattr(whole, name)[: len(together)], rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="6 scenes cannot be shared by 7 processes: start at most 6"):
        source(worker=(0, 7))


@pytest.mark.parametrize("rendered", [True, False])
def test_processes_draw_colours_of_their_own(folder, rendered, monkeypatch):
    config, drawn = CONFIG.with_(views=(2, 2), max_images=4, augment=1.0), []

    def colours(images, generator, strength):
        drawn.append(torch.rand(3, generator=generator))
        return images

    monkeypatch.setattr(batches, "augment_colors", colours)
    for rank in (0, 1, 0):
        source = (
            RenderedScenes(folder, config, (rank, 2))
            if rendered
            else GeneratedScenes(config, SceneConfig(), 32, 4, worker=(rank, 2))
        )
        source.batch_for_step(0)
    assert torch.equal(drawn[0], drawn[2]) and not torch.equal(drawn[0], drawn[1])


@pytest.mark.parametrize("rendered", [True, False])
def test_a_batch_is_a_consistent_normalised_scene(folder, rendered):
    config = CONFIG.with_(views=(3, 3), curriculum=0.0)
    source = RenderedScenes(folder, config) if rendered else GeneratedScenes(config, SceneConfig(), 32, 5)
    batch = source.batch_for_step(0)
    assert batch.images.shape == (4, 3, 3, 32, 32)
    torch.testing.assert_close(batch.cam_from_world[:, 0], torch.eye(3, 4).repeat(4, 1, 1))
    distances = batch.point_map.norm(dim=-1).mean((1, 2, 3))
    torch.testing.assert_close(distances, torch.ones(4), atol=1e-3, rtol=0)
    # In its own camera each point lies at the centre of its pixel, at its depth.
    pixels, z = project_points(batch.point_map.flatten(2, 3), batch.cam_from_world, batch.intrinsics)
    torch.testing.assert_close(z, batch.depth.flatten(2), atol=1e-4, rtol=1e-4)
    x = pixels.unflatten(2, (32, 32))[..., 0]
    torch.testing.assert_close(x, (torch.arange(32) + 0.5).expand_as(x), atol=1e-2, rtol=0)


def test_tracks_follow_the_renderers_own_truth():
    """Points that the ray caster says are seen, are found again by depth alone, and the reverse."""
    truth = generate_scenes(20, 8, 4, 64, 64, num_tracks=64)
    visible = []
    for b in range(8):
        scene = truth.scene(b)
        points = lift(scene)
        pixels, z = project_points(points[:, None], scene.cam_from_world, scene.intrinsics)
        visible.append(visible_by_depth(pixels, z, scene.depth))
    agreement = (torch.cat(visible) == truth.track_visibility).float().mean()
    assert agreement > 0.95


def lift(scene):
    """World points (1, N, 3) of a scene's tracks, from the depth of the pixel each one starts in."""
    column, row = scene.tracks[0, 0].long().unbind(-1)
    return scene.point_map[:, 0, row, column]


def test_drawn_tracks_start_at_pixel_centres_and_are_partly_hidden():
    scene = generate_scenes(30, 8, 3, 48, 48)
    tracks, visibility = tracks_from_depth(
        scene.depth, scene.point_map, scene.cam_from_world, scene.intrinsics, 32, step_generator(0, 0)
    )
    assert tracks.shape == (8, 3, 32, 2) and visibility.shape == (8, 3, 32)
    assert torch.equal(tracks[:, 0] % 1, torch.full_like(tracks[:, 0], 0.5))
    assert visibility[:, 0].all()
    assert 0.5 < visibility[:, 1].float().mean() < 1.0
    inside = ((tracks >= 0) & (tracks < 48)).all(-1)
    assert not (visibility & ~inside).any()


def test_pixels_without_depth_are_never_visible():
    scene = generate_scenes(30, 1, 2, 32, 32)
    depth = scene.depth.clone()
    depth[:, 0, :, 16:] = 0
    tracks, visibility = tracks_from_depth(
        depth, scene.point_map, scene.cam_from_world, scene.intrinsics, 64, step_generator(0, 0)
    )
    assert not visibility[:, :, tracks[0, 0, :, 0] > 16].any()


def test_the_curriculum_widens_from_neighbours_to_the_whole_path():
    def spread(progress):
        views = choose_views(2000, 3, 8, progress, step_generator(0, 1))
        assert all(len(set(row)) == 3 for row in views.tolist())
        return (views.max(1).values - views.min(1).values).max().item(), set(views[:, 0].tolist())

    assert spread(0.0) == (2, set(range(8)))  # neighbours, and any view may be the reference
    assert spread(0.5)[0] in (4, 5)
    assert spread(1.0) == spread(3.0) == (7, set(range(8)))
    with pytest.raises(ValueError, match="scenes have 8 views, 9 were asked for"):
        choose_views(1, 9, 8, 1.0, step_generator(0, 0))


def test_colour_changes_are_real_bounded_and_shared_by_the_views_of_a_scene():
    images = torch.full((2, 2, 3, 16, 16), 0.5)
    images[..., 8:] = 0.3
    changed = augment_colors(images, step_generator(0, 0))
    assert 0 <= changed.min() and changed.max() <= 1
    means = changed.mean((-1, -2))  # (B, S, 3)
    assert (means[0, 0] - means[1, 0]).abs().max() > (means[0, 0] - means[0, 1]).abs().max()
    torch.testing.assert_close(augment_colors(images, step_generator(0, 0), strength=0.0), images)


def test_loading_costs_little(folder):
    """48 images of 32 × 32 in far less time than a training step on them (about 0.3 s)."""
    source = RenderedScenes(folder, TrainConfig(max_images=48))
    source.batch_for_step(0)
    started = time.perf_counter()
    for step in range(10):
        source.batch_for_step(step)
    assert (time.perf_counter() - started) / 10 < 0.1


def test_each_batch_has_one_aspect_and_sides_of_whole_patches():
    config = CONFIG.with_(aspects=(0.5, 2.0), views=(2, 2), max_images=2, loss_weights={"depth": 1.0})
    source = GeneratedScenes(config, SceneConfig(), 32, 3, patch_size=8)
    shapes = [tuple(source.batch_for_step(step).images.shape[-2:]) for step in range(12)]
    assert all(max(s) == 32 and min(s) % 8 == 0 and min(s) >= 16 for s in shapes)
    assert any(h > w for h, w in shapes) and any(h < w for h, w in shapes)


def test_tracks_of_generated_scenes_follow_what_moves():
    """A point on the object that flies past does not lie where the room would have carried it."""
    config = CONFIG.with_(views=(2, 2), max_images=24, num_tracks=200)
    still, moving = (
        GeneratedScenes(config, SceneConfig(moving_objects=n), 32, 5).batch_for_step(0) for n in (0, 6)
    )
    off = []
    for batch in (still, moving):
        points = torch.cat([lift(batch.scene(b)) for b in range(len(batch))])
        pixels, _ = project_points(points[:, None], batch.cam_from_world, batch.intrinsics)
        error = (pixels - batch.tracks)[:, 1].norm(dim=-1)
        off.append((error[batch.track_visibility[:, 1]] > 3).float().mean())
    assert off[0] < 0.03 and off[1] > 2 * off[0]
