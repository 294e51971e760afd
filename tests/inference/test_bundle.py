"""The adjustment of `refine` finds what COLMAP's finds: free lenses, and some wrong observations."""

import pytest
import torch

from vggt_lite.config import SceneConfig
from vggt_lite.export.colmap_model import colmap_lenses, colmap_model
from vggt_lite.export.pinholes import Pinholes
from vggt_lite.geometry import project_points, rotation_angle
from vggt_lite.geometry.bundle_adjustment import bundle_adjust, nudge
from vggt_lite.inference.bundle import Lens, adjust
from vggt_lite.inference.correspondences import Tracks
from vggt_lite.synthetic import generate_scenes

pycolmap = pytest.importorskip("pycolmap")
ROBUST_PX = 1.0


@pytest.fixture(scope="module")
def problem():
    """Points of a generated room seen by five cameras with 0.3 pixels of noise, one in twenty elsewhere."""
    batch = generate_scenes(1_000_002, 1, 5, 240, 320, num_tracks=150, config=SceneConfig()).apply(
        lambda x: x[0].double() if x.is_floating_point() else x[0]
    )
    generator = torch.Generator().manual_seed(0)
    x, y = batch.tracks[0].floor().long().unbind(-1)
    points = batch.point_map[0, y, x]
    pixels, _ = project_points(points, batch.cam_from_world, batch.intrinsics)
    pixels = pixels + 0.3 * torch.randn(pixels.shape, generator=generator)
    wrong = torch.rand(pixels.shape[:2], generator=generator) < 0.05
    pixels = torch.where(wrong[..., None], pixels + 30, pixels)
    seen = batch.track_visibility & (batch.track_visibility.sum(0) >= 2)
    noise = 0.005 * torch.randn(5, 6, generator=generator)
    noise[0] = 0
    lenses = batch.intrinsics.clone()
    lenses[:, [0, 1], [0, 1]] *= 1.03
    cameras = Pinholes(nudge(batch.cam_from_world, noise.double()), lenses, [(240, 320)] * 5)
    return Tracks(pixels, seen, {}), points, cameras, batch


def by_colmap(tracks: Tracks, points, cameras: Pinholes, lens: str) -> Pinholes:
    lenses = colmap_lenses(cameras, square=True, shared=lens == "shared")
    model = colmap_model(cameras, lenses, points, tracks.pixels, tracks.seen)
    options = pycolmap.BundleAdjustmentOptions()
    options.refine_focal_length = lens != "kept"
    options.print_summary = False
    options.ceres.loss_function_type = pycolmap.LossFunctionType.CAUCHY
    options.ceres.loss_function_scale = ROBUST_PX
    options.ceres.solver_options.max_num_iterations = 200
    options.ceres.solver_options.function_tolerance = 1e-12
    config = pycolmap.BundleAdjustmentConfig()
    for view in range(len(cameras.sizes)):
        config.add_image(view + 1)
    config.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    pycolmap.create_default_bundle_adjuster(options, config, model).solve()
    views = [model.image(view + 1) for view in range(len(cameras.sizes))]
    poses = torch.stack([torch.from_numpy(view.cam_from_world().matrix().copy()) for view in views])
    matrices = [torch.from_numpy(model.camera(view.camera_id).calibration_matrix().copy()) for view in views]
    return Pinholes(poses, torch.stack(matrices), cameras.sizes)


@pytest.mark.parametrize("lens", ["each", "shared", "kept"])
def test_cameras_and_lenses_are_those_that_colmap_finds(problem, lens):
    tracks, points, cameras, _ = problem
    _, mine = adjust(tracks, tracks.seen, points, cameras, ROBUST_PX, Lens(lens), steps=100)
    theirs = by_colmap(tracks, points, cameras, lens)
    ratio = mine.intrinsics[:, 0, 0] / theirs.intrinsics[:, 0, 0]
    assert (ratio - 1).abs().max() < 1e-3
    relative = [x.cam_from_world[:, :, :3] @ x.cam_from_world[0, :, :3].mT for x in (mine, theirs)]
    assert rotation_angle(*relative).max() < 1e-3
    if lens == "shared":
        assert mine.intrinsics[:, 0, 0].std() < 1e-9


def test_radial_distortion_is_found(problem):
    _, points, cameras, batch = problem
    true = 0.08
    k = batch.intrinsics
    flat, _ = project_points(points, batch.cam_from_world, torch.eye(3).double().expand(5, 3, 3))
    bent = flat * (1 + true * flat.square().sum(-1, keepdim=True))
    pixels = k[:, None, [0, 1], [0, 1]] * bent + k[:, None, :2, 2]
    seen = batch.track_visibility & (batch.track_visibility.sum(0) >= 2)
    _, found = adjust(
        Tracks(pixels, seen, {}), seen, points, cameras, ROBUST_PX, Lens("shared", radial=True), steps=100
    )
    torch.testing.assert_close(found.radial, torch.full((5,), true).double(), atol=2e-3, rtol=0)
    assert (found.intrinsics[:, 0, 0] / k[:, 0, 0] - 1).abs().max() < 2e-3


def test_an_expected_focal_length_holds_a_lens_that_nothing_else_holds(problem):
    """Turning without moving leaves points at any distance; a prior keeps the lens where it is expected."""
    tracks, points, cameras, batch = problem
    few = torch.zeros_like(tracks.seen)
    few[:2, :8] = tracks.seen[:2, :8]  # eight points in two views: too few for two free focal lengths
    args = (tracks.pixels, few, cameras.cam_from_world, cameras.intrinsics, points)
    expected = 1.1 * batch.intrinsics[:, 0, 0]
    found = bundle_adjust(*args, 60, ROBUST_PX, "each", focal_prior=expected, focal_sigma=1e-3)
    assert (found.intrinsics[:2, 0, 0] / expected[:2] - 1).abs().max() < 0.01
