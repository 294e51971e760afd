"""Conventions judged by what there is: depth of some views, tracks, or nothing, and then that is said."""

import json

import numpy as np
import pytest
import torch

from tests.data.foreign import S, write_nerfstudio
from tests.data.test_folder import change, orbit
from vggt_lite.cli.main import main
from vggt_lite.config import VARIED_SCENES
from vggt_lite.data import check_scene, read_scene, write_scene
from vggt_lite.data.scene_check import RawScene, examine
from vggt_lite.data.triangulation import FAR, triangulate
from vggt_lite.geometry import invert_rigid
from vggt_lite.losses import SceneBatch
from vggt_lite.synthetic import generate_scenes
from vggt_lite.viz.check_page import Checked, check_section

W, H, VIEWS = 160, 120, 4
FLIP = np.diag([1.0, -1, -1])
GENERATOR = np.random.default_rng(0)
POINTS = GENERATOR.uniform([-1, -0.8, -1], [1, 0.8, 1], (60, 3))  # inside the circle of the cameras
ORBIT = np.stack([orbit(view).numpy() for view in range(VIEWS)]).astype(float)


def turned(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], [np.sin(angle), 0, np.cos(angle)]])


def camera(rotation: np.ndarray, center) -> np.ndarray:
    return np.concatenate([rotation, -(rotation @ np.array(center, float))[:, None]], axis=1)


def written(folder, cameras=ORBIT, points=POINTS, focal=(90.0, 90.0), noise=0.0, stated=None, lens=None):
    """A scene folder without depth: points seen by `cameras` of which the file says `stated`, if anything."""
    k = np.array([[focal[0], 0, W / 2], [0, focal[1], H / 2], [0, 0, 1]])
    in_cam = np.einsum("sij,nj->sni", cameras[:, :, :3], points) + cameras[:, None, :, 3]  # (S, N, 3)
    seen = in_cam @ k.T
    tracks = seen[..., :2] / seen[..., 2:] + noise * GENERATOR.normal(size=(len(cameras), len(points), 2))
    visible = (in_cam[..., 2] > 0.1) & (tracks >= 0).all(-1) & (tracks <= [W, H]).all(-1)
    if lens is not None:
        k[0, 0], k[1, 1] = lens
    stated = cameras if stated is None else stated
    views = len(cameras)
    scene = SceneBatch(
        images=torch.rand(views, 3, H, W, generator=torch.Generator().manual_seed(0)),
        depth=torch.zeros(views, H, W),
        cam_from_world=torch.tensor(stated).float(),
        intrinsics=torch.tensor(k).float().expand(views, 3, 3),
        point_map=torch.zeros(views, H, W, 3),
        valid=torch.zeros(views, H, W, dtype=torch.bool),
        tracks=torch.tensor(tracks).float(),
        track_visibility=torch.tensor(visible),
    )
    return write_scene(folder, scene.apply(lambda x: x[None]))


def inverse(cameras: np.ndarray) -> np.ndarray:
    return invert_rigid(torch.from_numpy(cameras))[:, :3].numpy()


WRONG = {
    "are world_from_cam: invert": inverse(ORBIT),
    "camera axes are OpenGL's": FLIP @ ORBIT,
    "OpenGL's world_from_cam": inverse(FLIP @ ORBIT),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_tracks_tell_which_mistake_was_made(mistake, tmp_path):
    (problem,) = check_scene(written(tmp_path / "scene", stated=WRONG[mistake]))
    assert mistake in problem and "cameras.npz: " in problem and "% of the tracks' positions" in problem


def test_tracks_tell_swapped_focal_lengths(tmp_path):
    (problem,) = check_scene(written(tmp_path / "scene", focal=(90.0, 130.0), lens=(130.0, 90.0)))
    assert "focal lengths are swapped" in problem


def test_tracks_in_other_pixels_are_noticed(tmp_path):
    folder = written(tmp_path / "scene")
    change(folder / "tracks.npz", tracks=lambda x: x[[2, 0, 3, 1]], visibility=lambda x: x[[2, 0, 3, 1]])
    (problem,) = check_scene(folder)
    assert "order of the views" in problem


@pytest.mark.parametrize("noise", [0.0, 1.5])
@pytest.mark.parametrize("count", [20, 60])
@pytest.mark.parametrize("views", [2, 4])
def test_right_cameras_are_confirmed_by_few_and_noisy_tracks(views, count, noise, tmp_path):
    folder = written(tmp_path / "scene", ORBIT[:views], POINTS[:count], noise=noise)
    assert examine(RawScene.of(folder))[:2] == ([], [])


def row_of_cameras(step: float) -> np.ndarray:
    return np.stack([camera(np.eye(3), [step * view, 0, -4]) for view in range(VIEWS)])


UNDECIDED = {
    "a hair's breadth apart": row_of_cameras(0.005),
    "side by side": row_of_cameras(0.3),  # OpenGL's cameras would see the mirrored scene behind them alike
    "straight ahead": np.stack([camera(np.eye(3), [0, 0, -4 + 0.1 * view]) for view in range(VIEWS)]),
    "on one spot": np.stack([camera(turned(0.02 * view), [0, 0, -4]) for view in range(VIEWS)]),
}


@pytest.mark.parametrize("cameras", UNDECIDED)
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_where_a_mistake_would_do_as_well_no_alarm_is_raised_and_a_note_says_so(cameras, noise, tmp_path):
    folder = written(tmp_path / "scene", UNDECIDED[cameras], noise=noise)
    problems, (note,), *_ = examine(RawScene.of(folder))
    assert not problems and "conventions could not be told" in note


def test_turning_on_one_spot_tells_inverted_cameras(tmp_path):
    cameras = np.stack([camera(turned(0.25 * view), [0, 0, 0]) for view in range(2)])
    folder = written(tmp_path / "right", cameras, POINTS + [0.3, 0, 3], noise=1.0)
    assert not check_scene(folder)
    wrong = written(tmp_path / "wrong", cameras, POINTS + [0.3, 0, 3], stated=inverse(cameras))
    assert "are world_from_cam: invert" in check_scene(wrong)[0]


def without_depth(root, views=range(S)):
    """A nerfstudio folder in which some views have lost their depth."""
    file = root / "transforms.json"
    content = json.loads(file.read_text())
    content["frames"].sort(key=lambda frame: frame["file_path"])
    for view in views:
        del content["frames"][view]["depth_file_path"]
    file.write_text(json.dumps(content))
    return root


@pytest.mark.parametrize("flip", [(1, -1, -1), (1, 1, 1)], ids=["right", "wrong"])
def test_where_nothing_can_tell_that_is_said_in_text_and_page(flip, tmp_path, capsys):
    theirs, page = without_depth(write_nerfstudio(tmp_path / "theirs", flip)), tmp_path / "check.html"
    assert main(["check-data", str(theirs), "--out", str(page)]) == 0
    said = "conventions were not checked: no depth, points or tracks say where surfaces are"
    first, second, _ = capsys.readouterr().out.splitlines()
    assert first.startswith("nothing wrong with") and first.endswith("as far as it could be told:")
    assert second.startswith("note: ") and said in second
    text = page.read_text(encoding="utf-8")
    assert "<b>Nothing wrong, as far as it could be told:</b>" in text and said in text


def test_seven_tracks_say_nothing(tmp_path):
    _, (note,), *_ = examine(RawScene.of(written(tmp_path / "scene", points=POINTS[:7])))
    assert "conventions were not checked" in note and "8 tracks" in note


def test_depth_of_two_views_is_enough(tmp_path):
    right = without_depth(write_nerfstudio(tmp_path / "right"), [0, 2])
    assert examine(RawScene.of(right))[:2] == ([], [])
    wrong = without_depth(write_nerfstudio(tmp_path / "wrong", (1, 1, 1)), [0, 2])
    (problem,) = examine(RawScene.of(wrong)).problems
    assert "OpenGL" in problem
    _, (note,), *_ = examine(RawScene.of(without_depth(wrong, [1])))
    assert "not checked" in note


def test_holes_in_depth_are_no_disagreement(tmp_path):
    scene = generate_scenes(1_000_000, 1, 4, 48, 64)
    hole = torch.rand(scene.depth.shape, generator=torch.Generator().manual_seed(0)) > 0.25
    scene.depth[hole], scene.valid[hole] = 0, False
    assert not check_scene(write_scene(tmp_path / "scene", scene))


def test_views_that_share_nothing_are_no_proof(tmp_path):
    scene = generate_scenes(5, 1, 2, 32, 32)
    scene.cam_from_world[0, 1, [0, 2]] *= -1  # it looks the other way, at something of the same shape
    problems, (note,), *_ = examine(RawScene.of(write_scene(tmp_path / "scene", scene)))
    assert not problems and "could not be told" in note


def test_the_page_draws_tracks_as_they_are_and_mended(tmp_path):
    folder = written(tmp_path / "scene", stated=WRONG["camera axes are OpenGL's"])
    raw = RawScene.of(folder)
    text = check_section(Checked(folder, raw, examine(raw)))
    assert "Tracks, triangulated" in text and text.count('class="plot"') == 2
    assert "tracks, as it is" in text and "tracks, mended" in text


# --- triangulation --------------------------------------------------------------------------------

K = torch.tensor([[100.0, 0, 50], [0, 100, 50], [0, 0, 1]]).expand(2, 3, 3)
PAIR = torch.tensor(np.stack([camera(np.eye(3), [x, 0, 0]) for x in (0, 1)])).float()
BOTH = torch.ones(2, 1, dtype=torch.bool)


def test_rays_meet_where_the_point_is():
    """(0.5, 0.2, 2) lies at x/z = ±0.25, y/z = 0.1."""
    tracks = torch.tensor([[[75.0, 60]], [[25.0, 60]]])
    torch.testing.assert_close(triangulate(tracks, BOTH, PAIR, K), torch.tensor([[0.5, 0.2, 2.0]]))


@pytest.mark.parametrize("disparity", [0.0, -5.0])
def test_rays_that_do_not_meet_in_front_meet_far_away(disparity):
    tracks = torch.tensor([[[50.0, 50]], [[50.0 - disparity, 50]]])
    for far in (False, True):
        (point,) = triangulate(tracks, BOTH, PAIR, K, far)
        assert point[2] == pytest.approx(0.5 * FAR, rel=1e-2)  # each camera is half a unit from their middle


def test_positions_that_are_not_visible_count_for_nothing():
    tracks = torch.tensor([[[75.0, 60]], [[25.0, 60]], [[np.nan, 3]]])
    cameras = torch.cat([PAIR, torch.rand(1, 3, 4)])
    seen = torch.tensor([[True], [True], [False]])
    found = triangulate(tracks, seen, cameras, K[:1].expand(3, 3, 3))
    torch.testing.assert_close(found, torch.tensor([[0.5, 0.2, 2.0]]), rtol=1e-4, atol=1e-4)


# --- stored scenes --------------------------------------------------------------------------------


def test_in_stored_scenes_nothing_flies(tmp_path):
    few = ["--count", "1", "--views", "2", "--size", "16", "--seed", "3"]
    assert main(["scenes", "folders", "--varied", "--out", str(tmp_path), *few]) == 0
    still = generate_scenes(3, 1, 2, 16, 16, config=VARIED_SCENES.with_(moving_objects=0))
    images = read_scene(tmp_path / "scene_0000003").images
    assert (images - still.images).abs().max() <= 0.51 / 255
