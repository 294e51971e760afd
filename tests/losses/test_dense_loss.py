"""Depth and point losses: the release's numbers, and what every form must do."""

import pytest
import torch

from tests.geometry.cases import GOLDEN, assert_golden
from vggt_lite.losses import depth_loss, point_loss
from vggt_lite.losses.masked import clamp_finite, masked_mean, trim_largest
from vggt_lite.losses.surface import difference_loss, normal_loss, surface_normals

TERMS = {"conf": "confidence", "reg": "regression", "grad": "gradient"}
CASES = [
    # golden name, mask, gradient, valid_range
    ("depth_grad_vr-1", "mask", "grad", -1),
    ("depth_grad_vr0.98", "mask", "grad", 0.98),
    ("depth_grad_conf_vr-1", "mask", "grad_conf", -1),
    ("depth_lt100px", "mask_90px", "grad", 0.98),
    ("point_grad_vr-1", "mask", "grad", -1),
    ("point_normal_vr0.98", "mask", "normal", 0.98),
    ("point_normal_conf_vr-1", "mask", "normal_conf", -1),
]


@pytest.mark.parametrize(("name", "mask", "gradient", "valid_range"), CASES)
def test_values_and_gradients_equal_the_release(name, mask, gradient, valid_range):
    kind = name.split("_")[0]
    pred = GOLDEN[f"loss/{kind}_pred"].clone().requires_grad_()
    confidence = GOLDEN[f"loss/{kind}_conf"].clone().requires_grad_()
    loss, value = (depth_loss, pred[..., 0]) if kind == "depth" else (point_loss, pred)
    target, valid = GOLDEN[f"loss/{kind}_gt"], GOLDEN[f"loss/{mask}"]

    terms = loss(value, confidence, target, valid, gradient=gradient, valid_range=valid_range)

    compared = set()
    for official, ours in TERMS.items():
        assert_golden(terms[ours], f"loss/{name}/{official}")
        leaves = {"dpred": pred, "dconf": confidence}
        gradients = torch.autograd.grad(terms[ours], leaves.values(), retain_graph=True, allow_unused=True)
        for leaf, got in zip(leaves, gradients, strict=True):
            if (key := f"loss/{name}/{official}_{leaf}") in GOLDEN:
                got = torch.zeros_like(GOLDEN[key]) if got is None else got
                assert_golden(got, key)
                compared.add(f"{official}_{leaf}")
    assert compared >= {"conf_dpred", "conf_dconf", "reg_dpred", "grad_dpred"}


@pytest.mark.parametrize("step", [1, 2, 4, 8])
def test_each_scale_of_the_difference_loss_equals_the_release(step):
    target = clamp_finite(GOLDEN["loss/depth_gt"])[..., None]
    maps = (GOLDEN["loss/depth_pred"], target, GOLDEN["loss/mask"])
    maps = (x.flatten(0, 1)[:, ::step, ::step] for x in maps)
    assert_golden(difference_loss(*maps), f"loss/gradient_scale{step}")


@pytest.mark.parametrize("step", [1, 2, 4])
def test_each_scale_of_the_normal_loss_equals_the_release(step):
    maps = (GOLDEN["loss/point_pred"], GOLDEN["loss/point_gt"], GOLDEN["loss/mask"])
    maps = (x.flatten(0, 1)[:, ::step, ::step] for x in maps)
    assert_golden(normal_loss(*maps), f"loss/normal_scale{step}")


def test_normals_and_where_they_can_be_compared_equal_the_release():
    points, valid = GOLDEN["loss/point_pred"][0, :1], GOLDEN["loss/mask"][0, :1]
    normals, comparable = surface_normals(points, valid)
    assert torch.equal(comparable, GOLDEN["loss/normals_valid_frame0"])
    # Elsewhere (beyond the image's edge) a normal is that of rounding errors and means nothing
    want = GOLDEN["loss/normals_frame0"]
    torch.testing.assert_close(normals.movedim(0, -1)[comparable], want[comparable], rtol=0, atol=2e-5)


def test_the_quantile_filter_keeps_what_the_release_keeps():
    values = GOLDEN["loss/quantile_in"]
    everything = torch.ones_like(values, dtype=torch.bool)
    kept = trim_largest(values, everything, 0.98)
    assert_golden(values[kept], "loss/filtered_0.98")
    assert values[kept].max() < GOLDEN["loss/quantile_0.98"] <= values[~kept].min()
    few = everything & (torch.arange(len(values)) < 1000)
    assert torch.equal(trim_largest(values, few, 0.98), few)


def test_the_filter_looks_only_at_masked_entries():
    values = torch.randn(6000, generator=torch.Generator().manual_seed(0))
    mask = torch.arange(6000) % 2 == 0
    values[~mask] = 1000.0
    kept = trim_largest(values, mask, 0.9)
    assert not kept[~mask].any()
    assert kept.sum() == round(0.9 * (3000 - 1))


def test_the_filter_takes_equal_values_as_they_come_and_none_above_100():
    values = torch.cat(
        [torch.randn(3000), torch.full((500,), 2.0), torch.linspace(90, 200, 40), -torch.rand(9)]
    )
    in_order = values.sort().values
    for fraction in (0.5, 0.9, 0.98, 0.999):
        threshold = in_order[round(fraction * (len(values) - 1))].clamp(max=100)
        assert torch.equal(trim_largest(values, values > -torch.inf, fraction), values < threshold)
    nothing = torch.zeros(len(values), dtype=torch.bool)
    assert not trim_largest(values, nothing, 0.98).any()


def _maps(channels: int | None, seed: int = 0):
    g = torch.Generator().manual_seed(seed)
    shape = (2, 2, 16, 24) if channels is None else (2, 2, 16, 24, channels)
    pred, target = torch.rand(shape, generator=g) + 1, torch.rand(shape, generator=g) + 1
    confidence = 1 + torch.rand(2, 2, 16, 24, generator=g)
    return pred, confidence, target, torch.rand(2, 2, 16, 24, generator=g) > 0.2


@pytest.mark.parametrize("form", ["code", "paper"])
@pytest.mark.parametrize(("loss", "channels"), [(depth_loss, None), (point_loss, 3)])
def test_what_stands_at_invalid_pixels_of_the_truth_does_not_matter(form, loss, channels):
    pred, confidence, target, valid = _maps(channels)
    before = loss(pred, confidence, target, valid, form=form)
    target[~valid] = float("nan")
    after = loss(pred, confidence, target, valid, form=form)
    torch.testing.assert_close(after, before)


@pytest.mark.parametrize("form", ["code", "paper"])
def test_the_best_confidence_is_alpha_over_the_error(form):
    error = 0.1
    target = torch.ones(1, 1, 16, 16)
    confidence = torch.full_like(target, 0.2 / error, requires_grad=True)
    valid = torch.ones_like(target, dtype=torch.bool)
    terms = depth_loss(target + error, confidence, target, valid, form=form)
    sum(terms.values()).backward()
    torch.testing.assert_close(confidence.grad, torch.zeros_like(target), rtol=0, atol=1e-6)


def test_the_papers_form_is_its_expression_written_out():
    pred, confidence, target, valid = _maps(None)
    terms = depth_loss(pred, confidence, target, valid, form="paper")
    e, c, v = pred - target, confidence, valid
    torch.testing.assert_close(terms["regression"], (c * e.abs())[v].mean())
    torch.testing.assert_close(terms["confidence"], -0.2 * c.log()[v].mean())
    right, below = v[..., 1:] & v[..., :-1], v[..., 1:, :] & v[..., :-1, :]
    across = ((e[..., 1:] - e[..., :-1]).abs() * c[..., :-1])[right].mean()
    down = ((e[..., 1:, :] - e[..., :-1, :]).abs() * c[..., :-1, :])[below].mean()
    torch.testing.assert_close(terms["gradient"], across + down)


def test_a_constant_offset_has_no_gradient_term():
    pred, confidence, target, valid = _maps(None)
    for form in ("code", "paper"):
        terms = depth_loss(target + 0.5, confidence, target, valid, form=form)
        assert terms["gradient"].item() == pytest.approx(0, abs=1e-6)
        assert terms["regression"] > 0.4


def test_a_mean_over_nothing_is_zero_with_a_zero_gradient():
    x = torch.randn(5, requires_grad=True)
    mean = masked_mean(x, torch.zeros(5, dtype=torch.bool))
    mean.backward()
    assert mean == 0 and not x.grad.any()


def test_half_precision_predictions_are_compared_in_float32():
    pred, confidence, target, valid = _maps(3)
    terms = point_loss(pred.bfloat16(), confidence.bfloat16(), target, valid)
    want = point_loss(pred.bfloat16().float(), confidence.bfloat16().float(), target, valid)
    torch.testing.assert_close(terms, want)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(point_loss(pred.bfloat16(), confidence.bfloat16(), target, valid), want)


def test_an_unknown_gradient_term_lists_the_known_ones():
    with pytest.raises(ValueError, match="gradient='normals'.*normal_conf"):
        point_loss(*_maps(3), gradient="normals")
