"""Pixels, camera frames and the world agree with each other and with the official code."""

import pytest
import torch

from tests.geometry.cases import GOLDEN, assert_golden, random_cameras, random_intrinsics
from vggt_lite.geometry import (
    as_4x4,
    camera_center,
    compose,
    invert_rigid,
    normalized_coordinates,
    project_points,
    transform_points,
    unproject_depth,
)


def test_unprojection_equals_the_official_one_with_its_pixel_rule():
    depth, intrinsics, cameras = GOLDEN["geo/depth"], GOLDEN["geo/intrinsics"], GOLDEN["geo/extrinsics"]
    assert_golden(unproject_depth(depth, intrinsics, cameras, pixel_center=0.0), "geo/world")
    in_cam = unproject_depth(depth, intrinsics, torch.eye(3, 4), pixel_center=0.0)
    assert_golden(in_cam, "geo/cam")
    assert torch.equal(depth > 1e-8, GOLDEN["geo/mask"])


def test_projection_equals_the_official_one():
    pixels, z = project_points(GOLDEN["geo/points"], GOLDEN["geo/extrinsics"], GOLDEN["geo/intrinsics"])
    assert_golden(pixels, "geo/proj_pixels")
    in_cam = transform_points(GOLDEN["geo/extrinsics"], GOLDEN["geo/points"])
    assert_golden(in_cam.mT, "geo/proj_cam")
    assert torch.equal(z, in_cam[..., 2])
    cameras = GOLDEN["geo/extrinsics"].reshape(2, 3, 1, 3, 4)
    assert_golden(transform_points(cameras, GOLDEN["geo/points_grid"]), "geo/cam_points_grid")
    rays = normalized_coordinates(GOLDEN["geo/proj_pixels"], GOLDEN["geo/intrinsics"])
    assert_golden(rays, "geo/normalized_coords")


def test_inverse_equals_the_official_one():
    assert_golden(invert_rigid(GOLDEN["geo/extrinsics"]), "geo/inverse")
    assert_golden(invert_rigid(as_4x4(GOLDEN["geo/extrinsics"])), "geo/inverse_from_4x4")


def test_projecting_an_unprojected_depth_map_gives_back_the_pixel_centres():
    height, width = 5, 7
    cameras = random_cameras(2, 3)
    intrinsics = random_intrinsics(2, 3, image_size=(height, width))
    g = torch.Generator().manual_seed(0)
    depth = 1 + torch.rand(2, 3, height, width, generator=g, dtype=torch.float64)
    world = unproject_depth(depth, intrinsics, cameras)

    pixels, z = project_points(world.flatten(-3, -2), cameras, intrinsics)

    pixels = pixels.unflatten(-2, (height, width))
    columns, rows = torch.arange(width) + 0.5, torch.arange(height)[:, None] + 0.5
    torch.testing.assert_close(pixels[..., 0], columns.double().expand(2, 3, height, width))
    torch.testing.assert_close(pixels[..., 1], rows.double().expand(2, 3, height, width))
    torch.testing.assert_close(z.unflatten(-1, (height, width)), depth)


def test_a_point_at_the_cameras_centre_projects_to_a_finite_pixel():
    camera = random_cameras()
    intrinsics = random_intrinsics(image_size=(8, 8))
    pixels, _ = project_points(camera_center(camera)[None], camera, intrinsics)
    assert torch.isfinite(pixels).all()


def test_a_transform_composed_with_its_inverse_does_nothing():
    a_from_b = random_cameras(4)
    identity = torch.eye(3, 4, dtype=torch.float64).expand(4, 3, 4)
    torch.testing.assert_close(compose(a_from_b, invert_rigid(a_from_b)), identity)
    torch.testing.assert_close(compose(invert_rigid(a_from_b), a_from_b), identity)


def test_composing_transforms_is_applying_one_after_the_other():
    a_from_b, b_from_c = random_cameras(4, seed=0), random_cameras(4, seed=1)
    points = torch.randn(4, 6, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    torch.testing.assert_close(
        transform_points(compose(a_from_b, b_from_c), points),
        transform_points(a_from_b, transform_points(b_from_c, points)),
    )


def test_the_cameras_centre_is_the_origin_of_its_own_frame():
    camera = random_cameras()
    in_cam = transform_points(camera, camera_center(camera)[None])
    torch.testing.assert_close(in_cam, torch.zeros(1, 3, dtype=torch.float64))


@pytest.mark.parametrize("shape", [(3, 3), (2, 4, 3), (4,)])
def test_what_is_no_transform_is_refused_with_the_shape_that_would_work(shape):
    with pytest.raises(ValueError, match=r"\(…, 3, 4\) or \(…, 4, 4\)"):
        invert_rigid(torch.zeros(shape))


def test_autocast_does_not_blur_geometry():
    depth, intrinsics, camera = torch.full((4, 4), 3.0), torch.tensor(30.0) * torch.eye(3), random_cameras()
    camera = camera.float()
    intrinsics[2, 2] = 1
    with torch.autocast("cpu", torch.bfloat16):
        got = unproject_depth(depth, intrinsics, compose(camera, invert_rigid(camera)))
    want = unproject_depth(depth, intrinsics, torch.eye(3, 4))
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)
