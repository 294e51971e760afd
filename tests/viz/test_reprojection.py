"""Projection and residual figures: right pixels, and the error in the title."""

import numpy as np
import pytest
import torch

from tests.viz.contrast import assert_readable
from vggt_lite.viz import draw_projection, draw_residuals
from vggt_lite.viz.reprojection import residual_title

POINTS = torch.tensor([[-1.0, 0.5, 2.0], [0.5, -0.5, 2.0], [1.0, -1.0, 4.0]])
K = torch.tensor([[100.0, 0.0, 80.0], [0.0, 100.0, 60.0], [0.0, 0.0, 1.0]])


def test_points_land_on_their_pixels_and_rays_cross_the_window():
    figure = draw_projection(POINTS, K, (120, 160))
    rays = [trace for trace in figure.data if trace.mode == "lines+markers+text"]
    marks = [trace for trace in figure.data if trace.mode == "markers+text"]
    assert [(mark.x[0], mark.y[0]) for mark in marks] == [(30, 85), (105, 35), (105, 35)]
    assert [ray.x[1] for ray in rays] == [-0.5, 0.25, 0.25] and all(ray.y[1] == 1 for ray in rays)
    assert len({mark.marker.size for mark in marks}) == 3  # what coincides stays visible


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="behind the camera"):
        draw_projection(-POINTS, K, (120, 160))
    with pytest.raises(ValueError, match="5 points"):
        draw_projection(torch.ones(5, 3), K, (120, 160))


def residuals() -> tuple:
    g = torch.Generator().manual_seed(0)
    observed = 20 * torch.rand(2, 9, 2, generator=g)
    return torch.rand(2, 3, 20, 24, generator=g), observed, observed + 3, torch.rand(2, 9, generator=g) > 0.3


def test_the_title_counts_only_what_was_seen():
    images, observed, projected, seen = residuals()
    projected = torch.where(seen[..., None], projected, torch.inf)
    title = residual_title(*(x.numpy() for x in (observed, projected, seen)), "after step 2")
    assert title == "after step 2: error 4.24 px (root mean square)"
    figure = draw_residuals(images, observed, projected, seen)
    rings = [trace for trace in figure.data if trace.type == "scatter" and trace.mode == "markers"]
    assert [len(ring.x) for ring in rings] == seen.sum(1).tolist()
    np.testing.assert_allclose(rings[0].customdata, 18**0.5, rtol=1e-5)


def test_figures_are_readable_in_light_and_dark():
    assert_readable(draw_residuals(*residuals()), draw_projection(POINTS, K, (120, 160)))
