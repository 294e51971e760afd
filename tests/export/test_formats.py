"""Exports are read back with the libraries of the programs they are for, where these can be had."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from vggt_lite.config import SceneConfig
from vggt_lite.data.scene_check import RawScene
from vggt_lite.export import read_ply
from vggt_lite.geometry import compose, invert_rigid, rotation_angle
from vggt_lite.inference import Reconstruction
from vggt_lite.synthetic import generate_scenes

pycolmap = pytest.importorskip("pycolmap")


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
    evo = pytest.importorskip("evo.tools.file_interface")
    poses = evo.read_tum_trajectory_file(tmp_path / "path.txt").poses_se3
    assert np.allclose(np.stack(poses), world_from_cam.numpy(), atol=1e-5)


def test_all_points_go_into_a_ply_file(scene, tmp_path):
    scene.to_ply(tmp_path / "points.ply", confidence_percentile=90)
    expected, _, _, _ = scene.points(confidence_percentile=90)
    assert torch.equal(read_ply(tmp_path / "points.ply"), expected)


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
