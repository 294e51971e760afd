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
from vggt_lite.training.decode_views import decode_views
from vggt_lite.training.float32_attention import Float32Attention
from vggt_lite.training.log import read_log
from vggt_lite.training.state import TrainState

MODEL = SMALL.with_(image_size=32, track_levels=2, heads=("camera", "depth", "point"))
CONFIG = TrainConfig(
    steps=2, max_images=6, views=(3, 3), augment=0.0, dense_views=2,
    loss_weights={"camera": 5.0, "depth": 1.0, "point": 1.0},
)  # fmt: skip
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
    images = Scenes().batch_for_step(0).images
    with torch.no_grad():
        whole = model(images)
        with decode_views(model, [2, 0]):
            some = model(images)
        again = model(images)
    for name in ("depth", "depth_conf", "point_map", "point_conf"):
        torch.testing.assert_close(getattr(some, name), getattr(whole, name)[:, [2, 0]], rtol=1e-4, atol=1e-5)
        assert torch.equal(getattr(again, name), getattr(whole, name)), "the heads still leave views out"
    assert torch.equal(some.pose_encoding, whole.pose_encoding) and some.pose_encoding.shape[1] == 3


def test_the_maps_of_some_views_are_held_against_the_truth_of_these(model):
    batch = Scenes().batch_for_step(0)
    with torch.no_grad():
        pred = model(batch.images)
        part = model(batch.images)
        for name in ("depth", "depth_conf", "point_map", "point_conf"):
            setattr(part, name, getattr(pred, name)[:, [2, 0]])
    weights = {"camera": 5.0, **DENSE}
    _, found = multitask_loss(part, batch, weights, dense_views=[2, 0])
    _, camera = multitask_loss(pred, batch, {"camera": 5.0})
    cut = pred.apply(lambda x: x[:, [2, 0]])
    _, dense = multitask_loss(cut, batch.views([2, 0]), DENSE)
    assert found == camera | dense
    _, wrong = multitask_loss(part, batch, weights, dense_views=[0, 1])
    assert wrong["depth"] != found["depth"] and wrong["camera"] == found["camera"]


def test_a_step_learns_from_other_views_each_time_and_from_as_many_as_asked(tmp_path):
    torch.manual_seed(0)
    step = loop.TrainStep(
        TrainState(VGGT(MODEL), CONFIG, tmp_path), loop.default_objective(VGGT(MODEL), CONFIG)
    )
    seen = []
    for _ in range(12):
        assert not step(Scenes().batch_for_step(0))
        seen.append(frozenset(step.dense_views))
    assert {len(views) for views in seen} == {2} and len(set(seen)) == 3


def test_in_parts_all_parts_decode_the_same_views(tmp_path):
    torch.manual_seed(0)
    config = CONFIG.with_(accumulation=2)
    loop.train(VGGT(MODEL), Scenes(), config, tmp_path)
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
