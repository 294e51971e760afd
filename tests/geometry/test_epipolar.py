"""Two images of a point satisfy the epipolar constraint; other pairs do not."""

import torch

from tests.geometry.cases import GOLDEN, assert_golden, random_intrinsics
from vggt_lite.geometry import essential_matrix, fundamental_matrix, project_points, sampson_distance_squared


def test_essential_matrix_and_sampson_distance_equal_the_official_ones():
    cameras, intrinsics = GOLDEN["gttrack/extrinsics"], GOLDEN["gttrack/intrinsics"]
    essential = essential_matrix(cameras[:1], cameras[1:])
    assert_golden(essential, "gttrack/essential")
    fundamental = fundamental_matrix(essential, intrinsics[:1], intrinsics[1:])
    pixels = GOLDEN["gttrack/negative_candidates"]
    assert_golden(sampson_distance_squared(pixels[:1], pixels[1:], fundamental), "gttrack/sampson_sq")


def test_images_of_one_point_have_no_distance_and_shifted_ones_their_shift():
    first = torch.eye(3, 4, dtype=torch.float64)
    second = first.clone()
    second[0, 3] = -1.0  # a camera moved to the right: epipolar lines are the image's rows
    intrinsics = random_intrinsics(image_size=(48, 64))
    points = torch.rand(9, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 2
    fundamental = fundamental_matrix(essential_matrix(first, second), intrinsics, intrinsics)
    x1, _ = project_points(points, first, intrinsics)
    x2, _ = project_points(points, second, intrinsics)
    torch.testing.assert_close(sampson_distance_squared(x1, x2, fundamental), torch.zeros(9).double())
    # A vertical error of 3 px: half belongs to each image, so the squared distance is 3² / 2
    x2[:, 1] += 3
    torch.testing.assert_close(sampson_distance_squared(x1, x2, fundamental), torch.full((9,), 4.5).double())
