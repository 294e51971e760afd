"""What is shown is what runs: whatever replaces a part of the network computes the same on every road.

A road is a way to call the network: with a graph, without one, in chunks, through `reconstruct`.
"""

import functools
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

import vggt_lite
from vggt_lite import NANO, VGGT
from vggt_lite.config import SceneConfig, TrainConfig
from vggt_lite.evaluation import evaluate
from vggt_lite.inference import chunked as chunked_module
from vggt_lite.inference.chunked import chunked
from vggt_lite.losses import multitask_loss
from vggt_lite.model import Attention, Block, DenseHead, LayerScale, Mlp, Predictions
from vggt_lite.model.dense_head import ResidualUnit
from vggt_lite.model.track_head import TrackBlock
from vggt_lite.research.adapters import AdaptedLinear
from vggt_lite.research.experiment import BASELINE, Recipe, run_experiment
from vggt_lite.synthetic import generate_scenes
from vggt_lite.training.grad_accumulation import loss_and_gradients

SMALL = NANO.with_(
    dim=32, vit_depth=1, depth=2, dense_layers=(0, 0, 1, 1), dense_dims=(8, 8, 8, 8), dense_dim=8,
    track_dim=8, track_hidden=16, track_depth=1, track_virtual=3, track_levels=2, track_iterations=2,
    camera_iterations=2, layer_scale=1.0, image_size=32,
)  # fmt: skip
IMAGES = torch.randint(256, (3, 3, 32, 48), generator=torch.Generator().manual_seed(1)) / 255
POINTS = torch.tensor([[10.0, 20.0], [30.5, 5.0], [7.0, 7.0]])
OUTPUTS = ("depth", "depth_conf", "point_map", "tracks", "cam_from_world")


def build() -> VGGT:
    torch.manual_seed(0)
    model = VGGT(SMALL).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("_token", "_tokens", "flow_head.weight")):  # almost zero at first
                parameter.normal_(std=0.5)
        model.camera_head.pose_branch.fc2.bias[7:] = 1.0  # fields of view that a camera can have
    return model


# --- roads ----------------------------------------------------------------------------------------


def with_graph(model: VGGT) -> Predictions:
    return model(IMAGES, POINTS)


@torch.no_grad()
def without_graph(model: VGGT) -> Predictions:
    return model(IMAGES, POINTS)


@torch.inference_mode()
def in_inference_mode(model: VGGT) -> Predictions:
    return model(IMAGES, POINTS)


def in_chunks(model: VGGT) -> Predictions:
    """In chunks so small that there are several of everything."""
    sizes = {"TOKENS_PER_CHUNK": 5, "PIXELS_PER_CHUNK": 1, "GATHERED_PER_CHUNK": 1}
    with patch.multiple(chunked_module, **sizes), chunked(model):
        return model(IMAGES, POINTS)


def through_reconstruct(model: VGGT) -> Predictions:
    arrays = list(np.moveaxis(IMAGES.numpy(), 1, -1))
    scene = model.reconstruct(arrays, mode="crop", size=48, query_points=POINTS)
    maps = {"depth": scene.depth[None], "depth_conf": scene.depth_conf[None]}  # the rest is in another frame
    return Predictions(IMAGES[None], **maps, tracks_list=[scene.tracks[None]])


ROADS = [without_graph, in_inference_mode, in_chunks, through_reconstruct]


def assert_same(found: Predictions, expected: Predictions) -> None:
    for name in OUTPUTS:
        a, b = getattr(found, name), getattr(expected, name).detach()
        if a is None and name not in ("depth", "tracks"):
            continue
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4, msg=lambda text, name=name: f"{name}: {text}")


def differ(a: Predictions, b: Predictions) -> bool:
    return any(not torch.allclose(getattr(a, name), getattr(b, name), rtol=0.01) for name in OUTPUTS)


# --- replacements ---------------------------------------------------------------------------------

REPLACEMENTS = {}


def replacement(function):
    """A function (model, swap) that replaces a part; swap(class, name, value) does so in a class."""
    REPLACEMENTS[function.__name__] = function
    return function


def blocks(model: VGGT) -> list[Block]:
    return [*model.aggregator.frame_blocks, *model.aggregator.global_blocks]


def track_blocks(model: VGGT) -> list[TrackBlock]:
    return [module for module in model.modules() if isinstance(module, TrackBlock)]


def zeros(self, x, *args, **kwargs):
    return torch.zeros_like(x)


def mixing(self, x, *args, **kwargs):
    """Needs all tokens of a sequence at once."""
    return x - x.mean(dim=1, keepdim=True)


def scaled(self, x, *args, **kwargs):
    return 0.9 * x


class ZeroAttention(Attention):
    forward = zeros


class Mixing(nn.Module):
    forward = mixing


class LowRank(nn.Module):
    """A linear map with a low-rank one beside it, as in LoRA, but no `nn.Linear`."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear, generator = linear, torch.Generator().manual_seed(0)
        self.down = nn.Parameter(torch.randn(2, linear.in_features, generator=generator))
        self.up = nn.Parameter(0.1 * torch.randn(linear.out_features, 2, generator=generator))

    def forward(self, x):
        return self.linear(x) + x @ self.down.T @ self.up.T


class Halved(nn.Module):
    def forward(self, weight):
        return weight / 2


class OtherHead(DenseHead):
    """Views see each other: it needs all of them at once."""

    def forward(self, layers, grid):
        values, confidences = super().forward(layers, grid)
        return values + values.mean(dim=1, keepdim=True), confidences


@replacement
def attention_in_its_class(model, swap):
    swap(Attention, "forward", zeros)


@replacement
def attention_in_its_class_by_a_decorated_function(model, swap):
    swap(Attention, "forward", functools.wraps(Attention.forward)(zeros))


@replacement
def attention_in_its_class_by_a_callable(model, swap):
    swap(Attention, "forward", functools.partialmethod(zeros))


@replacement
def attention_by_an_instance_attribute(model, swap):
    for block in blocks(model):
        block.attn.forward = zeros.__get__(block.attn)


@replacement
def attention_by_a_subclass(model, swap):
    for block in blocks(model):
        block.attn = ZeroAttention(32, 4, qk_norm=True)


@replacement
def attention_by_another_module(model, swap):
    for block in blocks(model):
        block.attn = Mixing()


@replacement
def queries_keys_and_values_in_their_class(model, swap):
    real = Attention.queries_keys_values
    swap(Attention, "queries_keys_values", lambda *args, **kwargs: [2 * x for x in real(*args, **kwargs)])


@replacement
def perceptron_in_its_class(model, swap):
    swap(Mlp, "forward", lambda self, x: self.fc2(self.fc1(x)))


@replacement
def perceptron_by_an_instance_attribute(model, swap):
    for block in blocks(model):
        block.mlp.forward = mixing.__get__(block.mlp)


@replacement
def perceptron_by_another_module(model, swap):
    for block in blocks(model):
        block.mlp = Mixing()


@replacement
def first_norm_by_another_module(model, swap):
    for block in blocks(model):
        block.norm1 = Mixing()


@replacement
def second_norm_by_another_module(model, swap):
    for block in blocks(model):
        block.norm2 = Mixing()


@replacement
def layer_scale_in_its_class(model, swap):
    swap(LayerScale, "forward", mixing)


@replacement
def block_in_its_class(model, swap):
    swap(Block, "forward", scaled)


@replacement
def block_by_an_instance_attribute(model, swap):
    for block in blocks(model):
        block.forward = scaled.__get__(block)


@replacement
def projection_by_a_low_rank_one(model, swap):
    for block in blocks(model):
        block.attn.qkv = LowRank(block.attn.qkv)


@replacement
def perceptrons_map_by_a_low_rank_one(model, swap):
    for block in blocks(model):
        block.mlp.fc2 = LowRank(block.mlp.fc2)


@replacement
def maps_by_the_adapters_of_fine_tuning(model, swap):
    for module in model.modules():
        if isinstance(module, Attention):
            module.qkv = AdaptedLinear(module.qkv, rank=2)
            nn.init.normal_(module.qkv.up, std=0.1)


@replacement
def weights_by_a_parametrization(model, swap):
    for block in blocks(model):
        parametrize.register_parametrization(block.attn.proj, "weight", Halved())


@replacement
def depth_head_by_a_subclass(model, swap):
    model.depth_head.__class__ = OtherHead


@replacement
def depth_heads_method_by_an_instance_attribute(model, swap):
    real = model.depth_head.decode
    model.depth_head.decode = lambda layers, grid: (2 * real(layers, grid)[0], real(layers, grid)[1])


@replacement
def units_of_the_dense_heads_in_their_class(model, swap):
    swap(ResidualUnit, "forward", scaled)


@replacement
def track_block_in_its_class(model, swap):
    swap(TrackBlock, "forward", scaled)


@replacement
def trackers_attention_by_an_instance_attribute(model, swap):
    for block in track_blocks(model):
        block.attn.forward = zeros.__get__(block.attn)


@replacement
def trackers_projection_by_a_low_rank_one(model, swap):
    for block in track_blocks(model):
        block.attn.qkv = LowRank(block.attn.qkv)


@replacement
def trackers_crossing_projection_by_a_low_rank_one(model, swap):
    for block in track_blocks(model):
        if block.norm_context is not None:
            block.attn.qkv = LowRank(block.attn.qkv)


# --- tests ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("road", ROADS)
def test_every_road_gives_the_numbers_of_the_network_as_it_is(road):
    model = build()
    assert_same(road(model), with_graph(model))


@pytest.mark.parametrize("replace", REPLACEMENTS.values(), ids=REPLACEMENTS)
def test_what_replaces_a_part_computes_the_same_on_every_road(replace, monkeypatch):
    model, as_it_was = build(), with_graph(build())
    replace(model, monkeypatch.setattr)
    expected = with_graph(model)
    assert differ(expected, as_it_was), "the replacement has no effect: the test sees nothing"
    for road in ROADS:
        assert_same(road(model), expected)


def test_attention_that_returns_zeros_changes_what_evaluate_reports(monkeypatch):
    def report() -> dict[str, float]:
        return evaluate(build(), num_scenes=1, num_views=2, size=32, num_tracks=4).model

    stock = report()
    assert report() == stock
    monkeypatch.setattr(Attention, "forward", zeros)
    changed = report()
    for key in ("depth_abs_rel", "point_error", "rotation_median_deg"):
        assert changed[key] != stock[key], key


def test_attention_that_returns_zeros_changes_the_scores_of_an_experiment(tmp_path, monkeypatch):
    recipe = Recipe(
        SMALL.with_(heads=("camera", "depth"), image_size=16),
        TrainConfig(steps=1, max_images=2, views=(2, 2), loss_weights={"depth": 1.0}, learning_rate=1e-9),
        SceneConfig(), size=16, num_scenes=2, path_views=2, scored_scenes=1, scored_views=2,
    )  # fmt: skip
    scores = []
    for folder in ("stock", "replaced"):
        (run,) = run_experiment([BASELINE], (0,), recipe, tmp_path / folder, tmp_path / "scenes")
        scores.append(run["scores"][-1])
        monkeypatch.setattr(Attention, "forward", zeros)
    assert scores[0]["depth_abs_rel"] != scores[1]["depth_abs_rel"]


def called(model: VGGT, road, modules: dict[str, nn.Module]) -> Counter:
    """How often a road calls each of these modules, counted by forward hooks."""
    calls = Counter()
    hooks = [
        module.register_forward_hook(lambda *_, name=name: calls.update([name]))
        for name, module in modules.items()
    ]
    road(model)
    for hook in hooks:
        hook.remove()
    return calls


@pytest.mark.parametrize("road", ROADS)
def test_hooks_on_any_module_are_called_as_often_as_with_a_graph(road):
    model = build()
    everything = dict(model.named_modules())
    assert called(model, road, everything) == called(model, with_graph, everything)


@pytest.mark.parametrize("road", [with_graph, *ROADS])
@pytest.mark.parametrize("part", ["", ".norm1", ".attn", ".attn.qkv", ".ls1", ".norm2", ".mlp", ".mlp.fc1"])
def test_hooks_on_one_kind_of_part_are_called_once_a_block(part, road):
    model = build()
    parts = {
        name: module for name, module in model.named_modules()
        if name in (f"aggregator.frame_blocks.1{part}", f"aggregator.global_blocks.0{part}")
    }  # fmt: skip
    assert called(model, road, parts) == dict.fromkeys(parts, 1) and len(parts) == 2


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize(
    "name",
    ["depth_head", "depth_head.pyramid", "point_head.output", "track_head.pyramid", "camera_head.trunk.0",
     "track_head.tracker.update.time_blocks.0.mlp"],
)  # fmt: skip
def test_hooks_in_the_heads_are_called_as_often_as_with_a_graph(name, road):
    model = build()
    one = {name: model.get_submodule(name)}
    assert called(model, road, one) == called(model, with_graph, one)


def test_a_hook_for_all_modules_is_called_as_often_in_chunks_as_with_a_graph():
    model, counts = build(), []
    for road in (with_graph, in_chunks):
        calls = Counter()
        hook = nn.modules.module.register_module_forward_hook(lambda m, *_, c=calls: c.update([type(m)]))
        try:
            road(model)
        finally:
            hook.remove()
        counts.append(calls)
    assert counts[0] == counts[1]


def test_a_hook_that_changes_an_output_has_its_effect_in_chunks():
    model, as_it_was = build(), with_graph(build())
    for block in blocks(model):
        block.mlp.register_forward_hook(lambda module, inputs, output: 0 * output)
    assert differ(with_graph(model), as_it_was)
    assert_same(in_chunks(model), with_graph(model))


@pytest.mark.parametrize(
    "replace",
    [attention_in_its_class, attention_by_another_module, perceptrons_map_by_a_low_rank_one,
     weights_by_a_parametrization, block_by_an_instance_attribute, depth_head_by_a_subclass,
     trackers_projection_by_a_low_rank_one],
)  # fmt: skip
def test_a_batch_in_parts_gives_the_gradient_of_the_whole_batch(replace, monkeypatch):
    model, gradients = build(), []
    replace(model, monkeypatch.setattr)
    batch = generate_scenes(0, 2, 2, 32, 32, num_tracks=3)

    def forward(scenes):
        return model(scenes.images, scenes.tracks[:, 0])

    def objective(pred, truth):
        return multitask_loss(pred, truth, form="paper", patch_size=8)

    for parts in (1, 2):
        model.zero_grad()
        loss_and_gradients(forward, objective, batch, parts)
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    whole, split = gradients
    assert whole.keys() == split.keys() and len(whole) > 20
    for name in whole:
        torch.testing.assert_close(
            split[name], whole[name], rtol=1e-3, atol=1e-5, msg=lambda t, n=name: f"{n}: {t}"
        )


EDITED = """
import torch
from vggt_lite import NANO
from vggt_lite.inference.chunked import chunked
from vggt_lite.model import VGGT
torch.manual_seed(0)
model, images = VGGT(NANO.with_(heads=("depth",), layer_scale=1.0)).eval(), torch.rand(2, 3, 32, 32)
expected = model(images).depth
with chunked(model):
    found = model(images).depth
model.aggregator.frame_blocks[0].attn.proj.weight.data.zero_()
print(torch.allclose(found, expected, rtol=1e-4), torch.equal(model(images).depth, expected))
"""


def test_an_edit_in_the_packages_own_file_has_its_effect_in_chunks(tmp_path):
    """Whoever clones the repository changes `layers.py` itself: here attention multiplied by zero."""
    source = Path(vggt_lite.__file__).parent
    shutil.copytree(source, tmp_path / "vggt_lite", ignore=shutil.ignore_patterns("bundled", "golden_data"))
    layers = tmp_path / "vggt_lite" / "model" / "layers.py"
    text = layers.read_text(encoding="utf-8")
    assert text.count("return self.proj(") == 1
    layers.write_text(text.replace("return self.proj(", "return 0 * self.proj("), encoding="utf-8")
    done = subprocess.run([sys.executable, "-c", EDITED], cwd=tmp_path, capture_output=True, text=True,
                          env={"PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"})  # fmt: skip
    # the same in chunks as without, and so really zero: the weights behind it do not matter
    assert done.stdout.split() == ["True", "True"], done.stderr
