"""Quaternions and matrices describe the same turns, as the official code has them."""

import math

import pytest
import torch

from tests.geometry.cases import GOLDEN, assert_golden, random_cameras
from vggt_lite.geometry import matrix_from_quat_xyzw, quat_xyzw_from_matrix, rotation_angle, with_positive_w


def test_matrices_and_quaternions_equal_the_official_ones():
    assert_golden(matrix_from_quat_xyzw(GOLDEN["rot/quat"]), "rot/mat")
    assert_golden(quat_xyzw_from_matrix(GOLDEN["rot/mat"]), "rot/quat_back")
    assert_golden(quat_xyzw_from_matrix(GOLDEN["rot/noisy_mat"]), "rot/noisy_quat")
    assert_golden(with_positive_w(GOLDEN["rot/quat"]), "rot/standardized")


def test_gradient_of_the_matrix_equals_the_official_one():
    quat = GOLDEN["rot/grad_quat_in"].clone().requires_grad_()
    (matrix_from_quat_xyzw(quat) * GOLDEN["rot/grad_weight"]).sum().backward()
    assert_golden(quat.grad, "rot/grad_quat")


def test_a_quaternion_survives_the_way_through_a_matrix():
    quat = torch.randn(200, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    back = quat_xyzw_from_matrix(matrix_from_quat_xyzw(quat))
    torch.testing.assert_close(back, with_positive_w(quat / quat.norm(dim=-1, keepdim=True)))


def test_half_turns_about_each_axis_have_finite_gradients():
    matrix = torch.stack([torch.tensor(d).diag() for d in ([1.0, -1, -1], [-1.0, 1, -1], [-1.0, -1, 1])])
    matrix.requires_grad_()
    quat_xyzw_from_matrix(matrix).sum().backward()
    assert torch.isfinite(matrix.grad).all()


def test_a_zero_quaternion_is_no_turn_and_has_finite_gradients():
    quat = torch.zeros(2, 4, requires_grad=True)
    matrix = matrix_from_quat_xyzw(quat)
    matrix.sum().backward()
    torch.testing.assert_close(matrix.detach(), torch.eye(3).expand(2, 3, 3))
    assert torch.isfinite(quat.grad).all()


@pytest.mark.parametrize("degrees", [0.0, 1e-3, 1.0, 90.0, 179.9, 180.0])
def test_the_angle_between_rotations_is_the_angle_of_the_turn(degrees):
    half = math.radians(degrees) / 2
    turn = matrix_from_quat_xyzw(
        torch.tensor([0.0, math.sin(half), 0.0, math.cos(half)], dtype=torch.float64)
    )
    start = random_cameras()[:, :3]
    angle = rotation_angle(turn @ start, start)
    torch.testing.assert_close(angle.rad2deg().item(), degrees, rtol=1e-6, atol=2e-6)
