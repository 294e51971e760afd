"""Other programs' cameras see the same points."""

import itertools

import pytest
import torch

from tests.geometry.cases import random_cameras
from vggt_lite.geometry import CONVENTIONS, camera_center, convert_cameras, transform_points

OURS = "opencv_cam_from_world"


@pytest.mark.parametrize(("a", "b"), list(itertools.product(CONVENTIONS, CONVENTIONS)))
def test_there_and_back_is_where_one_started(a, b):
    cameras = random_cameras(2, 3)
    in_a = convert_cameras(cameras, OURS, a)
    back = convert_cameras(convert_cameras(convert_cameras(in_a, a, b), b, a), a, OURS)
    torch.testing.assert_close(back, cameras)


def test_opengl_looks_along_minus_z_with_y_up_from_the_same_place():
    camera = random_cameras()
    world_from_gl = convert_cameras(camera, OURS, "opengl_world_from_cam")
    torch.testing.assert_close(world_from_gl[:3, 3], camera_center(camera))
    torch.testing.assert_close(-world_from_gl[:3, 2], camera[2, :3])  # forward is our z axis
    torch.testing.assert_close(-world_from_gl[:3, 1], camera[1, :3])  # up is minus our y axis


def test_colmap_quaternions_begin_with_w():
    quat_wxyz, translation = convert_cameras(torch.eye(3, 4), OURS, "colmap")
    torch.testing.assert_close(quat_wxyz, torch.tensor([1.0, 0, 0, 0]))
    assert translation.shape == (3,)


def test_pytorch3d_rows_times_matrix_gives_left_up_forward():
    camera = random_cameras()
    points = torch.randn(5, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    rotation, translation = convert_cameras(camera, OURS, "pytorch3d")
    expected = transform_points(camera, points) * torch.tensor([-1.0, -1.0, 1.0])
    torch.testing.assert_close(points @ rotation + translation, expected)


def test_an_unknown_convention_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"from_convention='blender'.*opengl_world_from_cam"):
        convert_cameras(torch.eye(3, 4), "blender", OURS)


def test_cameras_of_the_wrong_kind_are_refused():
    with pytest.raises(ValueError, match="a pair of tensors"):
        convert_cameras(torch.eye(3, 4), "colmap", OURS)
    with pytest.raises(ValueError, match="one tensor"):
        convert_cameras((torch.eye(3), torch.zeros(3)), OURS, "colmap")
