"""The camera loss: the release's numbers, and what it must not do."""

import pytest
import torch

from tests.geometry.cases import GOLDEN, assert_golden, random_cameras, random_intrinsics
from vggt_lite.geometry import pose_encoding_from_camera
from vggt_lite.losses import camera_loss

SIZE = (28, 42)
OFFICIAL = {"camera": "loss_camera", "translation": "loss_T", "rotation": "loss_R", "fov": "loss_FL"}


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_values_and_gradients_equal_the_release(norm):
    pred = GOLDEN["loss/cam_pred"].clone().requires_grad_()
    terms = camera_loss(
        list(pred),
        GOLDEN["loss/cam_extrinsics"],
        GOLDEN["loss/cam_intrinsics"],
        SIZE,
        GOLDEN["loss/cam_masks"],
        norm=norm,
    )
    terms["camera"].backward()
    for ours, official in OFFICIAL.items():
        assert_golden(terms[ours], f"loss/cam_{norm}/{official}")
    assert_golden(pred.grad, f"loss/cam_{norm}/dpred")


def test_the_target_is_the_encoding_the_release_compares_with():
    cameras, intrinsics = GOLDEN["loss/cam_extrinsics"], GOLDEN["loss/cam_intrinsics"]
    assert_golden(pose_encoding_from_camera(cameras, intrinsics, SIZE), "loss/cam_gt_encoding")


def _truth(scenes: int = 3, views: int = 2):
    cameras = random_cameras(scenes, views)
    intrinsics = random_intrinsics(scenes, views, image_size=SIZE)
    return cameras, intrinsics, SIZE, torch.ones(scenes, views, *SIZE, dtype=torch.bool)


@pytest.mark.parametrize("form", ["code", "paper"])
def test_the_true_camera_costs_nothing_and_any_other_something(form):
    cameras, intrinsics, size, valid = _truth()
    exact = pose_encoding_from_camera(cameras, intrinsics, size)
    assert camera_loss([exact], *_truth(), form=form)["camera"].item() == pytest.approx(0, abs=1e-7)
    assert camera_loss([exact + 0.01], *_truth(), form=form)["camera"] > 1e-4


def test_a_scene_whose_first_view_has_100_valid_pixels_does_not_count():
    cameras, intrinsics, size, valid = _truth()
    valid[1, 0] = False
    valid[1, 0].view(-1)[:100] = True
    pred = torch.zeros(3, 2, 9, requires_grad=True)
    camera_loss([pred], cameras, intrinsics, size, valid)["camera"].backward()
    assert not pred.grad[1].any()
    assert pred.grad[0].any() and pred.grad[2].any()


def test_without_any_valid_scene_the_loss_is_zero_and_can_be_trained_with():
    cameras, intrinsics, size, valid = _truth()
    pred = torch.randn(3, 2, 9, requires_grad=True)
    loss = camera_loss([pred], cameras, intrinsics, size, torch.zeros_like(valid))["camera"]
    loss.backward()
    assert loss == 0 and not pred.grad.any()


def test_hubers_slope_is_one_far_away_and_shrinks_near_the_truth():
    exact = pose_encoding_from_camera(*_truth()[:3])
    for offset, slope in ((10.0, 1.0), (0.05, 0.5)):  # ε = 0.1: half way, half the slope
        pred = (exact + offset).requires_grad_()
        camera_loss([pred], *_truth(), form="paper")["camera"].backward()
        torch.testing.assert_close(pred.grad * 3 * 2, torch.full_like(exact, slope), rtol=1e-4, atol=0)


def test_later_iterations_weigh_more():
    exact = pose_encoding_from_camera(*_truth()[:3])
    wrong = exact + 1
    early = camera_loss([wrong, exact], *_truth())["camera"]
    late = camera_loss([exact, wrong], *_truth())["camera"]
    torch.testing.assert_close(early, 0.6 * late)


@pytest.mark.parametrize("argument", [{"form": "codes"}, {"norm": "L1"}])
def test_unknown_options_are_named(argument):
    (name,) = argument
    with pytest.raises(ValueError, match=f"{name}="):
        camera_loss([torch.zeros(3, 2, 9)], *_truth(), **argument)
