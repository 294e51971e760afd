"""The total loss: weights, missing heads, and names for everything."""

import pytest
import torch

from tests.losses.test_matching_loss import PATCH, wall
from vggt_lite.geometry import pose_encoding_from_camera
from vggt_lite.losses import LOSSES, Loss, camera_loss, depth_loss, heads_for, multitask_loss
from vggt_lite.model import Predictions

ALL = {name: loss.weight for name, loss in LOSSES.items()} | {"matching": 0.5, "direction": 0.5}


def _batch():
    batch = wall()
    batch.tracks = torch.full((1, 2, 5, 2), 7.0)
    batch.track_visibility = torch.ones(1, 2, 5, dtype=torch.bool)
    return batch


def _predictions(batch) -> Predictions:
    g = torch.Generator().manual_seed(0)
    views = (1, 2)
    size = batch.images.shape[-2:]

    def leaf(*shape):
        return torch.rand(*views, *shape, generator=g).add(1).requires_grad_()

    return Predictions(
        images=batch.images,
        pose_encodings=[leaf(9), leaf(9)],
        depth=leaf(*size),
        depth_conf=leaf(*size),
        point_map=leaf(*size, 3),
        point_conf=leaf(*size),
        tracks_list=[leaf(5, 2)],
        track_visibility_logits=leaf(5),
        track_conf_logits=leaf(5),
        patch_tokens=leaf(24, 6),
    )


@pytest.mark.parametrize("form", ["code", "paper"])
def test_the_total_is_the_weighted_sum_and_reaches_every_prediction(form):
    batch = _batch()
    pred = _predictions(batch)
    total, terms = multitask_loss(pred, batch, ALL, form, PATCH)
    torch.testing.assert_close(total.detach(), sum(ALL[name] * terms[name] for name in ALL))
    total.backward()
    reached = [*pred.pose_encodings, pred.depth, pred.depth_conf, pred.point_map, pred.point_conf]
    reached += [*pred.tracks_list, pred.track_visibility_logits, pred.patch_tokens]
    assert all(x.grad is not None and x.grad.any() for x in reached)


def test_terms_are_those_of_the_single_losses():
    batch = _batch()
    pred = _predictions(batch)
    _, terms = multitask_loss(pred, batch)
    camera = camera_loss(
        pred.pose_encodings, batch.cam_from_world, batch.intrinsics, batch.images.shape[-2:], batch.valid
    )
    depth = depth_loss(pred.depth, pred.depth_conf, batch.depth, batch.valid)
    torch.testing.assert_close(terms["camera/rotation"], camera["rotation"].detach())
    torch.testing.assert_close(terms["depth"], sum(depth.values()).detach())
    assert "matching" not in terms  # its default weight is 0
    assert not any(term.requires_grad for term in terms.values())


def test_heads_that_are_off_and_weights_left_out_are_skipped():
    batch = _batch()
    pred = Predictions(
        images=batch.images, depth=_predictions(batch).depth, depth_conf=torch.ones(1, 2, 32, 48)
    )
    _, terms = multitask_loss(pred, batch)
    assert {name.split("/")[0] for name in terms} == {"depth"}
    _, terms = multitask_loss(_predictions(batch), batch, {"camera": 1.0})
    assert {name.split("/")[0] for name in terms} == {"camera"}


def test_the_term_that_is_not_finite_can_be_named():
    batch = _batch()
    pred = _predictions(batch)
    pred.pose_encodings[-1] = pred.pose_encodings[-1] * torch.tensor([1, 1, 1, float("nan"), 1, 1, 1, 1, 1.0])
    total, terms = multitask_loss(pred, batch)
    assert not torch.isfinite(total)
    assert [name for name, term in terms.items() if not torch.isfinite(term)] == ["camera", "camera/rotation"]


def test_true_predictions_cost_next_to_nothing():
    batch = _batch()
    exact = pose_encoding_from_camera(batch.cam_from_world, batch.intrinsics, batch.images.shape[-2:])
    ones = torch.ones_like(batch.depth)
    pred = Predictions(
        images=batch.images,
        pose_encodings=[exact],
        depth=batch.depth,
        depth_conf=ones,
        point_map=batch.point_map,
        point_conf=ones,
    )
    total, _ = multitask_loss(pred, batch)
    assert total.abs() < 1e-5


def test_misspelt_weights_and_weights_without_predictions_are_refused():
    batch = _batch()
    with pytest.raises(ValueError, match=r"unknown loss weights \['cameras'\]"):
        multitask_loss(_predictions(batch), batch, {"cameras": 1.0})
    with pytest.raises(ValueError, match="none was predicted"):
        multitask_loss(Predictions(images=batch.images), batch)


def test_a_loss_of_ones_own_is_one_more_entry(monkeypatch):
    batch = _batch()
    pred = _predictions(batch)

    def sharpness(pred, batch, **_):
        return pred.depth.std(), {"largest": pred.depth.max()}

    monkeypatch.setitem(LOSSES, "sharpness", Loss(sharpness, weight=2.0, head="depth"))
    total, terms = multitask_loss(pred, batch, {"camera": 5.0, "sharpness": 3.0})
    torch.testing.assert_close(total, 5 * terms["camera"] + 3 * pred.depth.std())
    assert terms["sharpness/largest"] == pred.depth.max()
    assert "sharpness" in multitask_loss(pred, batch)[1]  # its weight counts where none are given
    assert heads_for(["camera", "sharpness", "matching"]) == {"camera", "depth"}
    with pytest.raises(ValueError, match=r"unknown loss weights \['sharpnes'\]"):
        heads_for(["sharpnes"])
