"""Clouds side by side: one box and one viewpoint for all, and no more points than one figure may have."""

from dataclasses import replace

import numpy as np
import pytest

from vggt_lite.viz import Cameras, Cloud, draw_side_by_side
from vggt_lite.viz.side_by_side import common_frame


@pytest.fixture
def cases():
    random = np.random.default_rng(0)
    points = random.normal(size=(500, 3)).astype(np.float32)
    colors = random.integers(0, 255, (500, 3), dtype=np.uint8)
    cloud = Cloud(points, colors, np.ones(500, np.float32), np.zeros(500, int))
    camera = Cameras(np.eye(4)[None, :3], np.diag([8.0, 8, 1])[None], [(8, 8)], [1])
    return {"one": (cloud, camera), "twice as large": (replace(cloud, points=2 * points), None)}


def test_all_panels_show_the_same_box_from_the_same_side(cases):
    fig = draw_side_by_side(cases)
    first, second = fig.layout.scene, fig.layout.scene2
    assert first.xaxis.range == second.xaxis.range and first.zaxis.range == second.zaxis.range
    assert first.camera == second.camera and first.aspectratio == second.aspectratio
    low, high = common_frame(cases)
    assert np.allclose(first.xaxis.range, [low[0], high[0]])


def test_each_panel_has_its_title_its_points_and_its_cameras(cases):
    fig = draw_side_by_side(cases)
    assert [note.text for note in fig.layout.annotations] == ["one", "twice as large"]
    in_scene = [[trace.name for trace in fig.data if trace.scene == name] for name in ("scene", "scene2")]
    assert in_scene == [["points", "cameras", "numbers"], ["points"]]


def test_the_panels_share_the_points_a_figure_may_have(cases, monkeypatch):
    monkeypatch.setenv("VGGT_LITE_MAX_POINTS", "200")
    fig = draw_side_by_side(cases)
    assert [len(trace.x) for trace in fig.data if trace.name == "points"] == [100, 100]


def test_nothing_to_draw_is_said():
    with pytest.raises(ValueError, match="cases is empty"):
        draw_side_by_side({})
