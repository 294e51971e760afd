"""Chunks are joined exactly where they are exact, loops take drift away, and nothing stale is continued."""

from dataclasses import replace
from functools import cached_property

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import nn

from vggt_lite.config import NANO
from vggt_lite.geometry import (
    Similarity,
    camera_center,
    compose,
    invert_rigid,
    rotation_angle,
    unproject_depth,
)
from vggt_lite.inference import Reconstruction, reconstruct_sequence
from vggt_lite.inference.chunks import Chunk
from vggt_lite.inference.joins import join, moved_camera, weighted_median
from vggt_lite.inference.loops import find_loops, view_similarity, view_tokens
from vggt_lite.inference.pose_graph import identity
from vggt_lite.inference.sequences import around, chunk_views
from vggt_lite.metrics.trajectories import trajectory_metrics
from vggt_lite.synthetic.cameras import look_at

SIDE = 16


class Walk(nn.Module):
    """Stands in for the network: the truth of a walk round the origin, each chunk in its own world and unit.

    A picture is of one colour, which tells the direction and the view. `noise` disturbs cameras and depth;
    `bend` turns and stretches what comes later in a chunk, which is how a real model drifts.
    """

    def __init__(self, count: int, noise: float = 0.0, bend: float = 0.0) -> None:
        super().__init__()
        self.config, self.noise, self.bend = NANO.with_(image_size=SIDE, patch_size=8), noise, bend
        self.weight = nn.Parameter(torch.zeros(3))
        self.calls: list[list[int]] = []
        angle = 2 * np.pi * torch.arange(count) / count
        radius = 2 + 0.2 * torch.sin(3 * angle)
        position = torch.stack([radius * angle.cos(), radius * angle.sin(), 1 + 0.1 * (2 * angle).sin()], -1)
        target = torch.stack([0.3 * angle.sin(), 0.2 * angle.cos(), torch.full((count,), 0.5)], -1)
        self.truth = look_at(position, target, torch.zeros(count)).double()
        self.angle = angle

    @cached_property
    def pictures(self) -> list[np.ndarray]:
        """Red and green tell the direction, blue the view."""
        angles = enumerate(self.angle.tolist())
        shades = [(128 + 100 * np.cos(a), 128 + 100 * np.sin(a), view) for view, a in angles]
        return [np.tile(np.array(shade, np.uint8), (SIDE, SIDE, 1)) for shade in shades]

    @property
    def aggregator(self):
        return self

    matrix_dtype = torch.float32

    def embed(self, images):
        """One token for each patch: the direction."""
        patches = nn.functional.avg_pool2d(images.flatten(0, 1), 8).flatten(2).mT  # (S, P, 3)
        return torch.cat([torch.zeros_like(patches[:, :1]), patches * torch.tensor([1.0, 1.0, 0.0])], dim=1)

    def reconstruct(self, photos, **options) -> Reconstruction:
        views = [int(np.asarray(photo.open())[0, 0, 2]) for photo in photos]
        self.calls.append(views)
        rng = np.random.default_rng(views)
        cameras = self.truth[views]
        for place in range(1, len(views)):  # the same small turn and stretch from each view to the next
            turn = torch.from_numpy(Rotation.from_rotvec([0, self.bend * place, 0]).as_matrix())
            moved = compose(cameras[place], invert_rigid(cameras[0]))
            moved = torch.cat([turn @ moved[:, :3], (1 + self.bend * place) * moved[:, 3:]], dim=1)
            cameras[place] = compose(moved, cameras[0])
        wobble = Rotation.from_rotvec(self.noise * rng.standard_normal((len(views), 3))).as_matrix()
        cameras[:, :, :3] = torch.from_numpy(wobble) @ cameras[:, :, :3]
        cameras[:, :, 3] += self.noise * torch.from_numpy(rng.standard_normal((len(views), 3)))
        own = Similarity(
            torch.tensor(rng.uniform(0.3, 3.0)),
            torch.from_numpy(Rotation.random(random_state=rng).as_matrix()),
            torch.from_numpy(rng.standard_normal(3)),
        )  # fmt: skip
        depth = torch.stack([self.depth(view) for view in views])
        depth = depth * own.scale * (1 + self.noise * torch.from_numpy(rng.standard_normal(depth.shape)))
        count = len(views)
        scene = Reconstruction.from_batch(_batch(count))
        k = torch.tensor([[20.0, 0, SIDE / 2], [0, 20.0, SIDE / 2], [0, 0, 1]]).repeat(count, 1, 1)
        return replace(
            scene, cam_from_world=moved_camera(own, cameras).float(), intrinsics=k, depth=depth.float(),
            depth_conf=torch.ones(count, SIDE, SIDE),
        )  # fmt: skip

    def depth(self, view: int) -> torch.Tensor:
        """Any depth will do, if it is the view's own."""
        return 1 + torch.rand(SIDE, SIDE, generator=torch.Generator().manual_seed(view))


def _batch(count: int):
    from vggt_lite.losses.scene_batch import SceneBatch

    k, depth = torch.eye(3).repeat(1, count, 1, 1), torch.ones(1, count, SIDE, SIDE)
    cameras = torch.eye(3, 4).repeat(1, count, 1, 1)
    return SceneBatch(
        torch.zeros(1, count, 3, SIDE, SIDE),
        depth,
        cameras,
        k,
        torch.zeros(1, count, SIDE, SIDE, 3),
        depth > 0,
    )


def ate(model: Walk, scene: Reconstruction) -> float:
    """Per cent of the path's length."""
    centers = camera_center(model.truth)
    length = (centers[1:] - centers[:-1]).norm(dim=-1).sum()
    return 100 * trajectory_metrics(scene.cam_from_world.double(), model.truth)["ate_rmse"] / length.item()


def test_exact_chunks_are_joined_exactly():
    model = Walk(30)
    scene, report = reconstruct_sequence(model, model.pictures, loops=False)
    assert report.chunks == tuple(chunk_views(30, 8, 3)) and model.calls == [list(c) for c in report.chunks]
    true = compose(model.truth, invert_rigid(model.truth[0]))
    assert rotation_angle(scene.cam_from_world[:, :, :3].double(), true[:, :, :3]).max() < 1e-4  # float32
    assert ate(model, scene) < 1e-3
    assert torch.equal(scene.cam_from_world[0], torch.eye(3, 4)) and len(scene) == 30
    # depth has the unit of the cameras, in every chunk
    unit = scene.depth[0].median() / model.depth(0).median()
    for view in range(30):
        assert torch.allclose(scene.depth[view], unit * model.depth(view), rtol=1e-4)
    steps = (camera_center(scene.cam_from_world)[1:] - camera_center(scene.cam_from_world)[:-1]).norm(dim=-1)
    true_steps = (camera_center(model.truth)[1:] - camera_center(model.truth)[:-1]).norm(dim=-1).float()
    assert torch.allclose(steps, unit * true_steps, rtol=1e-3)


def test_noise_is_averaged_and_an_outlier_among_the_shared_views_does_not_count():
    model = Walk(30, noise=0.002)
    scene, report = reconstruct_sequence(model, model.pictures, loops=False)
    assert ate(model, scene) < 0.5  # 0.2 % of noise
    assert all(0 < found.rotation_deg < 1 and found.translation < 0.02 for found in report.joins)
    exact = Walk(20)
    views = chunk_views(20, 8, 4)[:2]
    first, second = (Chunk.of(v, exact.reconstruct(_photos(exact, v))) for v in views)
    expected = join([first, second], 0, 1)
    bad = second.cam_from_world.clone()
    bad[1] = compose(torch.cat([torch.from_numpy(Rotation.from_rotvec([0.5, 0, 0]).as_matrix()).float(),
                                torch.ones(3, 1)], dim=1), bad[1])  # fmt: skip
    depth = second.depth.clone()
    depth[1] *= 3
    found = join([first, replace(second, cam_from_world=bad, depth=depth)], 0, 1)
    turned = rotation_angle(found.first_from_second.rotation, expected.first_from_second.rotation)
    assert turned.rad2deg() < 0.1  # one of four cameras is 29° off
    assert found.first_from_second.scale == pytest.approx(expected.first_from_second.scale.item(), rel=1e-3)
    moved = found.first_from_second.translation - expected.first_from_second.translation
    assert moved.norm() < 0.02 * first.depth.median()


def _photos(model: Walk, views):
    from vggt_lite.data.pictures import find_photos

    return find_photos([model.pictures[view] for view in views])


def test_refined_points_tell_the_scale_rather_than_depth_maps():
    model = Walk(20)
    views = chunk_views(20, 8, 3)[:2]
    chunks = [Chunk.of(v, model.reconstruct(_photos(model, v))) for v in views]
    expected = join(chunks, 0, 1)
    assert not expected.by_points
    pixel = 16 * torch.rand(20, 2, generator=torch.Generator().manual_seed(0))
    with_points = []
    for chunk, factor in zip(chunks, (2.0, 5.0), strict=True):  # not the ratio of the depth maps
        place = torch.tensor([i for i, view in enumerate(chunk.views) if view == 6]).repeat(20)
        z = factor * torch.ones(20)
        with_points.append(
            replace(chunk, point_view=place, point=torch.arange(20), point_pixel=pixel, point_depth=z)
        )
    found = join(with_points, 0, 1)
    assert found.by_points and found.first_from_second.scale.item() == pytest.approx(0.4)
    few = [
        replace(c, point_pixel=c.point_pixel + 100 * k) for k, c in enumerate(with_points)
    ]  # no common pixel
    assert not join(few, 0, 1).by_points


def test_a_loop_takes_drift_away():
    model = Walk(60, bend=0.008)
    open_scene, _ = reconstruct_sequence(model, model.pictures, loops=False)
    scene, report = reconstruct_sequence(model, model.pictures)
    assert [loop.views for loop in report.loops if not loop.refused] == [(0, 59)]
    assert ate(model, open_scene) > 1 and ate(model, scene) < 0.5 * ate(model, open_scene)
    assert "1 loops closed" in str(report) and "views 1 and 60 look alike" in str(report)


def test_exact_chunks_stay_exact_with_a_loop():
    model = Walk(40)
    scene, report = reconstruct_sequence(model, model.pictures)
    assert report.loops and ate(model, scene) < 1e-3


def test_a_loop_whose_answer_contradicts_the_chunks_is_not_closed():
    class Wrong(Walk):
        def reconstruct(self, photos, **options):
            scene = super().reconstruct(photos, **options)
            if max(self.calls[-1]) - min(self.calls[-1]) > 20:  # of both places
                scene.cam_from_world[::2] = scene.cam_from_world[::2].flip(0)
            return scene

    model = Wrong(60)
    scene, report = reconstruct_sequence(model, model.pictures)
    assert report.loops and all(loop.refused for loop in report.loops) and ate(model, scene) < 1e-3


def test_what_is_finished_is_found_again(tmp_path):
    model, folder = Walk(30), tmp_path / "parts"
    first, _ = reconstruct_sequence(model, model.pictures, folder=folder)
    made = len(model.calls)
    again, _ = reconstruct_sequence(model, model.pictures, folder=folder)
    assert len(model.calls) == made and torch.equal(first.cam_from_world, again.cam_from_world)
    assert torch.equal(first.depth, again.depth)
    (folder / "views_0005-0012.safetensors").unlink()
    reconstruct_sequence(model, model.pictures, folder=folder)
    assert model.calls[made:] == [list(range(5, 13))]


def test_an_interrupted_run_goes_on(tmp_path):
    class Stops(Walk):
        def reconstruct(self, photos, **options):
            if len(self.calls) == 3:
                raise KeyboardInterrupt
            return super().reconstruct(photos, **options)

    with pytest.raises(KeyboardInterrupt):
        model = Stops(30)
        reconstruct_sequence(model, model.pictures, folder=tmp_path / "parts", loops=False)
    rest = Stops(30)
    rest.calls = [[]] * 4
    reconstruct_sequence(rest, rest.pictures, folder=tmp_path / "parts", loops=False)
    assert [calls[0] for calls in rest.calls[4:]] == [15, 20, 22]


def test_chunks_of_something_else_are_refused(tmp_path):
    model, folder = Walk(20), tmp_path / "parts"
    reconstruct_sequence(model, model.pictures, folder=folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    other = [*model.pictures[:-1], model.pictures[-1] + np.uint8(1)]
    with pytest.raises(FileExistsError, match="parts holds chunks of another run.*pictures was"):
        reconstruct_sequence(model, other, folder=folder)
    with pytest.raises(FileExistsError, match="chunk was 8, now 9"):
        reconstruct_sequence(model, model.pictures, chunk=9, folder=folder)
    with pytest.raises(FileExistsError, match="refine was False, now each"):
        reconstruct_sequence(model, model.pictures, refine=True, folder=folder)
    with torch.no_grad():
        model.weight += 1
    with pytest.raises(FileExistsError, match="weights was"):
        reconstruct_sequence(model, model.pictures, folder=folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").touch()
    with pytest.raises(FileExistsError, match="thesis holds other files"):
        reconstruct_sequence(model, model.pictures, folder=tmp_path / "thesis")


def test_a_damaged_chunk_is_named(tmp_path):
    model, folder = Walk(20), tmp_path / "parts"
    reconstruct_sequence(model, model.pictures, folder=folder)
    path = folder / "views_0005-0012.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"views_0005-0012\.safetensors is damaged .*delete it"):
        reconstruct_sequence(model, model.pictures, folder=folder)


def test_bad_calls_say_what_to_do():
    model = Walk(20)
    for chunk, overlap in ((8, 8), (8, 1), (2, 2)):
        with pytest.raises(ValueError, match=f"chunk={chunk}, overlap={overlap}"):
            reconstruct_sequence(model, model.pictures, chunk, overlap)
    with pytest.raises(ValueError, match="lens.*'both'"):
        reconstruct_sequence(model, model.pictures, lens="both")
    low = [picture[:8] for picture in model.pictures]  # the stand-in answers with squares
    with pytest.raises(ValueError, match=r'in 16×16 pixels, others in 16×8: .*mode="pad"'):
        reconstruct_sequence(model, low)


def test_few_pictures_are_one_chunk():
    model = Walk(5)
    scene, report = reconstruct_sequence(model, model.pictures)
    assert report.chunks == ((0, 1, 2, 3, 4),) and not report.joins and len(scene) == 5


def test_chunks_cover_every_view_and_overlap():
    for count in (1, 2, 8, 9, 13, 14, 60):
        spans = chunk_views(count, 8, 3)
        assert sorted({view for span in spans for view in span}) == list(range(count))
        assert all(len(set(a) & set(b)) >= 3 for a, b in zip(spans, spans[1:], strict=False))
        assert {len(span) for span in spans} == {min(8, count)}
    assert [*around(0, 4, 20)] == [0, 1, 2, 3] and [*around(19, 4, 20)] == [16, 17, 18, 19]
    assert [*around(10, 4, 20)] == [8, 9, 10, 11]


def test_loops_are_found_where_views_look_alike():
    model = Walk(40)
    images = torch.stack([torch.from_numpy(p).permute(2, 0, 1) / 255 for p in model.pictures])
    similarity = view_similarity(view_tokens(model, images))
    assert torch.allclose(similarity, similarity.T) and similarity.diagonal().min() > 0.999
    assert [pair[:2] for pair in find_loops(similarity, 16, 3)] == [(0, 39)]
    assert find_loops(similarity[:10, :10], 16, 3) == []


def test_small_parts():
    assert weighted_median(torch.tensor([1.0, 2.0, 10.0]), torch.tensor([1.0, 1.0, 5.0])) == 10
    rotation = torch.from_numpy(Rotation.from_rotvec([0.1, 0.2, 0.3]).as_matrix())
    both = Similarity(torch.tensor(2.0).double(), rotation, torch.tensor([1.0, 2.0, 3.0]).double())
    points = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)).double()
    other = Similarity(torch.tensor(0.5).double(), rotation.T, torch.tensor([0.0, 1.0, 0.0]).double())
    assert torch.allclose(both.compose(other).apply(points), both.apply(other.apply(points)))
    nothing = both.compose(both.inverse())
    assert torch.allclose(nothing.apply(points), points) and torch.allclose(identity().apply(points), points)
    # a camera that was moved sees every moved point where it saw the point
    camera = look_at(torch.tensor([1.0, 2, 3]), torch.zeros(3), torch.tensor(0.3)).double()
    depth, k = torch.full((1, 4, 4), 2.0).double(), torch.eye(3).double()[None]
    world = unproject_depth(depth, k, camera[None])
    again = unproject_depth(both.scale * depth, k, moved_camera(both, camera[None]))
    assert torch.allclose(both.apply(world), again)
