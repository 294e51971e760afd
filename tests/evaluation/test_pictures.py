"""Refinement and the classical road are scored on the same pictures as the network."""

import pytest
import torch

from vggt_lite import VGGT
from vggt_lite.config import VARIED_SCENES
from vggt_lite.evaluation.classical import essential_matrix_errors, mapped_cameras
from vggt_lite.evaluation.pictures import evaluate_pictures, shrunk, side_by_side
from vggt_lite.export.pinholes import Pinholes
from vggt_lite.geometry import project_points
from vggt_lite.inference.correspondences import Tracks, find_tracks
from vggt_lite.synthetic import generate_scenes

SEED = 1_600_008  # a scene with much texture


@pytest.fixture(scope="module")
def scene():
    return generate_scenes(SEED, 1, 4, 448, 448, config=VARIED_SCENES)


@pytest.fixture(scope="module")
def pictures(scene):
    return [(image.permute(1, 2, 0) * 255).round().byte() for image in scene.images[0]]


def test_every_road_has_a_report_and_refinement_helps():
    model = VGGT.from_pretrained("tiny")
    roads = ("network", "refined", "sift_e", "mapper")
    reports = evaluate_pictures(model, roads, 1, 4, SEED, scene_config=VARIED_SCENES)
    assert tuple(reports) == roads
    assert reports["refined"].model["auc_10"] > reports["network"].model["auc_10"] + 20
    assert reports["refined"].model["focal_median_percent"] < reports["network"].model["focal_median_percent"]
    assert "depth_abs_rel" in reports["refined"].model and "depth_abs_rel" not in reports["sift_e"].model
    assert all(report.constant == reports["network"].constant for report in reports.values())
    table = side_by_side(reports)
    assert "| pose AUC@5 |" in table and "sift_e: SIFT and an essential matrix" in table


def test_the_shrunk_truth_is_the_same_scene(scene):
    small = shrunk(scene, 112)
    points = small.point_map[0, 0].flatten(0, 1)  # (112 · 112, 3)
    pixels, z = project_points(points, small.cam_from_world[0, :1], small.intrinsics[0, :1])
    rows, columns = torch.meshgrid(*2 * [torch.arange(112) + 0.5], indexing="ij")
    torch.testing.assert_close(pixels[0], torch.stack([columns, rows], -1).flatten(0, 1), atol=1e-2, rtol=0)
    torch.testing.assert_close(z[0], small.depth[0, 0].flatten(), atol=1e-3, rtol=1e-4)
    assert small.images.mean().item() == pytest.approx(scene.images.mean().item(), abs=1e-4)


def test_essential_matrices_find_true_poses_and_a_pair_without_matches_counts_as_wrong(scene, pictures):
    truth = Pinholes(scene.cam_from_world[0].double(), scene.intrinsics[0].double(), [(448, 448)] * 4)
    tracks = find_tracks(pictures)
    rotation, translation = essential_matrix_errors(tracks, truth)
    assert rotation.max() < 0.5 and translation.max() < 5
    seen = tracks.seen.clone()
    seen[3] = False
    rotation, translation = essential_matrix_errors(Tracks(tracks.pixels, seen, {}), truth)
    without = torch.tensor([False, False, True, False, True, True])  # pairs with view 3
    assert rotation[without].isinf().all() and translation[without].isinf().all()
    assert rotation[~without].max() < 0.5


def test_pictures_that_the_mapper_leaves_out_have_no_camera(pictures):
    blank = [torch.full((448, 448, 3), 128, dtype=torch.uint8)] * 2
    cameras, intrinsics = mapped_cameras(blank)
    assert cameras.isnan().all() and intrinsics.isnan().all()
    cameras, intrinsics = mapped_cameras(pictures)
    assert cameras.isfinite().all() and intrinsics[:, 0, 0].min() > 100
