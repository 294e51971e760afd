"""Exports are read back with the libraries of the programs they are for, where these can be had."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from vggt_lite.config import SceneConfig
from vggt_lite.data.scene_check import RawScene
from vggt_lite.export import read_ply
from vggt_lite.geometry import camera_center, compose, invert_rigid, rotation_angle
from vggt_lite.inference import Reconstruction
from vggt_lite.synthetic import generate_scenes

pycolmap = pytest.importorskip("pycolmap")


@pytest.fixture(autouse=True)
def few_points(monkeypatch):
    """An adjustment of 50,000 points takes a dozen seconds."""
    monkeypatch.setattr("vggt_lite.export.colmap.MOST_POINTS", 3000)


@pytest.fixture(scope="module")
def scene() -> Reconstruction:
    batch = generate_scenes(1_000_008, 1, 3, 192, 256, config=SceneConfig(texture="varied"))
    return Reconstruction.from_batch(batch, names=["a.jpg", "b", "sub/a.jpg"])


@pytest.fixture(scope="module")
def refined(scene) -> Reconstruction:
    found = scene.refine(lens="shared", radial=True)
    assert found.refinement.refined
    return found


@pytest.mark.parametrize("which", ["scene", "refined"])
@pytest.mark.parametrize("binary", [True, False])
def test_colmap_reads_cameras_points_and_observations_and_its_adjustment_runs(
    which, binary, request, tmp_path
):
    given = request.getfixturevalue(which)
    given.to_colmap(tmp_path / "out", binary=binary)
    model = pycolmap.Reconstruction(tmp_path / "out" / "sparse" / "0")
    assert len(model.cameras) == 1  # one lens took all pictures
    images = [model.image(number) for number in sorted(model.images)]
    assert [image.name for image in images] == ["000_a.jpg", "001_b.png", "002_a.jpg"]
    assert {path.name for path in (tmp_path / "out" / "images").iterdir()} == {x.name for x in images}
    for view, image in enumerate(images):
        pose = torch.tensor(image.cam_from_world().matrix())
        assert torch.allclose(pose.float(), given.cam_from_world[view], atol=1e-5)
        k = torch.tensor(model.camera(image.camera_id).calibration_matrix())
        assert torch.allclose(k.float(), given.intrinsics[view], rtol=1e-4, atol=1e-2)
    error = model.compute_mean_reprojection_error()
    assert model.num_points3D() > 100 and model.compute_mean_track_length() > 1.5
    assert error < (0.5 if which == "refined" else 1.0)
    options = pycolmap.BundleAdjustmentOptions()
    options.print_summary = False
    pycolmap.bundle_adjustment(model, options)
    model.update_point_3d_errors()
    assert model.compute_mean_reprojection_error() < error + 0.01


def test_lenses_that_differ_are_cameras_of_their_own(scene, tmp_path):
    zoomed = replace(scene, intrinsics=scene.intrinsics.clone())
    zoomed.intrinsics[1, 0, 0] *= 1.02
    zoomed.to_colmap(tmp_path / "colmap", confidence_percentile=90)
    model = pycolmap.Reconstruction(tmp_path / "colmap" / "sparse" / "0")
    found = [model.camera(model.image(view + 1).camera_id).params for view in range(3)]
    wanted = zoomed.intrinsics[:, [0, 1, 0, 1], [0, 1, 2, 2]]
    assert len(model.cameras) == 3 and torch.allclose(torch.tensor(np.array(found)).float(), wanted)
    zoomed.to_nerfstudio(tmp_path / "nerfstudio")
    contents = json.loads((tmp_path / "nerfstudio" / "transforms.json").read_text())
    assert "fl_x" not in contents
    focal = [frame["fl_x"] for frame in contents["frames"]]
    assert focal == pytest.approx(zoomed.intrinsics[:, 0, 0].tolist())


def test_undistorted_exports_are_of_pinholes_and_as_precise(refined, tmp_path):
    refined.to_colmap(tmp_path / "colmap", undistort=True)
    model = pycolmap.Reconstruction(tmp_path / "colmap" / "sparse" / "0")
    (camera,) = model.cameras.values()
    assert camera.model_name == "PINHOLE"
    with Image.open(tmp_path / "colmap" / "images" / "001_b.png") as picture:
        assert picture.size == (camera.width, camera.height)
    assert model.num_points3D() > 0.9 * refined.refinement.inliers.any(0).sum()
    assert model.compute_mean_reprojection_error() < 0.5
    refined.to_nerfstudio(tmp_path / "bent")
    contents = json.loads((tmp_path / "bent" / "transforms.json").read_text())
    assert contents["k1"] == pytest.approx(refined.refinement.radial[0].item())
    refined.to_nerfstudio(tmp_path / "straight", undistort=True)
    views = RawScene.of(tmp_path / "straight").geometry()  # which refuses distortion
    focal, width = (
        json.loads((tmp_path / "straight" / "transforms.json").read_text())[x] for x in ("fl_x", "w")
    )
    assert views.intrinsics[0, 0, 0] == pytest.approx(focal) and width == camera.width
    assert focal == pytest.approx(camera.focal_length_x)


def test_images_txt_has_two_lines_for_each_image(scene, tmp_path):
    scene.to_colmap(tmp_path / "out", binary=False)
    lines = (tmp_path / "out" / "sparse" / "0" / "images.txt").read_text().splitlines()
    assert len([line for line in lines if not line.startswith("#")]) == 2 * len(scene)


def test_nerfstudio_has_opengl_cameras_with_z_up_and_points_in_their_world(scene, tmp_path):
    scene.to_nerfstudio(tmp_path / "out", confidence_percentile=50)
    contents = json.loads((tmp_path / "out" / "transforms.json").read_text())
    first = torch.tensor(contents["frames"][0]["transform_matrix"])
    assert first[:3, 3].abs().max() < 1e-6
    assert torch.allclose(first[:3, 2], torch.tensor([0.0, -1.0, 0.0]), atol=1e-6)  # looks along +y
    assert torch.allclose(first[:3, 1], torch.tensor([0.0, 0.0, 1.0]), atol=1e-6)  # and up is z
    points = read_ply(tmp_path / "out" / contents["ply_file_path"])
    turn = torch.tensor(contents["applied_transform"])[:, :3]
    expected, _, _, _ = scene.points(confidence_percentile=50)
    assert np.allclose(points, expected @ turn.T, atol=1e-5)
    back = RawScene.of(tmp_path / "out").geometry()  # the same cameras, up to the turn of the world
    found, given = (compose(x, invert_rigid(x[0])) for x in (back.cam_from_world, scene.cam_from_world))
    assert rotation_angle(found[:, :3, :3], given[:, :3, :3]).max() < 1e-3
    assert torch.allclose(found[:, :3, 3], given[:, :3, 3], atol=1e-5)
    assert torch.allclose(back.intrinsics, scene.intrinsics, rtol=1e-5)


def test_a_tum_trajectory_tells_positions_and_quaternions(scene, tmp_path):
    scene.to_tum(tmp_path / "path.txt")
    rows = torch.from_numpy(np.loadtxt(tmp_path / "path.txt"))
    assert rows[:, 0].tolist() == [0, 1, 2]
    world_from_cam = invert_rigid(scene.cam_from_world)
    assert torch.allclose(rows[:, 1:4].float(), world_from_cam[:, :3, 3], atol=1e-6)
    nowhere = replace(scene, cam_from_world=None)
    with pytest.raises(ValueError, match="no view has a camera"):
        nowhere.to_tum(tmp_path / "path.txt")
    evo = pytest.importorskip("evo.tools.file_interface")
    trajectory = evo.read_tum_trajectory_file(tmp_path / "path.txt")
    assert np.allclose(np.stack(trajectory.poses_se3), world_from_cam.numpy(), atol=1e-5)
    assert trajectory.check()[0]


def test_all_points_go_into_a_ply_file(scene, tmp_path):
    scene.to_ply(tmp_path / "points.ply", confidence_percentile=90)
    expected, _, _, _ = scene.points(confidence_percentile=90)
    assert torch.equal(read_ply(tmp_path / "points.ply"), expected)


def test_a_ply_file_tells_confidence_and_normals_that_face_the_camera(scene, tmp_path):
    trimesh = pytest.importorskip("trimesh")
    trusted = replace(scene, depth_conf=1 + torch.rand(scene.depth.shape))
    trusted.to_ply(tmp_path / "points.ply")
    points, colors, confidence, view = trusted.points()
    cloud = trimesh.load(tmp_path / "points.ply")
    assert np.array_equal(cloud.vertices.astype(np.float32), points)
    assert np.array_equal(cloud.colors[:, :3], colors)
    columns = cloud.metadata["_ply_raw"]["vertex"]["data"]
    assert np.array_equal(columns["confidence"], confidence)
    normals = torch.from_numpy(np.stack([columns[name] for name in ("nx", "ny", "nz")], axis=-1))
    assert torch.allclose(normals.norm(dim=-1), torch.ones(len(points)), atol=1e-5)
    to_camera = camera_center(scene.cam_from_world)[view] - points
    assert ((normals * to_camera).sum(-1) > -1e-4).all()


@pytest.mark.parametrize("export", ["to_colmap", "to_nerfstudio"])
def test_a_folder_that_holds_something_is_left_as_it_is(scene, tmp_path, export):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="choose a new or empty folder"):
        getattr(scene, export)(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    nowhere = replace(scene, cam_from_world=torch.full((3, 3, 4), torch.nan))
    with pytest.raises(ValueError, match="a view has no camera"):
        getattr(nowhere, export)(tmp_path / "out")
    assert not (tmp_path / "out").exists()
