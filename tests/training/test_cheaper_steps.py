"""Steps that cost less: dense heads on some of the views, bfloat16 products around a float32 attention."""

import pytest
import torch
import torch.nn.functional as F

from tests.training.test_parts import SMALL
from vggt_lite.config import TrainConfig
from vggt_lite.data.normalize import normalize_scene
from vggt_lite.losses import multitask_loss
from vggt_lite.model import VGGT
from vggt_lite.synthetic import generate_scenes
from vggt_lite.training import loop
from vggt_lite.training.log import read_log
from vggt_lite.training.state import TrainState
from vggt_lite.utils.cheaper_steps import Float32Attention, decode_views, draw_views

MODEL = SMALL.with_(image_size=32, track_levels=2, heads=("camera", "depth", "point"))
CONFIG = TrainConfig(
    steps=2, max_images=6, views=(3, 3), augment=0.0, dense_views=2,
    loss_weights={"camera": 5.0, "depth": 1.0, "point": 1.0},
)  # fmt: skip
MAPS = ("depth", "depth_conf", "point_map", "point_conf")
DENSE = {"depth": 1.0, "point": 1.0}


class Scenes:
    """The same two scenes of three views at every step."""

    def batch_for_step(self, step: int):
        return normalize_scene(generate_scenes(0, 2, 3, 32, 32))


@pytest.fixture(scope="module")
def model() -> VGGT:
    torch.manual_seed(0)
    return VGGT(MODEL)


def test_the_maps_of_some_views_are_those_of_the_whole_pass(model):
    images, views = Scenes().batch_for_step(0).images, torch.tensor([[2, 0], [0, 1]])
    with torch.no_grad():
        whole = model(images)
        with decode_views(model, views):
            some = model(images)
        again = model(images)
    some.dense_views = views
    for name in MAPS:
        wanted = some.of_dense_views(getattr(whole, name))
        assert torch.equal(wanted[0], getattr(whole, name)[0, [2, 0]])
        torch.testing.assert_close(getattr(some, name), wanted, rtol=1e-4, atol=1e-5)
        assert torch.equal(getattr(again, name), getattr(whole, name)), "the heads still leave views out"
    assert torch.equal(some.pose_encoding, whole.pose_encoding) and some.pose_encoding.shape[1] == 3


def test_the_maps_of_some_views_are_held_against_the_truth_of_these(model):
    batch = Scenes().batch_for_step(0)
    with torch.no_grad():
        whole, part = model(batch.images), model(batch.images)
    part.dense_views = torch.tensor([[2, 0], [2, 0]])
    for name in MAPS:
        setattr(part, name, part.of_dense_views(getattr(whole, name)))
    weights = {"camera": 5.0, **DENSE}
    _, found = multitask_loss(part, batch, weights)
    _, camera = multitask_loss(whole, batch, {"camera": 5.0})
    _, dense = multitask_loss(whole.apply(lambda x: x[:, [2, 0]]), batch.views([2, 0]), DENSE)
    assert found == camera | dense
    part.dense_views = torch.tensor([[0, 1], [0, 1]])
    _, wrong = multitask_loss(part, batch, weights)
    assert wrong["depth"] != found["depth"] and wrong["camera"] == found["camera"]


@pytest.mark.parametrize("count, drawn", [(0, None), (1, 1), (2, 2), (3, None), (9, None)])
def test_as_many_views_are_drawn_as_asked_and_each_comes_to_its_turn(count, drawn):
    torch.manual_seed(0)
    found = [draw_views(torch.zeros(2, 3, 3, 8, 8), count) for _ in range(20)]
    if drawn is None:
        assert found == [None] * 20
    else:
        rows = [row for views in found for row in views.tolist()]
        assert {len(set(row)) for row in rows} == {drawn} and {v for row in rows for v in row} == {0, 1, 2}


def test_in_parts_the_gradient_is_that_of_the_views_that_were_decoded(tmp_path):
    torch.manual_seed(0)
    loop.train(VGGT(MODEL), Scenes(), CONFIG.with_(accumulation=2), tmp_path)
    assert read_log(tmp_path / "log.jsonl")[-1]["depth"] > 0


def test_attention_stays_float32_under_autocast():
    q, k, v = torch.randn(3, 2, 2, 7, 8).bfloat16().unbind(0)
    with torch.autocast("cpu", torch.bfloat16), Float32Attention():
        out = F.scaled_dot_product_attention(q, k, v)
        product = q @ k.mT
    assert out.dtype == torch.float32 and product.dtype == torch.bfloat16
    assert torch.equal(out, F.scaled_dot_product_attention(q.float(), k.float(), v.float()))


def test_a_step_in_bfloat16_is_near_one_in_float32(tmp_path):
    batch, found = Scenes().batch_for_step(0), {}
    for dtype in (torch.float32, torch.bfloat16):
        torch.manual_seed(0)
        model = VGGT(MODEL)
        config = CONFIG.with_(dense_views=0)
        step = loop.TrainStep(
            TrainState(model, config, tmp_path / str(dtype)), loop.default_objective(model, config), dtype
        )
        total, _ = step.objective(step.forward(batch), batch)
        total.backward()
        found[dtype] = torch.cat(
            [p.grad.flatten() for p in model.aggregator.parameters() if p.grad is not None]
        )
    exact, rounded = found.values()
    assert not torch.equal(exact, rounded)
    assert F.cosine_similarity(exact, rounded, dim=0) > 0.99
