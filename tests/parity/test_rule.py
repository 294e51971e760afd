"""The rule makes the numbers that were measured with, whichever way a model is filled by it."""

import json

import pytest
import torch

from tests.golden.loader import FOLDER
from vggt_lite import TINY, VGGT
from vggt_lite.parity import (
    deterministic_images,
    deterministic_model,
    deterministic_points,
    deterministic_state_dict,
    deterministic_tensor,
)
from vggt_lite.parity.golden import GOLDEN_TINY, path_of
from vggt_lite.pretrained import from_official
from vggt_lite.pretrained.loading import load_into
from vggt_lite.pretrained.names import official_name

CHECK = json.loads((FOLDER / "rule_check.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("key", CHECK["tensors"])
def test_the_rule_reproduces_its_check_values(key):
    shape, head, total = CHECK["tensors"][key]
    value = deterministic_tensor(key, shape)
    torch.testing.assert_close(value.flatten()[:4], torch.tensor(head), rtol=1e-6, atol=0)
    assert abs(value.double().sum().item() - total) < 1e-3


def test_images_and_points_reproduce_their_check_values():
    images = deterministic_images("selftest", 2, 30, 44)
    torch.testing.assert_close(images.flatten()[:4], torch.tensor(CHECK["images"]), rtol=1e-6, atol=0)
    assert deterministic_points("selftest", 2, 30, 44).tolist() == CHECK["points"]


@pytest.mark.parametrize("variant", ["", "small"])
def test_filling_in_place_equals_loading_a_state_dict_of_official_names(variant):
    loaded = VGGT(GOLDEN_TINY)
    shapes = {official_name(key): value.shape for key, value in loaded.state_dict().items()}
    state = {name: deterministic_tensor(name, shape, variant) for name, shape in shapes.items()}
    load_into(loaded, from_official(state), "the rule")
    loaded = loaded.state_dict()
    for model in (
        deterministic_model(GOLDEN_TINY, variant),
        deterministic_state_dict(VGGT(GOLDEN_TINY), variant),
    ):
        for key, value in model.state_dict().items():
            assert torch.equal(value, loaded[key]), key


def test_a_model_made_without_memory_is_whole():
    model, normal = deterministic_model(GOLDEN_TINY), deterministic_state_dict(VGGT(GOLDEN_TINY)).eval()
    assert not model.training and not any(p.is_meta for p in [*model.parameters(), *model.buffers()])
    images = deterministic_images("whole", 1, 28, 28)
    assert torch.equal(model(images).depth, normal(images).depth)


def test_long_models_show_a_bar_and_small_ones_do_not(monkeypatch):
    shown = []
    monkeypatch.setattr(
        "vggt_lite.parity.deterministic_weights.progress",
        lambda items, **options: shown.append(options) or items,
    )
    deterministic_state_dict(VGGT(GOLDEN_TINY))
    monkeypatch.setattr("vggt_lite.parity.deterministic_weights.LONG", 1000)
    deterministic_state_dict(VGGT(GOLDEN_TINY))
    assert shown[0] == {"disable": True} and "disable" not in shown[1]


def test_golden_numbers_that_are_missing_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr("vggt_lite.parity.golden.FOLDER", tmp_path)
    with pytest.raises(FileNotFoundError, match="tiny.safetensors is missing.*Install it again"):
        path_of("tiny")


def test_larger_networks_without_a_vit_have_stages_too():
    from vggt_lite.parity import run_with_stages, stages

    config = TINY.with_(patch_embed="conv", heads=("camera", "depth"), depth=6, dim=32, num_heads=2)
    names = stages(config)
    assert not [name for name in names if name.startswith(("vit", "point", "track"))]
    found = run_with_stages(VGGT(config).eval(), deterministic_images("conv", 2, 28, 28))
    assert list(found)[0] == "agg.frame.0" and set(names) <= set(found)
