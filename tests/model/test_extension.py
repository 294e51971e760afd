"""The network grows from a notebook: other blocks and further heads, without an edit in the package."""

import linecache
import warnings
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from tests.notebooks.lesson import lessons
from tools.lessons import lines
from vggt_lite import NANO, VGGT, ModelConfig, Reconstruction
from vggt_lite.config import SceneConfig, TrainConfig
from vggt_lite.data.batches import GeneratedScenes
from vggt_lite.evaluation import evaluate
from vggt_lite.evaluation.report import Report
from vggt_lite.inference.chunked import chunked
from vggt_lite.losses import LOSSES, Loss
from vggt_lite.model import VGGT as Network
from vggt_lite.model import Attention, Block
from vggt_lite.pretrained import load_pretrained, save_weights
from vggt_lite.synthetic import generate_scenes
from vggt_lite.training import train
from vggt_lite.training.grad_accumulation import loss_and_gradients

SMALL = NANO.with_(
    dim=32, vit_depth=1, depth=2, dense_layers=(0, 0, 1, 1), dense_dims=(8, 8, 8, 8), dense_dim=8,
    heads=("camera", "depth"), image_size=32,
)  # fmt: skip


class GatedAttention(Attention):
    def __init__(self, dim, num_heads, qk_norm=False):
        super().__init__(dim, num_heads, qk_norm)
        self.gate = nn.Linear(dim, dim)

    def forward(self, x, context=None, rotary=None, mask=None):
        return self.gate(x).sigmoid() * super().forward(x, context, rotary, mask)


class GatedBlock(Block):
    def __init__(self, dim, num_heads, **options):
        super().__init__(dim, num_heads, **options)
        self.attn = GatedAttention(dim, num_heads, options["qk_norm"])


class GatedVGGT(VGGT):
    def __init__(self, config: ModelConfig):
        super().__init__(config, block=GatedBlock)


def cells_of_lesson_13() -> tuple[ModuleType, dict[str, int]]:
    """The cells in which the lesson makes a block and a head of its own, and how many lines each part has."""
    (lesson,) = (lesson for lesson in lessons() if lesson.number == "13")
    module, lengths = ModuleType("lesson_13"), {}
    vars(module).update(torch=torch, NANO=NANO, VGGT=VGGT, generate_scenes=generate_scenes)  # earlier cells'
    parts = {"block": ("LinearAttention", "LinearBlock"), "head": ("NormalHead", "normal_loss", "MyVGGT")}
    for part, names in parts.items():
        for name in names:
            (cell,) = (c for c in lesson.code if f"class {name}(" in c.source or f"def {name}(" in c.source)
            file = f"<lesson 13, {name}>"
            linecache.cache[file] = (len(cell.source), None, cell.source.splitlines(keepends=True), file)
            exec(compile(cell.source, file, "exec"), vars(module))  # with its source in reach, as in a kernel
            lengths[part] = lengths.get(part, 0) + lines(cell)
    LOSSES.pop("normals")  # a lesson may leave it there, a test may not
    return module, lengths


with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the head that the file lacks
    LESSON, LENGTHS = cells_of_lesson_13()


def pictures(views: int = 2) -> torch.Tensor:
    return torch.rand(views, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def test_a_block_and_a_head_with_its_loss_take_at_most_25_lines_each_in_a_notebook():
    assert LENGTHS.keys() == {"block", "head"} and max(LENGTHS.values()) <= 25, LENGTHS


# --- blocks ---------------------------------------------------------------------------------------


def test_frame_and_global_blocks_are_built_by_the_block_that_was_given():
    calls = []

    def block(*sizes, **options):
        calls.append((sizes, options))
        return GatedBlock(*sizes, **options)

    model = VGGT(SMALL, block=block)
    assert calls == 4 * [((32, 4), {"layer_scale": SMALL.layer_scale, "qk_norm": True})]
    aggregator = model.aggregator
    assert all(type(b) is GatedBlock for b in [*aggregator.frame_blocks, *aggregator.global_blocks])
    assert all(type(b) is Block for b in aggregator.patch_embed.blocks)
    model(pictures()).depth.sum().backward()
    assert all(b.attn.gate.weight.grad.abs().sum() > 0 for b in aggregator.global_blocks)


def test_a_block_that_shares_nothing_with_ours_is_enough():
    class MeanBlock(nn.Module):
        def __init__(self, dim, num_heads, layer_scale, qk_norm):
            super().__init__()
            self.linear = nn.Linear(dim, dim)

        def forward(self, x, rotary):
            return x + self.linear(x.mean(dim=1, keepdim=True))

    model = VGGT(SMALL, block=MeanBlock).eval()
    expected = model(pictures()).depth
    with chunked(model):
        torch.testing.assert_close(model(pictures()).depth, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"attention": "global"},
        {"register_attention": (1,)},
        {"global_positions": False},
        {"reference": "none"},
    ],
)
def test_other_blocks_go_with_departures_that_have_no_blocks_of_their_own(changes):
    model = VGGT(SMALL.with_(**changes), block=GatedBlock)
    assert torch.isfinite(model(pictures()).depth).all()


def test_other_blocks_and_merged_tokens_are_refused():
    with pytest.raises(ValueError, match="MergingBlock"):
        VGGT(SMALL.with_(merge_tokens=0.5), block=GatedBlock)


# --- heads ----------------------------------------------------------------------------------------


def test_what_a_further_head_returns_is_found_in_extras():
    model = VGGT(SMALL)
    model.extra_heads["both"] = TwoAnswers()
    model.extra_heads["normals"] = LESSON.NormalHead(SMALL)
    pred = model(pictures(3))
    shapes = {name: tuple(value.shape) for name, value in pred.extras.items()}
    assert shapes == {"mean": (1, 3, 64), "most": (1, 3, 64), "normals": (1, 3, 32, 32, 3)}
    assert pred.to("meta").extras["normals"].is_meta
    assert VGGT(SMALL)(pictures()).extras == {}


class TwoAnswers(nn.Module):
    def forward(self, layers, grid):
        return {"mean": layers[-1].mean(dim=2), "most": layers[-1].amax(dim=2)}  # (B, S, 2C) each


def test_heads_of_ones_own_compute_in_float32_under_autocast():
    model = VGGT(SMALL)
    model.extra_heads["normals"] = LESSON.NormalHead(SMALL)
    with torch.autocast("cpu", torch.bfloat16):
        assert model(pictures()).extras["normals"].dtype == torch.float32


def test_extras_take_part_in_accumulation():
    torch.manual_seed(0)
    model, gradients = LESSON.MyVGGT(SMALL), []
    batch = generate_scenes(0, 2, 2, 32, 32)
    for parts in (1, 2):
        model.zero_grad()
        loss_and_gradients(lambda b: model(b.images), LESSON.normal_loss, batch, parts)
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert any(name.startswith("extra_heads.normals") for name in gradients[0])
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-4, atol=1e-6)


def test_a_further_head_learns_by_its_loss_and_goes_on_from_a_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setitem(LOSSES, "normals", Loss(LESSON.normal_loss, weight=0.1))
    config = TrainConfig(
        steps=2, max_images=2, views=(2, 2), checkpoint_every=1, loss_weights={"depth": 1.0, "normals": 0.1}
    )
    data, weights = GeneratedScenes(config, SceneConfig(), size=32), []
    for folder, stops in (("whole", [None]), ("paused", [0, None])):
        for most in stops:  # each time a new process would make a new model
            torch.manual_seed(0)
            model = LESSON.MyVGGT(SMALL)
            first = model.extra_heads["normals"].output[0].weight.detach().clone()
            result = train(model, data, config, tmp_path / folder, max_seconds=most)
        weights.append(model.state_dict())
    assert result.finished and not torch.equal(weights[0]["extra_heads.normals.output.0.weight"], first)
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_evaluate_averages_figures_of_ones_own_over_scenes(tmp_path):
    seen = []

    def facing(pred, truth):
        seen.append((tuple(pred.extras["normals"].shape), tuple(truth.depth.shape)))
        return {"facing": float(len(seen))}

    model = LESSON.MyVGGT(SMALL)
    report = evaluate(
        model, num_scenes=3, num_views=2, size=32, num_tracks=4, batch_size=2, extra_scores=facing
    )
    assert seen == 3 * [((1, 2, 32, 32, 3), (1, 2, 32, 32))]
    assert report["facing"] == 2.0 and "facing" not in report.constant
    assert [scene["model"]["facing"] for scene in report.scenes] == [1.0, 2.0, 3.0]
    assert "| facing |" in report.to_markdown()
    assert Report.load(report.save(tmp_path / "report.json"))["facing"] == 2.0


def test_a_reconstruction_keeps_extras_and_so_does_its_folder(tmp_path):
    torch.manual_seed(0)
    model = LESSON.MyVGGT(SMALL).eval()
    arrays = list(np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.uint8))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # random weights predict no usable cameras
        scene = model.reconstruct(arrays, mode="crop", size=32)
    images = torch.stack([torch.from_numpy(array).movedim(-1, 0) / 255 for array in arrays])
    expected = model(images).extras
    torch.testing.assert_close(scene.extras["normals"], expected["normals"][0].detach(), rtol=1e-3, atol=1e-4)
    loaded = Reconstruction.load(scene.save(tmp_path / "scene"))
    assert set(loaded.extras) == set(scene.extras)
    assert all(torch.equal(loaded.extras[name], scene.extras[name]) for name in scene.extras)


# --- classes of one's own, and weights ------------------------------------------------------------


def test_a_subclass_keeps_its_class_and_its_new_head_its_first_values():
    torch.manual_seed(7)
    fresh = LESSON.MyVGGT(NANO).state_dict()
    torch.manual_seed(7)
    with pytest.warns(
        UserWarning, match=r"nano.safetensors lacks \d+ tensors that MyVGGT adds.*extra_heads.normals"
    ):
        model = LESSON.MyVGGT.from_pretrained("nano")
    assert type(model) is LESSON.MyVGGT and not model.training
    stock = VGGT.from_pretrained("nano").state_dict()
    for name, value in model.state_dict().items():
        assert torch.equal(value, fresh[name] if name.startswith("extra_heads.") else stock[name]), name


def test_a_subclass_with_other_blocks_keeps_the_trained_weights_of_the_rest():
    with pytest.warns(UserWarning, match=r"frame_blocks\.0\.attn\.gate"):
        model = GatedVGGT.from_pretrained("nano")
    stock = VGGT.from_pretrained("nano")
    assert torch.equal(
        model.aggregator.frame_blocks[1].attn.qkv.weight, stock.aggregator.frame_blocks[1].attn.qkv.weight
    )


@pytest.mark.parametrize("kind", [LESSON.MyVGGT, GatedVGGT])
def test_what_a_subclass_learned_is_saved_and_loaded_without_a_warning(kind, tmp_path):
    model, path = kind(SMALL), tmp_path / "mine.safetensors"
    save_weights(model, path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = kind.from_pretrained(path)
    assert type(loaded) is kind
    assert all(
        torch.equal(a, b)
        for a, b in zip(loaded.state_dict().values(), model.state_dict().values(), strict=True)
    )
    with pytest.raises(ValueError, match="unexpected"):
        VGGT.from_pretrained(path)


def test_a_file_that_lacks_a_part_of_the_network_is_refused_by_a_subclass_too(tmp_path):
    save_weights(VGGT(SMALL.with_(heads=("camera",))), tmp_path / "part.safetensors")
    with pytest.raises(ValueError, match="missing.*depth_head"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        LESSON.MyVGGT.from_pretrained(tmp_path / "part.safetensors", config=SMALL)


def test_the_network_alone_and_the_class_that_users_hold_are_loaded_by_name():
    assert type(load_pretrained("nano")) is Network
    assert type(VGGT.from_pretrained("nano")) is VGGT and issubclass(VGGT, Network)
