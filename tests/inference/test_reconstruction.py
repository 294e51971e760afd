"""What a user holds: original pixels, the first camera's frame, and no crash over a bad number."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import vggt_lite.viz
from tests.inference.oracle import DEPTH, FOCAL, Oracle, S, pictures
from vggt_lite.data import load_images
from vggt_lite.geometry import matrix_from_quat_xyzw, project_points, unproject_depth
from vggt_lite.inference import Reconstruction, reconstruct
from vggt_lite.losses import SceneBatch
from vggt_lite.metrics.poses import relative_pose_errors
from vggt_lite.model import Predictions

pytestmark = pytest.mark.filterwarnings("ignore:the views differ in size")


def test_projecting_a_point_lands_on_its_original_pixel(scene):
    """The chain photograph → network → world → photograph closes, in every view and size."""
    xyz, rgb, _, view = scene.points("depth")
    for index, image in enumerate(scene.images):
        height, width = scene.original_sizes[index]
        seen = view == index
        pixels, z = project_points(xyz[seen], scene.cam_from_world[index], scene.intrinsics[index])
        torch.testing.assert_close(z, torch.full_like(z, DEPTH))
        assert (pixels > 0).all() and (pixels < torch.tensor([width, height])).all()
        network = scene.pixel_maps[index].to_network(pixels)
        torch.testing.assert_close(network % 1, torch.full_like(network, 0.5), atol=1e-3, rtol=0)
        column, row = network.long().unbind(-1)
        assert torch.equal(rgb[seen], scene.colors[index, row, column])
        assert image.shape == (height, width, 3)


def test_padding_gives_no_points(scene):
    for source in ("depth", "point_map"):
        xyz, rgb, confidence, view = scene.points(source)
        assert len(xyz) == len(rgb) == len(confidence) == len(view) == scene.valid.sum() < scene.valid.numel()
    assert not (scene.colors[~scene.valid] < 255).any()


def test_the_percentile_hides_the_least_trusted_points(scene):
    everything = scene.points("depth")[2]
    kept = scene.points("depth", confidence_percentile=75)[2]
    assert abs(len(kept) / len(everything) - 0.25) < 0.01
    assert kept.min() >= everything.quantile(0.75)
    assert len(scene.points("point_map", confidence_percentile=75)[0]) == len(
        everything
    )  # all equally trusted
    assert len(scene.points("depth", confidence_percentile=100)[0]) >= 1
    with pytest.raises(ValueError, match="must lie in 0"):
        scene.points("depth", confidence_percentile=150)


@pytest.mark.parametrize("pixel_center", [0.5, 0.0])
def test_tracks_are_in_original_pixels_whatever_the_network_counts_from(pixel_center):
    query = torch.tensor([[10.0, 20.0], [45.0, 30.0]])
    scene = reconstruct(Oracle(pixel_center), pictures(), query_points=query)
    torch.testing.assert_close(scene.tracks[0], query)
    network = scene.pixel_maps[0].to_network(query)
    torch.testing.assert_close(scene.tracks[1], scene.pixel_maps[1].to_original(network))


def test_depth_comes_to_original_pixels_and_stops_at_the_crop():
    tall = [np.zeros((300, 100, 3), np.uint8)]
    scene = reconstruct(Oracle(), tall, mode="crop")
    depth = scene.depth_at_original(0)
    assert depth.shape == (300, 100)
    assert (depth[105:195] == DEPTH).all() and not depth[:95].any() and not depth[205:].any()


def test_truth_takes_the_same_form_as_a_prediction():
    pred = Oracle()(torch.rand(S, 3, 32, 48))
    valid = torch.rand(2, S, 32, 48) > 0.5
    batch = SceneBatch(
        images=torch.cat([pred.images] * 2),
        depth=torch.cat([pred.depth] * 2),
        cam_from_world=torch.cat([pred.cam_from_world] * 2),
        intrinsics=torch.cat([pred.intrinsics] * 2),
        point_map=torch.cat([pred.point_map] * 2),
        valid=valid,
    )
    scene = Reconstruction.from_batch(batch, index=1)
    assert scene.sources == ("depth", "point_map") and len(scene.points()[0]) == valid[1].sum()
    torch.testing.assert_close(scene.points("depth")[0], scene.points("point_map")[0])
    assert torch.equal(scene.intrinsics, pred.intrinsics[0])


# --- the first camera is the world ----------------------------------------------------------------


def turned(angle: float, center: list[float]) -> torch.Tensor:
    """(3, 4) of a camera that is turned by about `angle` (rad) and stands at `center`."""
    turn = matrix_from_quat_xyzw(torch.tensor([0.3 * angle, 0.5 * angle, 0.1 * angle, 1.0]))
    return torch.cat([turn, -turn @ torch.tensor(center)[:, None]], dim=1)


def off_center() -> dict[str, torch.Tensor]:
    """Cameras and point map of a network whose first camera is a little off the world's origin."""
    places = (0.014, [0.005, 0.0, 0.0]), (0.1, [0.3, 0.0, 0.0]), (0.2, [0.6, 0.0, 0.0])
    cameras = torch.stack([turned(*place) for place in places])
    k = torch.tensor([[FOCAL, 0, 32], [0, FOCAL, 32], [0, 0, 1]]).repeat(S, 1, 1)
    point_map = unproject_depth(torch.full((S, 64, 64), DEPTH), k, cameras)
    return {"cam_from_world": cameras, "intrinsics": k, "point_map": point_map}


def test_the_first_camera_is_the_world_exactly_and_nothing_else_changes():
    given = off_center()
    pred = Oracle(**given)(torch.rand(S, 3, 64, 64))
    scene = Reconstruction.from_predictions(pred)
    assert torch.equal(scene.cam_from_world[0], torch.eye(3, 4))
    assert torch.equal(pred.cam_from_world[0], off_center()["cam_from_world"])  # the network's word stays
    errors = relative_pose_errors(scene.cam_from_world, given["cam_from_world"])
    assert max(e.max() for e in errors) < 0.1  # degrees: acos near 1, in float32
    torch.testing.assert_close(scene.points("depth")[0], scene.points("point_map")[0], atol=1e-5, rtol=0)
    pixels, z = project_points(scene.point_map[1].flatten(0, 1), scene.cam_from_world[1], scene.intrinsics[1])
    torch.testing.assert_close(z, torch.full_like(z, DEPTH), atol=1e-5, rtol=0)
    torch.testing.assert_close(pixels % 1, torch.full_like(pixels, 0.5), atol=1e-3, rtol=0)


def test_a_first_camera_that_is_not_finite_leaves_the_world_as_it_is():
    given = off_center()
    given["cam_from_world"][0] = torch.nan
    with pytest.warns(UserWarning, match="no usable camera.* for view 1:"):
        scene = Reconstruction.from_predictions(Oracle(**given)(torch.rand(S, 3, 64, 64)))
    assert torch.equal(scene.cam_from_world[1:], given["cam_from_world"][1:])
    assert torch.equal(scene.point_map, given["point_map"])


# --- predictions that cannot be used ------------------------------------------------------------


def broken_lens(value: float) -> torch.Tensor:
    k = torch.tensor([[FOCAL, 0, 32], [0, FOCAL, 32], [0, 0, 1]]).repeat(S, 1, 1)
    k[1, 0, 0] = value
    return k


@pytest.mark.parametrize("focal", [float("inf"), float("nan"), 0.0, -3.0])
def test_a_field_of_view_of_zero_warns_and_takes_one_camera_out(focal):
    with pytest.warns(UserWarning, match="no usable camera was predicted.*for view 2:"):
        scene = reconstruct(Oracle(intrinsics=broken_lens(focal)), pictures())
    assert scene.camera_ok.tolist() == [True, False, True]
    xyz, _, _, view = scene.points("depth")
    assert xyz.isfinite().all() and set(view.tolist()) == {0, 2}
    assert set(scene.points("point_map")[3].tolist()) == {0, 1, 2}
    assert "–" in repr(scene)


def test_values_that_are_not_finite_warn_and_are_left_out(tmp_path):
    depth = torch.full((S, 64, 64), torch.nan)
    points = torch.full((S, 64, 64, 3), torch.inf)
    with pytest.warns(UserWarning, match="100 % of the predicted (depth|point_map) is not finite"):
        scene = reconstruct(Oracle(depth=depth, point_map=points), pictures())
    for source in scene.sources:
        assert len(scene.points(source, confidence_percentile=50)[0]) == 0
    assert not scene.depth_at_original(0).any()
    scene.save(tmp_path / "out")
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {"SHA256SUMS", "arrays.npz", "images", "scene.json"}


def test_a_model_without_heads_says_what_is_missing():
    nothing = dict.fromkeys(
        ("cam_from_world", "intrinsics", "depth", "depth_conf", "point_map", "point_conf")
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scene = reconstruct(Oracle(**nothing), pictures(), mode="pad")
    assert scene.sources == () and "empty" in repr(scene)
    with pytest.raises(ValueError, match="no points"):
        scene.points()
    with pytest.raises(ValueError, match="depth head"):
        scene.depth_at_original(0)


# --- what people read ---------------------------------------------------------------------------


def test_the_summary_is_a_table_with_escaped_names(scene):
    scene.names[0] = "<script>.jpg"
    text, page = repr(scene), scene._repr_html_()
    assert "Reconstruction of 3 views (cameras, depth, point map, 2 tracked points), 64×64" in text
    assert len(text.splitlines()) == 2 + S and "90×60" in text and "(0.10, 0.00, 0.00)" in text
    assert "&lt;script&gt;.jpg" in page and "<script>" not in page


def test_long_scenes_are_summarised():
    many = load_images([np.zeros((8, 8, 3), np.uint8)] * 20, size=8, patch_size=8)
    scene = Reconstruction.from_predictions(Predictions(images=many.images[None]), many)
    assert "and 8 more" in repr(scene)


def test_large_photographs_are_kept_small_for_drawing(tmp_path):
    Image.new("RGB", (3000, 1500), "red").save(tmp_path / "big.png")
    scene = reconstruct(Oracle(), tmp_path / "big.png")
    assert scene.images[0].shape == (512, 1024, 3) and scene.original_sizes == [(1500, 3000)]
    assert abs(scene.intrinsics[0, 0, 2].item() - 1500) < 1e-3


def test_show_hands_itself_to_the_figure(scene, monkeypatch):
    shown = SimpleNamespace(scene=None)
    monkeypatch.setattr(
        vggt_lite.viz, "show_reconstruction", lambda s: setattr(shown, "scene", s), raising=False
    )
    scene.show()
    assert shown.scene is scene
