"""GLB files read back with trimesh, and their cameras by glTF's definition of a perspective camera."""

import json
import struct
from dataclasses import replace

import numpy as np
import pytest
import torch

from vggt_lite.config import SceneConfig
from vggt_lite.geometry import project_points
from vggt_lite.inference import Reconstruction
from vggt_lite.synthetic import generate_scenes

trimesh = pytest.importorskip("trimesh")
NAMES = ["a.jpg", "b.png", "c.jpg"]
TURN = np.diag([1.0, -1.0, -1.0])  # glTF's world (y up, z backward) from ours (y down, z forward)


@pytest.fixture(scope="module")
def scene() -> Reconstruction:
    batch = generate_scenes(1_000_008, 1, 3, 96, 128, config=SceneConfig(texture="varied"))
    return Reconstruction.from_batch(batch, names=["a.jpg", "b", "c.jpg"])


@pytest.fixture(scope="module")
def file(scene, tmp_path_factory):
    return scene.to_glb(tmp_path_factory.mktemp("glb") / "scene.glb")


def header(file) -> dict:
    """The JSON of a GLB file: its first chunk."""
    content = file.read_bytes()
    assert content[:4] == b"glTF" and content[16:20] == b"JSON"
    return json.loads(content[20 : 20 + struct.unpack("<I", content[12:16])[0]])


def test_points_lie_in_gltfs_axes_with_linear_colours(scene, file):
    cloud = trimesh.load(file).geometry["points"]
    points, colors, _, _ = scene.points()
    assert np.allclose(cloud.vertices, points.numpy() @ TURN, atol=1e-6)
    light = (np.asarray(cloud.colors)[:, :3] / 255) ** (1 / 2.2)  # near enough to sRGB
    bright = colors.numpy() > 50  # below, eight bits of linear light are coarse
    assert np.abs(light - colors.numpy() / 255)[bright].max() < 0.03


def test_each_camera_sees_the_points_where_its_picture_shows_them(scene, file):
    tree = header(file)
    nodes = {tree["nodes"][i]["name"]: tree["nodes"][i] for i in tree["scenes"][0]["nodes"]
             if "camera" in tree["nodes"][i]}  # fmt: skip
    assert list(nodes) == NAMES
    points, _, _, _ = scene.points()
    for view, (name, node) in enumerate(nodes.items()):
        camera = tree["cameras"][node["camera"]]
        lens = camera["perspective"]
        assert camera["name"] == name and camera["type"] == "perspective" and lens["znear"] > 0
        world_from_cam = np.array(node["matrix"]).reshape(4, 4).T
        local = (points.numpy() @ TURN - world_from_cam[:3, 3]) @ world_from_cam[:3, :3]
        tangent = np.tan(lens["yfov"] / 2)
        x, y = (
            local[:, 0] / -local[:, 2] / (tangent * lens["aspectRatio"]),
            local[:, 1] / -local[:, 2] / tangent,
        )
        wanted, z = project_points(points, scene.cam_from_world[view], scene.intrinsics[view])
        front = (z > 0.1).numpy()
        assert np.array_equal(local[:, 2] < -0.1, front)
        found = np.stack([(1 + x) * 128 / 2, (1 - y) * 96 / 2], axis=-1)
        inside = front & (np.abs(found - [64, 48]) < [64, 48]).all(-1)
        assert inside.sum() > 1000
        assert np.abs(found - wanted.numpy())[inside].max() < 0.01  # pixels


def test_pictures_lie_where_the_cameras_see_their_corners(scene, file):
    loaded = trimesh.load(file)
    for view, name in enumerate(NAMES):
        pose, part = loaded.graph.get(f"picture {name}")
        sheet = loaded.geometry[part]
        world = sheet.vertices @ pose[:3, :3].T + pose[:3, 3]
        pixels, z = project_points(
            torch.tensor(world @ TURN).float(), scene.cam_from_world[view], scene.intrinsics[view]
        )
        corners = [[u * 128, (1 - v) * 96] for u, v in sheet.visual.uv]  # trimesh counts v from below
        assert (z > 0).all() and np.allclose(pixels, corners, atol=0.01)
        texture = np.asarray(sheet.visual.material.baseColorTexture.convert("RGB"), dtype=float)
        assert np.abs(texture - scene.images[view].numpy()).mean() < 10  # JPEG; upside down: 50 and more
        pose, part = loaded.graph.get(f"frustum {name}")
        assert (np.abs(loaded.geometry[part].vertices).max(1) < 1e-9).any()  # begins in the camera
    assert header(file)["extensionsUsed"] == ["KHR_materials_unlit"]


def test_fewer_points_on_request_and_none_is_no_failure(scene, tmp_path):
    half = replace(scene, depth_conf=1 + torch.rand(scene.depth.shape))
    half.to_glb(tmp_path / "half.glb", confidence_percentile=50)
    count = len(trimesh.load(tmp_path / "half.glb").geometry["points"].vertices)
    assert count == pytest.approx(0.5 * scene.valid.sum().item(), rel=0.05)
    empty = replace(scene, valid=torch.zeros_like(scene.valid))
    empty.to_glb(tmp_path / "empty.glb")
    assert "points" not in trimesh.load(tmp_path / "empty.glb").geometry


def test_a_view_without_a_camera_is_refused_and_the_file_stays(scene, tmp_path):
    (tmp_path / "a.glb").write_text("mine")
    nowhere = replace(scene, cam_from_world=torch.full((3, 3, 4), torch.nan))
    with pytest.raises(ValueError, match="a view has no camera"):
        nowhere.to_glb(tmp_path / "a.glb")
    assert (tmp_path / "a.glb").read_text() == "mine"
