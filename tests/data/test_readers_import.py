"""From the formats of others to a scene folder: intrinsics, depth and tracks follow the cut."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from tests.data.foreign import H, S, W, truth, write_colmap, write_nerfstudio, write_vkitti2
from tests.data.test_readers_formats import WRITERS, change_json
from vggt_lite.data import check_scene, import_scene, open_scene, read_scene
from vggt_lite.data.scene_io import read_info
from vggt_lite.data.views import centered_window, sample
from vggt_lite.geometry import project_points, unproject_depth


@pytest.mark.parametrize("size", [None, 32, (24, 40)])
@pytest.mark.parametrize("name", WRITERS)
def test_an_imported_scene_is_a_scene_folder_with_nothing_wrong(name, size, tmp_path):
    out = import_scene(WRITERS[name](tmp_path / "theirs"), tmp_path / "ours", size)
    assert check_scene(out) == []
    scene = read_scene(out)
    assert scene.images.shape == (1, S, 3, *((H, W) if size is None else (32, 32) if size == 32 else size))
    torch.testing.assert_close(
        scene.cam_from_world[0], torch.from_numpy(truth().cam_from_world[:, :3]).float()
    )
    middle = scene.intrinsics.new_tensor([scene.images.shape[-1] / 2, scene.images.shape[-2] / 2])
    if size is not None:  # where VGGT's cameras have it
        torch.testing.assert_close(scene.intrinsics[0, :, :2, 2], middle.expand(S, 2))
    if name.startswith("COLMAP"):
        assert not scene.valid.any() and scene.track_visibility.sum(1).min() > 1
    else:
        assert scene.valid.float().mean() > 0.8 and scene.tracks is None


def test_points_stay_where_they_are_when_pictures_are_cut(tmp_path):
    """The same surface: what the cut depth says is what the full depth says, at the same place."""
    out = import_scene(write_nerfstudio(tmp_path / "theirs"), tmp_path / "ours", (24, 40))
    scene, want = read_scene(out), truth()
    k = torch.from_numpy(want.intrinsics).float()
    cameras = torch.from_numpy(want.cam_from_world[:, :3]).float()
    for view in range(S):
        points = unproject_depth(scene.depth[0, view], scene.intrinsics[0, view], cameras[view])
        points = points[scene.valid[0, view]]
        pixels, z = project_points(points, cameras[view], k[view])
        assert (pixels >= 0).all() and (pixels[:, 0] <= W).all() and (pixels[:, 1] <= H).all()
        column, row = pixels.long().unbind(-1)
        there = torch.from_numpy(want.depth[view]).float()[row, column]
        assert ((z - there).abs() < 0.001).float().mean() > 0.98  # but for ties between two pixels


def test_pictures_are_cut_with_their_intrinsics(tmp_path):
    """A picture whose colours are its pixel coordinates says itself where each pixel came from."""
    folder = write_nerfstudio(tmp_path / "theirs")
    x, y = np.meshgrid(np.arange(W) + 0.5, np.arange(H) + 0.5)
    picture = np.stack([x * 3, y * 3, 0 * x], -1).round().astype(np.uint8)
    for file in (folder / "images").iterdir():
        Image.fromarray(picture).save(file)
    scene = read_scene(import_scene(folder, tmp_path / "ours", (24, 40)))
    rows, columns = torch.meshgrid(torch.arange(24) + 0.5, torch.arange(40) + 0.5, indexing="ij")
    for view in range(S):
        k, new = torch.from_numpy(truth().intrinsics[view]).float(), scene.intrinsics[0, view]
        want = torch.stack([(columns - new[0, 2]) / new[0, 0] * k[0, 0] + k[0, 2],
                            (rows - new[1, 2]) / new[1, 1] * k[1, 1] + k[1, 2]])  # fmt: skip
        got = scene.images[0, view, :2] * 255 / 3
        assert (got - want)[:, 2:-2, 2:-2].abs().max() < 0.5  # rounding to 8 bits is a third


def test_tracks_follow_the_cut(tmp_path):
    views = open_scene(write_colmap(tmp_path / "theirs", binary=True))
    scene = read_scene(import_scene(tmp_path / "theirs", tmp_path / "ours", 32))
    tracks, seen, points = views.tracks()
    pixels, _ = project_points(points, scene.cam_from_world[0], scene.intrinsics[0])
    inside = seen & ((pixels >= 0) & (pixels <= 32)).all(-1)
    kept = inside.sum(0) > 1
    assert 0 < kept.sum() < kept.numel()
    torch.testing.assert_close(scene.tracks[0], pixels[:, kept], atol=1e-3, rtol=0)
    assert torch.equal(scene.track_visibility[0], inside[:, kept])


def test_the_window_is_as_large_as_it_can_be(tmp_path):
    view = open_scene(write_nerfstudio(tmp_path)).views[0]
    cx, cy = view.intrinsics[0, 2].item(), view.intrinsics[1, 2].item()
    window = centered_window(view, 1.0, (20, 20))
    left_top, right_bottom = window.to_original(np.array([[0.0, 0.0], [20.0, 20.0]]))
    np.testing.assert_allclose((left_top + right_bottom) / 2, [cx, cy])
    assert min(left_top[1], H - right_bottom[1]) == pytest.approx(0, abs=1e-9)
    values = torch.arange(H // 2 * (W // 2)).reshape(H // 2, W // 2)  # half as many as pixels
    got = sample(values, window)
    corner = np.floor(window.to_original(np.array([0.5, 0.5])) / 2).astype(int)
    assert got[0, 0] == values[corner[1], corner[0]]


def test_what_a_folder_says_of_itself(tmp_path):
    out = import_scene(write_vkitti2(tmp_path / "theirs"), tmp_path / "ours", views=slice(1, None))
    info = read_info(out)
    assert info.images == ["rgb_00001.png", "rgb_00002.png", "rgb_00003.png"]
    assert info.units == "metres" and info.source == "Virtual KITTI 2, Scene01/clone, Camera_0"


def test_views_of_different_sizes_need_a_common_one(tmp_path):
    folder = write_nerfstudio(tmp_path / "theirs")
    wider = np.concatenate([truth().images[0], truth().images[0][:, -2:]], 1)
    Image.fromarray(wider).save(folder / "images/frame_00000.png")
    change_json(folder / "transforms.json", lambda c: c["frames"][-1].update(w=W + 2, depth_file_path=None))
    assert json.loads((folder / "transforms.json").read_text())["frames"][-1]["file_path"].endswith(
        "00000.png"
    )
    with pytest.raises(ValueError, match="differ in size .64×48, 66×48.*size=224"):
        import_scene(folder, tmp_path / "ours")
    assert check_scene(import_scene(folder, tmp_path / "ours", 32, views=[1, 2, 3])) == []
    assert not read_scene(import_scene(folder, tmp_path / "all", 32)).valid[0, 0].any()


def test_a_principal_point_outside_the_picture_is_refused(tmp_path):
    folder = write_nerfstudio(tmp_path / "theirs")
    change_json(folder / "transforms.json", lambda c: c["frames"][0].update(cx=-3.0))
    with pytest.raises(ValueError, match=r"frame_00003.*principal point \(-3, .*check-data"):
        import_scene(folder, tmp_path / "ours", 32)
    assert not (tmp_path / "ours").exists()
