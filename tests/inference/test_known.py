"""One distance in metres makes the whole scene metric."""

from dataclasses import replace

import pytest
import torch

from tests.inference.oracle import report
from vggt_lite.geometry import project_points, unproject_depth
from vggt_lite.inference import Reconstruction
from vggt_lite.inference.known import point_at
from vggt_lite.synthetic import generate_scenes


@pytest.fixture(scope="module")
def metric() -> Reconstruction:
    return Reconstruction.from_batch(generate_scenes(1_000_003, 1, 3, 48, 64))


@pytest.fixture(scope="module")
def scene(metric) -> Reconstruction:
    """The same room in another unit."""
    cameras = metric.cam_from_world.clone()
    cameras[:, :, 3] *= 0.4
    return replace(metric, cam_from_world=cameras, depth=0.4 * metric.depth, point_map=0.4 * metric.point_map)


def test_a_known_distance_gives_metres(metric, scene):
    places = (0, 10.0, 12.0), (2, 50.0, 40.0)
    true = (point_at(metric, *places[0]) - point_at(metric, *places[1])).norm().item()
    found = scene.scaled(metres=true, between=places)
    assert torch.allclose(found.cam_from_world, metric.cam_from_world, atol=1e-5)
    assert torch.allclose(found.depth, metric.depth, rtol=1e-5)
    assert torch.allclose(found.point_map, metric.point_map, rtol=1e-4, atol=1e-5)
    assert torch.equal(scene.depth, 0.4 * metric.depth)  # the scene given is as it was


def test_a_place_is_the_point_that_its_pixel_shows(metric):
    expected = unproject_depth(metric.depth, metric.network_intrinsics, metric.cam_from_world)[1, 20, 30]
    assert torch.allclose(point_at(metric, 1, 30.5, 20.5), expected, atol=1e-5)


@pytest.mark.parametrize(
    "metres, between, said",
    [
        (0.0, ((0, 1, 1), (0, 5, 5)), "metres=0.0 is no distance"),
        (float("nan"), ((0, 1, 1), (0, 5, 5)), "metres=nan is no distance"),
        (1.0, ((0, 1, 1),), "has 1 places: give two"),
        (1.0, ((3, 1, 1), (0, 5, 5)), "view 3, .*there are views 0 to 2"),
        (1.0, ((0, 64, 1), (0, 5, 5)), r"view 0, pixel \(64, 1\): the photograph has 64×48"),
        (1.0, ((0, 5, 5), (0, 5, 5)), "both places are the same point"),
    ],
)
def test_what_gives_no_distance_is_refused(scene, metres, between, said):
    with pytest.raises(ValueError, match=said):
        scene.scaled(metres, between)


def test_a_place_without_depth_is_refused(scene):
    hole = replace(scene, depth=scene.depth.clone())
    hole.depth[0, 5, 5] = 0
    with pytest.raises(ValueError, match=r"view 0, pixel \(5, 5\) has no depth"):
        hole.scaled(1.0, ((0, 5, 5), (0, 20, 20)))
    with pytest.raises(ValueError, match="has no depth"):
        replace(scene, depth=None).scaled(1.0, ((0, 5, 5), (0, 20, 20)))
    with pytest.raises(ValueError, match=r"pixel \(5, 5\): this view has no camera"):
        replace(scene, cam_from_world=None).scaled(1.0, ((0, 5, 5), (0, 20, 20)))


def test_a_refinement_comes_along(scene):
    report_ = report(scene)
    found = replace(scene, refinement=report_).scaled(2.0, ((0, 5.0, 5.0), (2, 50.0, 40.0)))
    factor = found.depth[0, 0, 0] / scene.depth[0, 0, 0]
    assert torch.allclose(found.refinement.points, factor * report_.points)
    pixels, _ = project_points(found.refinement.points, found.cam_from_world, found.intrinsics)
    assert torch.allclose(pixels[report_.inliers], report_.tracks[report_.inliers], atol=1e-2)
