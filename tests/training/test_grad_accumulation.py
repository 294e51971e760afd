"""A batch that passes in parts has the gradient of the whole batch, whatever the network is made of."""

from dataclasses import dataclass, field

import pytest
import torch
from torch import nn

from tests.training.toy import ToyModel, ToyScenes
from vggt_lite.config import NANO
from vggt_lite.losses import multitask_loss
from vggt_lite.model import VGGT, Predictions
from vggt_lite.model.layers import Attention
from vggt_lite.training.grad_accumulation import loss_and_gradients

SMALL = NANO.with_(
    dim=32, num_heads=2, vit_depth=1, depth=1, dense_layers=(0, 0, 0, 0), dense_dims=(8, 8, 8, 8),
    dense_dim=8, heads=("camera", "depth"),
)  # fmt: skip


@dataclass
class MorePredictions(Predictions):
    """What a head of one's own adds: nested, and not all of it tensors."""

    further: dict = field(default_factory=dict)


class NormalsModel(ToyModel):
    """The toy with a head more, whose output no field of `Predictions` is made for."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout.p = 0.0
        self.normals_head = nn.Conv2d(8, 3, 1)

    def forward(self, images, query_points=None):
        plain = super().forward(images)
        features = self.aggregator(images.flatten(0, 1)).tanh()
        normals = self.normals_head(features).unflatten(0, images.shape[:2])
        further = {
            "normals": normals,
            "stages": [(normals.mean(2), {"half": normals[..., ::2]})],
            "kind": "unit",
        }
        return MorePredictions(**vars(plain), further=further)


def normals_loss(pred, batch):
    """A mean over what is valid, and a quantile: neither adds up from parts."""
    mean, inner = pred.further["stages"][0]
    error = (pred.further["normals"].norm(dim=2) - batch.depth).abs()
    worst = inner["half"].flatten().quantile(0.9)
    total = error[batch.valid].mean() + worst + (mean * pred.depth).mean()
    return total, {"normals": error.mean(), "worst": worst}


def gradients(model, objective, parts, batch=None):
    batch = ToyScenes().batch_for_step(0) if batch is None else batch
    batch.valid[1:, :, :5] = False  # one scene knows much more than the others
    total, terms, finite = loss_and_gradients(lambda b: model(b.images), objective, batch, parts)
    assert finite
    return total.item(), {name: p.grad for name, p in model.named_parameters()}, terms


def assert_equal(model, objective, parts, tolerance=1e-5):
    whole, expected, terms = gradients(model, objective, 1)
    model.zero_grad()
    total, found, in_parts = gradients(model, objective, parts)
    assert total == pytest.approx(whole, rel=1e-5) and set(in_parts) == set(terms)
    largest = max(x.abs().max().item() for x in expected.values() if x is not None)
    for name, gradient in expected.items():
        if gradient is None:
            assert found[name] is None
        else:
            torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=tolerance * largest)


@pytest.mark.parametrize("parts", [2, 3, 4, 9])
def test_a_loss_of_ones_own_on_what_a_head_of_ones_own_predicts(parts):
    assert_equal(NormalsModel(), normals_loss, parts)


def test_a_replaced_attention(monkeypatch):
    plain = Attention.forward

    def sharper(self, x, *args, **kwargs):
        return plain(self, 3 * x, *args, **kwargs)

    torch.manual_seed(0)
    model = VGGT(SMALL).train()
    monkeypatch.setattr(Attention, "forward", sharper)
    assert_equal(
        model, lambda pred, batch: multitask_loss(pred, batch, {"camera": 5.0, "depth": 1.0}), 2, 1e-4
    )


def test_dropout_drops_the_same_in_both_passes():
    """The gradient is that of the loss reported: a small step along it changes the loss as it says."""
    torch.manual_seed(3)
    model = ToyModel().double()
    model.dropout.p = 0.5
    batch = ToyScenes().batch_for_step(0).apply(lambda x: x.double() if x.is_floating_point() else x)

    def objective(pred, batch):
        return pred.depth.square().mean(), {}

    torch.manual_seed(7)
    before = gradients(model, objective, 2, batch)
    slope = sum(g.square().sum() for g in before[1].values() if g is not None)
    assert slope > 0.01
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter -= 1e-6 * parameter.grad
    torch.manual_seed(7)
    after = gradients(model, objective, 2, batch)[0]
    assert (before[0] - after) / 1e-6 == pytest.approx(slope.item(), rel=1e-3)


def test_predictions_without_an_axis_of_scenes_are_named():
    def balanced(images):
        pred = model(images)
        return MorePredictions(**vars(pred), further={"balance": pred.depth.mean()})

    model, batch = ToyModel(), ToyScenes().batch_for_step(0)
    with pytest.raises(
        ValueError, match=r"predictions\.further\.balance \(\) has no axis of scenes.*accumulation=1"
    ):
        loss_and_gradients(lambda b: balanced(b.images), lambda *_: None, batch, 2)


@pytest.mark.parametrize("parts", [1, 2])
def test_a_loss_that_is_not_finite_leaves_no_gradient(parts):
    model, batch = ToyModel(), ToyScenes(spoil={0}).batch_for_step(0)
    weights = {"camera": 1.0, "depth": 1.0}
    _, terms, finite = loss_and_gradients(
        lambda b: model(b.images), lambda p, b: multitask_loss(p, b, weights), batch, parts
    )
    assert not finite and not torch.isfinite(terms["camera"])
    assert all(p.grad is None for p in model.parameters())
