"""Frusta from step to step: the way so far is drawn, and the frame stays."""

import numpy as np
import pytest

from vggt_lite.viz import Cameras, Cloud, draw_frusta
from vggt_lite.viz.frusta import trails


def cameras(shift: float, number: int = 3) -> Cameras:
    """Cameras side by side, looking along z; the k-th stands at x = k · shift."""
    where = np.tile(np.eye(3, 4, dtype=np.float32), (number, 1, 1))
    where[:, 0, 3] = -shift * np.arange(number)
    lens = np.tile(np.array([[32.0, 0, 32], [0, 32, 32], [0, 0, 1]], np.float32), (number, 1, 1))
    return Cameras(where, lens, number * [(64, 64)], list(range(1, number + 1)))


PATH = [cameras(0.0), cameras(0.6), cameras(0.9)]
TRUE = cameras(1.0)
points = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32) + (1, 0, 3)
CLOUD = Cloud(points, np.full((200, 3), 120, np.uint8), np.ones(200, np.float32), np.zeros(200, int))


def test_trails_hold_every_camera_at_every_step():
    ways = trails(PATH)
    assert ways.shape == (3, 3, 3)
    np.testing.assert_allclose(ways[2, :, 0], [0, 1.2, 1.8], atol=1e-6)
    with pytest.raises(ValueError, match="same cameras"):
        trails([cameras(1.0, 2), cameras(1.0, 3)])


def test_the_way_ends_at_the_step_that_is_shown_and_nothing_else_moves():
    early, late = (draw_frusta(CLOUD, PATH, step, TRUE) for step in (0, 2))
    assert [t.type for t in early.data] == [t.type for t in late.data]
    way = {
        step: next(t for t in fig.data if t.name == "path of each camera")
        for step, fig in ((0, early), (2, late))
    }
    assert np.isfinite(way[0].x).sum() == 3 and np.isfinite(way[2].x).sum() == 9
    assert early.layout.scene.xaxis.range == late.layout.scene.xaxis.range
    assert [t.line.dash for t in late.data if t.name == "true cameras"] == ["dash"]
