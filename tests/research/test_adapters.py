"""Adapters change nothing at first, only themselves while training, and nothing when merged."""

import pytest
import torch

from vggt_lite import NANO, VGGT
from vggt_lite.pretrained.loading import cast_linear_weights
from vggt_lite.research.adapters import AdaptedLinear, adapted_maps, add_adapters, merge_adapters

SMALL = NANO.with_(
    vit_depth=1, depth=4, dim=32, dense_dims=(8, 8, 8, 8), dense_dim=8, heads=("camera", "depth")
)


@pytest.fixture
def model() -> VGGT:
    torch.manual_seed(0)
    return VGGT(SMALL).eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(1, 2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def outputs(model, images, grad=False) -> torch.Tensor:
    with torch.set_grad_enabled(grad):
        pred = model(images)
    return torch.cat([pred.pose_encoding.flatten(), pred.depth.flatten()]).detach()


def disturb(model) -> None:
    """As if adapters had been trained."""
    g = torch.Generator().manual_seed(2)
    for module in adapted_maps(model).values():
        module.up.data = 0.1 * torch.randn(module.up.shape, generator=g)


def test_an_adapted_map_is_the_formula():
    linear = torch.nn.Linear(5, 3)
    adapted, x = AdaptedLinear(linear, 2), torch.rand(4, 5)
    adapted.up.data.normal_()
    want = linear(x) + 16 / 2 * x @ adapted.down.T @ adapted.up.T
    torch.testing.assert_close(adapted(x), want)
    torch.testing.assert_close(adapted.merged()(x), want)
    assert [n for n, p in adapted.named_parameters() if p.requires_grad] == ["down", "up"]


@pytest.mark.parametrize("grad", [False, True])
def test_adapters_change_nothing_at_first_and_merging_changes_nothing_later(model, images, grad):
    before = outputs(model, images, grad)
    names = add_adapters(model, 4)
    assert len(names) == 2 * (SMALL.vit_depth + 2 * SMALL.depth)  # qkv and proj of every attention
    assert torch.equal(outputs(model, images, grad), before)
    disturb(model)
    adapted = outputs(model, images, grad)
    assert (adapted - before).abs().max() > 1e-2
    merge_adapters(model)
    torch.testing.assert_close(outputs(model, images, grad), adapted, atol=1e-4, rtol=1e-4)
    assert not adapted_maps(model) and model.state_dict().keys() == VGGT(SMALL).state_dict().keys()


def test_wrong_ranks_and_a_second_set_of_adapters_are_refused(model):
    with pytest.raises(ValueError, match="rank=0"):
        add_adapters(model, 0)
    assert not adapted_maps(model)
    add_adapters(model, 1)
    with pytest.raises(ValueError, match="adapters already"):
        add_adapters(model, 1)


def test_a_small_change_survives_beside_rounded_weights(model):
    """bfloat16 keeps three digits: a change of 1e-4 added in place would be lost."""
    cast_linear_weights(model, torch.bfloat16)
    add_adapters(model, 1)
    (name, module), *_ = adapted_maps(model).items()
    module.down.data.fill_(1e-2)
    module.up.data.fill_(1e-3)
    before = module.weight.float().clone()
    merge_adapters(model)
    change = model.get_submodule(name).weight - before
    torch.testing.assert_close(change, torch.full_like(change, 1.6e-4), atol=1e-6, rtol=0)
