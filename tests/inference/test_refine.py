"""Refinement makes disturbed cameras precise, and says why where it cannot."""

import sys
from dataclasses import replace

import pytest
import torch
from PIL import Image

from vggt_lite import VGGT
from vggt_lite.config import VARIED_SCENES, SceneConfig
from vggt_lite.data.triangulation import triangulate
from vggt_lite.geometry import project_points, rotation_angle, transform_points, unproject_depth
from vggt_lite.geometry.bundle_adjustment import nudge
from vggt_lite.inference import Reconstruction
from vggt_lite.inference.correspondences import find_tracks, join
from vggt_lite.metrics.poses import relative_pose_errors
from vggt_lite.synthetic import generate_scenes
from vggt_lite.synthetic.cameras import look_at, square_pixel_intrinsics
from vggt_lite.synthetic.render import render


@pytest.fixture(scope="module")
def truth() -> Reconstruction:
    batch = generate_scenes(1_000_008, 1, 4, 256, 256, num_tracks=120, config=SceneConfig(texture="varied"))
    return Reconstruction.from_batch(batch)


def disturbed(scene: Reconstruction, lens: float = 1.06, seed: int = 3) -> Reconstruction:
    """Cameras some degrees off, focal lengths 6 % too long; depth of view 2 is 10 % too large."""
    noise = 0.04 * torch.randn(len(scene), 6, generator=torch.Generator().manual_seed(seed))
    noise[0] = 0
    intrinsics, depth = scene.intrinsics.clone(), scene.depth.clone()
    intrinsics[:, [0, 1], [0, 1]] *= lens
    depth[2] *= 1.1
    return replace(
        scene, cam_from_world=nudge(scene.cam_from_world, noise), intrinsics=intrinsics, depth=depth
    )


@pytest.fixture(scope="module")
def refined(truth) -> Reconstruction:
    return disturbed(truth).refine()


def test_cameras_and_lenses_become_precise(truth, refined):
    before = relative_pose_errors(disturbed(truth).cam_from_world, truth.cam_from_world)
    after = relative_pose_errors(refined.cam_from_world, truth.cam_from_world)
    assert before[0].median() > 2 and after[0].median() < 0.2
    assert before[1].median() > 2 and after[1].median() < 0.4
    focal = refined.intrinsics[:, 0, 0] / truth.intrinsics[:, 0, 0]
    assert (focal - 1).abs().median() < 0.01  # of 0.06


def test_the_end_does_not_depend_on_the_beginning(truth, refined):
    """The last adjustment stops where nothing more is to be gained, not on the way through a flat valley."""
    other = disturbed(truth, seed=5).refine()
    assert relative_pose_errors(other.cam_from_world, refined.cam_from_world)[1].max() < 0.05
    assert torch.allclose(other.intrinsics[:, 0, 0], refined.intrinsics[:, 0, 0], rtol=0.001)


def test_the_report_says_what_was_done(refined):
    report = refined.refinement
    assert report.refined and not report.reason and report.lens == "each"
    assert report.error_after < 0.5 < report.error_before and report.seconds > 0
    assert report.tracks.shape[:2] == report.inliers.shape == (4, len(report.points))
    assert set(report.matches) <= {(i, j) for i in range(4) for j in range(i + 1, 4)}
    seen = report.inliers.any(0)
    assert report.points[seen].isfinite().all() and report.points[~seen].isnan().all()
    assert "reprojection error" in str(report)


def test_the_unit_stays_and_depth_comes_to_the_cameras(truth, refined):
    assert torch.equal(refined.cam_from_world[0], torch.eye(3, 4))
    assert (refined.depth[0] / truth.depth[0]).median() == pytest.approx(1, abs=0.06)
    z = transform_points(refined.cam_from_world, refined.refinement.points)[..., 2]
    assert z[refined.refinement.inliers].min() > 0
    error = (refined.depth / refined.depth[:1].median() - truth.depth / truth.depth[:1].median()).abs()
    worse = (disturbed(truth).depth / truth.depth[:1].median() - truth.depth / truth.depth[:1].median()).abs()
    assert error[2].median() < worse[2].median()


def test_the_point_map_moves_with_its_cameras(truth):
    scene = disturbed(truth)
    scene.point_map = unproject_depth(scene.depth, scene.network_intrinsics, scene.cam_from_world)
    moved = replace(scene, intrinsics=truth.intrinsics).refine(lens="kept")
    again = unproject_depth(moved.depth, moved.network_intrinsics, moved.cam_from_world)
    assert (moved.point_map[..., 2] - again[..., 2]).abs().median() < 0.05


def test_the_same_photographs_give_the_same_numbers(truth, refined):
    again = disturbed(truth).refine()
    assert torch.equal(again.cam_from_world, refined.cam_from_world)
    assert torch.equal(again.intrinsics, refined.intrinsics)


def test_one_lens_for_all_views_and_lenses_that_stay(truth):
    start = disturbed(truth)
    start.intrinsics[:, [0, 1], [0, 1]] *= torch.tensor([0.98, 1.0, 1.03, 1.01])[:, None]  # as networks do
    shared = start.refine(lens="shared")
    focal = shared.intrinsics[:, 0, 0]
    assert focal.std() < 1e-3 and focal[0] == pytest.approx(truth.intrinsics[0, 0, 0].item(), rel=0.03)
    scene = disturbed(truth)
    kept = scene.refine(lens="kept")
    assert torch.allclose(kept.intrinsics, scene.intrinsics, rtol=1e-5)


def test_the_scenes_own_tracks_serve_as_well_and_find_radial_distortion(truth):
    k = 0.08
    scene = disturbed(truth, lens=1.0)
    middle, focal = truth.intrinsics[0, :2, 2], truth.intrinsics[0, 0, 0]
    offset = (truth.tracks - middle) / focal
    scene.tracks = middle + focal * offset * (1 + k * offset.square().sum(-1, keepdim=True))
    plain, radial = scene.refine("tracker"), scene.refine("tracker", lens="shared", radial=True)
    assert radial.refinement.radial[0] == pytest.approx(k, abs=0.02)
    assert radial.refinement.error_after < 0.3 * plain.refinement.error_after


def unrefined(scene: Reconstruction, words: str, **options) -> None:
    with pytest.warns(UserWarning, match=f"not refined: .*{words}"):
        found = scene.refine(**options)
    assert not found.refinement.refined and words in found.refinement.reason
    assert torch.equal(found.cam_from_world, scene.cam_from_world) and torch.equal(found.depth, scene.depth)


def test_bare_walls_give_too_few_points():
    batch = generate_scenes(0, 1, 3, 128, 128, config=SceneConfig(texture="none", num_objects=0))
    unrefined(Reconstruction.from_batch(batch), "shares fewer than 15 points")


@pytest.fixture(scope="module")
def turning() -> Reconstruction:
    """Three views from one place."""
    from vggt_lite.synthetic.batch_rng import BatchRNG
    from vggt_lite.synthetic.layout import sample_layout
    from vggt_lite.synthetic.materials import sample_materials
    from vggt_lite.synthetic.raycaster import World

    config, rng = SceneConfig(texture="varied"), BatchRNG(1_000_007, 1)
    layout = sample_layout(rng, 3, config)
    world = World.from_layout(layout, sample_materials(rng, layout, config))
    position = torch.tensor([[-1.8, 0.0, 1.4]]).expand(3, 3)
    target = torch.tensor([[0.0, -0.4, 0.9], [0.0, 0.0, 0.9], [0.0, 0.4, 0.9]])
    cameras = look_at(position, target, torch.zeros(3))
    k = square_pixel_intrinsics(torch.full((3,), 1.0), 256, 256)
    images, depth, _ = render(world, cameras, k, 256, 256, config)
    batch = generate_scenes(1_000_007, 1, 3, 256, 256, config=config)
    batch.images, batch.depth, batch.cam_from_world, batch.intrinsics = (
        x[None] for x in (images, depth, cameras, k)
    )
    return Reconstruction.from_batch(batch)


def test_turning_without_moving_is_refused(turning):
    """Points agree with any distance then: residuals are small, and the cameras mean nothing."""
    turned = rotation_angle(turning.cam_from_world[:1, :, :3], turning.cam_from_world[1:, :, :3])
    assert turned.rad2deg().min() > 5
    unrefined(turning, "turned without moving, and nothing says how far", lens="kept")
    unrefined(turning, "one homography explains")
    moved = turning.cam_from_world.clone()  # a prediction with motion in it: free lenses can keep it up
    moved[:, :, 3] += torch.tensor([[0.0, 0, 0], [0.2, 0, 0.1], [-0.1, 0, 0.2]])
    longer = turning.intrinsics * torch.tensor([[1.2, 1, 1], [1, 1.2, 1], [1, 1, 1]])
    unrefined(replace(turning, cam_from_world=moved, intrinsics=longer), "one homography explains")


def test_bad_calls_say_what_to_do(truth, monkeypatch):
    with pytest.raises(ValueError, match="features.*'surf'.*'sift'"):
        truth.refine("surf")
    with pytest.raises(ValueError, match="lens.*'both'.*'shared'"):
        truth.refine(lens="both")
    with monkeypatch.context() as patch, pytest.raises(ValueError, match='"shared".*different sizes'):
        patch.setattr(Reconstruction, "original_sizes", [(256, 256)] * 3 + [(256, 300)])
        truth.refine(lens="shared")
    with pytest.raises(ValueError, match="query_points"):
        replace(truth, tracks=None).refine("tracker")
    with pytest.raises(ValueError, match="each with a camera"):
        replace(truth, cam_from_world=None).refine()
    monkeypatch.setitem(sys.modules, "pycolmap", None)
    with pytest.raises(ImportError, match="pip install .*refine"):
        truth.refine()


def test_tracks_join_matches_and_leave_out_contradictions():
    points = [torch.arange(2.0 * n).view(n, 2).numpy() for n in (3, 2, 2)]
    pairs = {(0, 1): [[0, 0], [1, 1]], (1, 2): [[0, 1]], (0, 2): [[2, 1], [1, 0]]}
    tracks = join(points, {key: torch.tensor(value).numpy() for key, value in pairs.items()})
    # points 0 and 2 of view 0 both lead to point 1 of view 2: left out. What is left: (0:1, 1:1, 2:0).
    assert tracks.seen.tolist() == [[True], [True], [True]]
    assert tracks.pixels[:, 0].tolist() == [[2, 3], [2, 3], [0, 1]]
    assert tracks.matches == {(0, 1): 2, (1, 2): 1, (0, 2): 2}


def test_large_photographs_are_searched_at_their_own_size(tmp_path):
    """`images` are kept for drawing, at 1024 pixels; points come from the files, in the files' pixels."""
    batch = generate_scenes(1_600_002, 1, 2, 840, 1120, config=VARIED_SCENES)
    for view, image in enumerate(batch.images[0]):
        Image.fromarray((image.permute(1, 2, 0) * 255).round().byte().numpy()).save(tmp_path / f"{view}.png")
    scene = VGGT.from_pretrained("tiny").reconstruct(tmp_path)
    assert max(scene.images[0].shape) == 1024 and scene.photograph(0).shape == (840, 1120, 3)
    small = find_tracks(scene.images, sizes=scene.original_sizes)
    large = find_tracks([scene.photograph(view) for view in range(2)], sizes=scene.original_sizes)
    assert large.seen.sum() > small.seen.sum()
    for tracks in (small, large):  # in the same pixels: they agree with the true cameras
        points = triangulate(tracks.pixels, tracks.seen, batch.cam_from_world[0], batch.intrinsics[0])
        pixels, _ = project_points(points, batch.cam_from_world[0].double(), batch.intrinsics[0].double())
        assert (pixels - tracks.pixels).norm(dim=-1).median() < 1.5
    (tmp_path / "0.png").unlink()
    assert torch.equal(scene.photograph(0), scene.images[0])
