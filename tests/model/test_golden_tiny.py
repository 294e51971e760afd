"""The whole network at toy size gives the official network's numbers, stage by stage."""

import pytest
import torch

from tests.golden.loader import load, metadata, probe, worst_ratio
from tests.golden.tiny import (
    CASES,
    GOLDEN_TINY,
    case_inputs,
    gradient_loss,
    load_rule,
    run_with_stages,
    summarise,
)
from vggt_lite import VGGT
from vggt_lite.pretrained.names import official_name

GOLD, NOISE = load("tiny"), metadata("tiny")["noise"]


@pytest.mark.parametrize("case", CASES)
def test_every_stage_and_output_equals_the_official_one(case, record_property):
    model = load_rule(VGGT(GOLDEN_TINY), CASES[case].get("variant", "")).eval()
    found = run_with_stages(model, *case_inputs(CASES[case]))
    ratios = {}
    for key in (k for k in GOLD if k.startswith(case + "/")):
        name, _, form = key.removeprefix(case + "/").partition("@")
        assert name in found, f"{name} was not observed"
        ratios[key] = worst_ratio(summarise(found[name], form), GOLD[key], NOISE.get(key, 0.0))
    record_property("worst", max(ratios.values()))
    record_property("cases", len(ratios))
    assert max(ratios.values()) <= 1, {k: r for k, r in ratios.items() if r > 1}


@pytest.mark.parametrize("form", ["track_last", "track_all"])
def test_gradients_of_every_parameter_equal_the_official_ones(form):
    model = load_rule(VGGT(GOLDEN_TINY)).train()
    images, points = case_inputs(CASES["main"])
    images.requires_grad_()
    gradient_loss(model(images, points), form == "track_all").backward()
    named = {official_name(key): value for key, value in model.named_parameters()} | {"in.images": images}
    wrong = {}
    for key, (norm, dot, norm_noise, dot_noise) in zip(
        metadata("tiny")["grad_keys"], GOLD[f"grads/{form}"].tolist(), strict=True
    ):
        gradient = named[key].grad
        gradient = torch.zeros_like(named[key]) if gradient is None else gradient
        got = (
            gradient.double().norm().item(),
            (gradient.double() * probe(key, gradient).double()).sum().item(),
        )
        tolerance = 10 * max(norm_noise, dot_noise) + 2e-3 * norm + 1e-9
        if not (abs(got[0] - norm) <= tolerance and abs(got[1] - dot) <= tolerance):
            wrong[key] = (got, norm, dot)
    assert not wrong, dict(list(wrong.items())[:5])
