"""Measured positions of the cameras give metres and a frame."""

import warnings
from dataclasses import replace

import pytest
import torch

from tests.inference.oracle import report
from vggt_lite.geometry import Similarity, camera_center, matrix_from_quat_xyzw
from vggt_lite.inference import Reconstruction, local_metres
from vggt_lite.inference.known import moved
from vggt_lite.synthetic import generate_scenes

TO_METRES = Similarity(
    torch.tensor(3.0),
    matrix_from_quat_xyzw(torch.tensor([0.3, -0.5, 0.2, 0.7])),
    torch.tensor([4.0, -2.0, 7.0]),
)


@pytest.fixture(scope="module")
def scene() -> Reconstruction:
    scene = Reconstruction.from_batch(generate_scenes(1_000_003, 1, 8, 24, 32))
    return replace(scene, refinement=report(scene))


@pytest.fixture(scope="module")
def metric(scene) -> Reconstruction:
    return moved(scene, TO_METRES)


def check(found: Reconstruction, metric: Reconstruction, atol: float) -> None:
    assert torch.allclose(found.cam_from_world, metric.cam_from_world, atol=atol)
    assert torch.allclose(found.depth, metric.depth, rtol=atol)
    assert torch.allclose(found.points()[0], metric.points()[0], atol=3 * atol)
    assert torch.allclose(found.refinement.points, metric.refinement.points, atol=3 * atol)
    assert found.refinement.error_after == metric.refinement.error_after


@pytest.mark.parametrize("views", [None, [0, 3, 6], [7, 2, 5, 1]])
def test_positions_give_metres_and_their_frame(scene, metric, views):
    positions = camera_center(metric.cam_from_world)
    check(scene.aligned_to(positions if views is None else positions[views], views), metric, 1e-4)


def test_wrong_positions_do_not_bend_the_scene_and_are_named(scene, metric):
    positions = camera_center(metric.cam_from_world).double()
    positions[2] += torch.tensor([30.0, 0, 0])
    positions[5] += torch.tensor([0.0, -9, 4])
    with pytest.warns(UserWarning, match="view 2 by 30 , view 5 by 9.8".replace(" ,", ",")):
        found = scene.aligned_to(positions)
    check(found, metric, 1e-3)


def test_noise_is_averaged_and_the_shape_of_the_scene_stays(scene, metric):
    noise = 0.05 * torch.randn(8, 3, generator=torch.Generator().manual_seed(1))
    found = scene.aligned_to(camera_center(metric.cam_from_world) + noise)
    ratio = found.depth / scene.depth
    assert torch.allclose(ratio, ratio.flatten()[0]) and ratio[0, 0, 0] == pytest.approx(3.0, rel=0.05)


@pytest.mark.parametrize("wrong", [None, 0, 1, 2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_of_four_noisy_positions_one_may_be_wrong(scene, metric, wrong, seed):
    """Cameras stand about as near to their true places as the noise lets them, with or without an outlier."""
    centers = camera_center(metric.cam_from_world[:4])
    noise = 0.02 * torch.randn(4, 3, generator=torch.Generator().manual_seed(seed))
    positions = centers + noise
    if wrong is not None:
        positions[wrong] += torch.tensor([6.0, 0, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = scene.aligned_to(positions, [0, 1, 2, 3])
    off = (camera_center(found.cam_from_world[:4]) - centers).norm(dim=-1)
    right = [view for view in range(4) if view != wrong]
    assert off[right].max() < 3 * noise[right].norm(dim=-1).max()


@pytest.mark.parametrize(
    ("positions", "views", "said"),
    [
        (torch.zeros(2, 3), [0, 1], r"shape \(2, 3\): give \(n, 3\), three or more"),
        (torch.zeros(8, 2), None, r"shape \(8, 2\): give \(n, 3\)"),
        (torch.zeros(4, 3), None, "positions has 4 rows for 8 views"),
        (torch.zeros(8, 3), None, "positions all stand in one point"),
        (torch.arange(24.0).view(8, 3), None, "positions lie on a line"),
        (torch.full((8, 3), torch.nan), None, "NaN or infinite"),
        (torch.eye(3) + 5e6, [0, 1, 2], "from the origin .* subtract one position"),
    ],
)
def test_positions_that_leave_it_open_are_refused(scene, positions, views, said):
    with pytest.raises(ValueError, match=said):
        scene.aligned_to(positions, views)


def test_predicted_cameras_on_a_line_are_refused(scene):
    cameras = torch.eye(3, 4).repeat(8, 1, 1)
    cameras[:, 0, 3] = torch.arange(8.0)
    with pytest.raises(ValueError, match="predicted cameras of these views lie on a line"):
        replace(scene, cam_from_world=cameras).aligned_to(torch.randn(8, 3))


@pytest.mark.parametrize(  # metres of a thousandth of a degree, from tables of WGS 84
    ("latitude", "north", "east"),
    [(0.0, 110.574, 111.320), (45.0, 111.132, 78.847), (-60.0, 111.412, 55.800)],
)
def test_degrees_become_metres_east_north_and_up(latitude, north, east):
    step = 0.001
    found = local_metres(
        [latitude, latitude + step, latitude, latitude], [8, 8, 8 + step, 8], [100, 100, 100, 125]
    )
    expected = torch.tensor([[0, 0, 0], [0, north, 0], [east, 0, 0], [0, 0, 25.0]]).double()
    assert torch.allclose(found, expected, atol=0.02)  # the tables' digits, and the curved Earth


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (([1, 2], [1], [0]), "same length"),
        (([], [], []), "same length"),
        ((48.0, 11.0, 500.0), "same length: n numbers each"),
        (([120.0], [48.0], [0.0]), "are they swapped"),
        (([48.0], [float("nan")], [0.0]), "longitude has NaN"),
        ((["48° N"], [11.0], [0.0]), "latitude are no numbers"),
    ],
)
def test_degrees_that_cannot_be_are_refused(parts, said):
    with pytest.raises(ValueError, match=said):
        local_metres(*parts)
