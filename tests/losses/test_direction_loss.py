"""The direction loss: angles between cameras, whatever their distance."""

import math

import pytest
import torch

from vggt_lite.geometry import matrix_from_quat_xyzw, pose_encoding_from_camera
from vggt_lite.losses import direction_loss


def cameras(centers, turns=None) -> torch.Tensor:
    """(1, S, 3, 4) cameras at `centers` (S, 3), turned by quaternions (S, 4)."""
    centers = torch.tensor(centers)
    turns = torch.tensor([0.0, 0, 0, 1]).expand(len(centers), 4) if turns is None else turns
    rotation = matrix_from_quat_xyzw(turns)
    return torch.cat([rotation, -rotation @ centers[..., None]], dim=-1)[None]


def encoded(cam_from_world) -> torch.Tensor:
    k = torch.tensor([[50.0, 0, 32], [0, 50, 32], [0, 0, 1]]).expand(1, cam_from_world.shape[1], 3, 3)
    return pose_encoding_from_camera(cam_from_world, k, (64, 64))


TURNS = torch.nn.functional.normalize(torch.randn(3, 4, generator=torch.Generator().manual_seed(0)), dim=-1)
PLACES = [[0.0, 0, 0], [1, 0, 0], [0, 2, 0.5]]


def test_the_truth_costs_nothing_and_scale_plays_no_part():
    true = cameras(PLACES, TURNS)
    assert direction_loss([encoded(true)], true) == pytest.approx(0, abs=1e-6)
    tenfold = cameras([[10 * x for x in place] for place in PLACES], TURNS)
    assert direction_loss([encoded(tenfold)], true) == pytest.approx(0, abs=1e-6)


def test_it_is_one_minus_the_cosine_of_the_angle():
    angle = math.radians(30)
    found = cameras([[0.0, 0, 0], [math.cos(angle), math.sin(angle), 0]])
    loss = direction_loss([encoded(found)], cameras(PLACES[:2]))
    assert loss == pytest.approx(1 - math.cos(angle), abs=1e-6)


def test_a_turned_camera_sees_the_other_elsewhere():
    turned = torch.tensor([[0.0, 0, math.sin(0.1), math.cos(0.1)], [0, 0, 0, 1]])  # the first by 0.2 radians
    found = direction_loss([encoded(cameras(PLACES[:2], turned))], cameras(PLACES[:2]))
    assert found == pytest.approx((1 - math.cos(0.2)) / 2, abs=1e-6)


def test_early_iterations_weigh_less():
    true, wrong = cameras(PLACES[:2]), cameras([[0.0, 0, 0], [-1, 0, 0]])
    first, last = ([encoded(a), encoded(b)] for a, b in ((wrong, true), (true, wrong)))
    assert direction_loss(first, true) == pytest.approx(0.6 * direction_loss(last, true).item())


def test_cameras_in_one_place_have_no_direction_and_a_finite_gradient():
    same = cameras([[0.0, 0, 0], [0, 0, 0.001]])
    encoding = encoded(same).requires_grad_()
    loss = direction_loss([encoding], same)
    loss.backward()
    assert loss == 0 and encoding.grad.isfinite().all()
    one = cameras([[0.0, 0, 0]])
    assert direction_loss([encoded(one)], one) == 0
