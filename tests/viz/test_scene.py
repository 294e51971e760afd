"""Clouds, cameras and the 3-D figure: what is shown, and that it stands upright and to scale."""

import numpy as np
import pytest

from vggt_lite.viz import Cameras, Cloud, draw_scene


def many_points(count: int) -> Cloud:
    rng = np.random.default_rng(0)
    colors = rng.integers(0, 256, (count, 3)).astype(np.uint8)
    points = rng.normal(size=(count, 3)).astype(np.float32)
    return Cloud(points, colors, rng.random(count).astype(np.float32), np.arange(count) % 4)


def test_a_percentile_hides_exactly_the_least_trusted_points():
    cloud = many_points(1000)
    shown = cloud.select(percentile=30)
    hidden = np.setdiff1d(np.arange(1000), shown)
    assert len(hidden) == 300
    assert cloud.confidence[hidden].max() <= cloud.confidence[shown].min()


def test_equal_confidence_still_hides_the_share_that_was_asked_for():
    cloud = many_points(1000)
    flat = Cloud(cloud.points, cloud.colors, np.ones(1000, np.float32), cloud.view)
    assert len(flat.select(percentile=75)) == 250


def test_only_the_chosen_views_are_shown():
    cloud = many_points(1000)
    assert set(cloud.view[cloud.select(views=[1, 3])]) == {1, 3}
    assert len(cloud.select(views=[])) == 0


def test_the_same_few_points_are_shown_every_time():
    np.testing.assert_array_equal(many_points(5000).select(limit=100), many_points(5000).select(limit=100))


def test_no_figure_shows_more_points_than_the_cap(monkeypatch):
    monkeypatch.delenv("VGGT_LITE_MAX_POINTS", raising=False)
    assert len(draw_scene(many_points(30_000)).data[0].x) == 20_000
    monkeypatch.setenv("VGGT_LITE_MAX_POINTS", "500")
    assert len(draw_scene(many_points(30_000)).data[0].x) == 500


def test_colours_travel_as_one_byte_a_point_and_come_back_almost_unchanged(scene):
    cloud = Cloud.of(scene)
    index, scale = cloud.palette
    table = np.array([[int(v) for v in color[4:-1].split(",")] for _, color in scale])
    assert index.dtype == np.uint8
    assert np.abs(table[index] - cloud.colors.astype(int)).mean() < 6


def test_the_corners_of_a_drawn_frustum_are_the_corners_of_the_image(scene):
    cameras = Cameras.of(scene)
    corners = cameras.frusta(0.5)[:, 1:]  # (S, 4, 3)
    rotation, translation = cameras.cam_from_world[:, :, :3], cameras.cam_from_world[:, :, 3]
    in_cam = np.einsum("sij,scj->sci", rotation, corners) + translation[:, None]
    pixels = np.einsum("sij,scj->sci", cameras.intrinsics, in_cam)
    pixels = pixels[..., :2] / pixels[..., 2:]
    np.testing.assert_allclose(pixels, np.tile([[0, 0], [32, 0], [32, 24], [0, 24]], (3, 1, 1)), atol=1e-3)


def test_cameras_are_numbered_from_one_and_unusable_ones_left_out(scene):
    figure = draw_scene(Cloud.of(scene), Cameras.of(scene))
    assert list(figure.data[2].text) == ["<b>1</b>", "<b>2</b>", "<b>3</b>"]
    broken = type(scene)(**{**vars(scene), "intrinsics": scene.intrinsics.clone()})
    broken.intrinsics[1] = float("nan")
    assert Cameras.of(broken).numbers == [1, 3]
    broken.intrinsics[:] = float("nan")
    assert Cameras.of(broken) is None


def test_down_in_the_world_is_down_on_the_screen_and_all_axes_have_one_scale(scene):
    layout = draw_scene(Cloud.of(scene), Cameras.of(scene)).layout.scene
    assert (layout.camera.up.x, layout.camera.up.y, layout.camera.up.z) == (0, -1, 0)
    spans = [np.diff(layout[f"{axis}axis"].range)[0] for axis in "xyz"]
    ratios = [layout.aspectratio[axis] / span for axis, span in zip("xyz", spans, strict=True)]
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-6)


def test_the_unit_is_written_in_the_figure(scene):
    assert "metres" in draw_scene(Cloud.of(scene), unit="metres").layout.annotations[0].text
    assert "scene units" in draw_scene(Cloud.of(scene)).layout.annotations[0].text


def test_true_cameras_differ_from_predicted_ones_in_more_than_colour(scene):
    figure = draw_scene(Cloud.of(scene), Cameras.of(scene), Cameras.of(scene))
    lines = {trace.name: trace.line for trace in figure.data if trace.mode == "lines"}
    assert lines["cameras"].dash == "solid" and lines["true cameras"].dash == "dash"
    assert lines["cameras"].color != lines["true cameras"].color


def test_a_cloud_without_any_point_is_refused_in_words(scene):
    empty = type(scene)(**{**vars(scene), "valid": scene.valid & False})
    with pytest.raises(ValueError, match="no finite point"):
        Cloud.each(empty)
