"""Chunked methods give the numbers of the network's own, and leave it as they found it."""

import pytest
import torch

from vggt_lite import NANO, VGGT
from vggt_lite.inference import chunked as chunked_module
from vggt_lite.inference.chunked import KNOWN, chunked, digest, split_evenly
from vggt_lite.model import Block, grid_positions, rotary_tables
from vggt_lite.pretrained.loading import cast_linear_weights

SIZES = [1, 5, 7, 12, 10_000]


@pytest.mark.parametrize("count", [0, 1, 7, 1041, 4164])
@pytest.mark.parametrize("most", [0, 1, 3, 1536])
def test_chunks_cover_everything_once_and_are_nearly_equal(count, most):
    chunks = split_evenly(count, most)
    assert [i for chunk in chunks for i in range(count)[chunk]] == list(range(count))
    sizes = [chunk.stop - chunk.start for chunk in chunks]
    assert max(sizes) <= max(1, most) and max(sizes) - min(sizes) <= 1


def test_chunks_were_tested_for_the_code_that_is_there():
    """If this fails, read the comment of `KNOWN`, then put the new digests there."""
    found = {
        kind: {name: digest(getattr(kind, name).__code__) for name in methods}
        for kind, methods in KNOWN.items()
    }
    assert found == KNOWN


class Written:
    def forward(self, x):
        for i in range(3):
            x = x + i
        return x


class Commented:
    def forward(self, x):
        """It says something."""
        for i in range(3):
            # why
            x = x + i

        return x  # (B, L, C)


class Dedented:
    def forward(self, x):
        for i in range(3):
            x = x + i
            return x


def test_a_digest_sees_code_and_its_indentation_but_no_comments():
    known = digest(Written.forward.__code__)
    assert digest(Commented.forward.__code__) == known != digest(Dedented.forward.__code__)
    assert digest((lambda self, x: x).__code__) != known and digest(compile("1", "nowhere", "eval")) == ""


@pytest.mark.parametrize("rotary", [False, True])
@pytest.mark.parametrize("tokens", SIZES)
def test_a_block_in_chunks_gives_the_numbers_of_the_lesson_form(tokens, rotary, monkeypatch):
    torch.manual_seed(0)
    block = Block(24, 3, layer_scale=1.0, qk_norm=True)
    x = torch.randn(3, 12, 24)
    tables = rotary_tables(grid_positions(2, 5, 2), 8, 100.0) if rotary else None
    whole = block(x, tables).detach()
    monkeypatch.setattr(chunked_module, "TOKENS_PER_CHUNK", tokens)
    before = x.clone()
    with chunked(block):
        torch.testing.assert_close(block(x, tables), whole)
    assert torch.equal(x, before), "the input was changed"


@pytest.mark.parametrize("pixels", [1, 2 * 48 * 64, 10**9])
def test_heads_that_decode_some_views_at_a_time_give_the_numbers_of_all_at_once(pixels, monkeypatch):
    torch.manual_seed(0)
    model, images = VGGT(NANO).eval(), torch.rand(3, 3, 48, 64)
    points = torch.tensor([[10.0, 20.0], [30.5, 5.0]])
    whole = model(images, points)
    monkeypatch.setattr(chunked_module, "PIXELS_PER_CHUNK", pixels)
    with chunked(model):
        some = model(images, points)
    for name in ("pose_encoding", "depth", "depth_conf", "point_map", "point_conf", "tracks"):
        torch.testing.assert_close(getattr(some, name), getattr(whole, name).detach(), rtol=1e-4, atol=1e-5)


def test_masks_and_a_block_whose_attention_is_replaced_work_in_chunks(monkeypatch):
    torch.manual_seed(0)
    block, x = Block(24, 3, layer_scale=1.0), torch.randn(2, 12, 24).transpose(0, 1)  # not contiguous
    monkeypatch.setattr(chunked_module, "TOKENS_PER_CHUNK", 4)
    for mask in (torch.rand(2, 2) > 0.3, torch.randn(12, 1, 1, 2)):
        expected = block(x, mask=mask)
        with chunked(block):
            torch.testing.assert_close(block(x, mask=mask), expected)
    block.attn = torch.nn.LayerNorm(24)
    block.attn.forward = lambda x, rotary, mask: x.flip(1)
    expected = block(x)
    with chunked(block):
        torch.testing.assert_close(block(x), expected)


def test_afterwards_no_method_is_left_on_any_module_whatever_happened():
    model = VGGT(NANO.with_(heads=("depth",)))
    before = [set(vars(module)) for module in model.modules()]
    with pytest.raises(KeyError), chunked(model), chunked(model):
        assert any("forward" in vars(module) for module in model.modules())
        raise KeyError
    assert [set(vars(module)) for module in model.modules()] == before


def test_matrices_rounded_beforehand_give_exactly_what_autocast_gives():
    torch.manual_seed(0)
    model, images = VGGT(NANO).eval(), torch.rand(2, 3, 48, 48)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        expected = model(images)
    cast_linear_weights(model, torch.bfloat16)
    assert model.aggregator.matrix_dtype == torch.bfloat16
    assert model.depth_head.pyramid.projects[0].weight.dtype == torch.float32
    with torch.no_grad():
        found = model(images)
    assert torch.equal(found.depth, expected.depth)
    assert torch.equal(found.pose_encoding, expected.pose_encoding)
    exact = VGGT(NANO).eval()
    exact.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert not torch.equal(exact(images).depth, found.depth), "nothing was rounded: the test sees nothing"


def test_rounding_inside_autocast_is_the_same_in_chunks(monkeypatch):
    torch.manual_seed(0)
    block, x = Block(24, 3, layer_scale=1.0, qk_norm=True), torch.randn(2, 12, 24)
    with torch.autocast("cpu", torch.bfloat16):
        whole = block(x).detach()
        monkeypatch.setattr(chunked_module, "TOKENS_PER_CHUNK", 5)
        with chunked(block):
            some = block(x)
    assert whole.dtype == some.dtype == torch.float32
    torch.testing.assert_close(some, whole, rtol=0, atol=0.02)


def test_fast_rounds_the_products_of_dense_heads_and_leaves_their_last_convolution_and_cameras_exact():
    torch.manual_seed(0)
    model, images = VGGT(NANO.with_(heads=("camera", "depth", "point"))).eval(), torch.rand(3, 3, 48, 64)
    before, seen = [set(vars(module)) for module in model.modules()], {}
    layers = {"first": model.depth_head.output[0], "last": model.depth_head.output[-1]}
    for name, layer in layers.items():
        layer.register_forward_hook(lambda _, inputs, out, name=name: seen.update({name: out.dtype}))
    with chunked(model):
        exact = model(images)
    assert set(seen.values()) == {torch.float32}
    with chunked(model, precision="fast"):
        fast = model(images)
    assert seen == {"first": torch.bfloat16, "last": torch.float32}
    assert torch.equal(fast.pose_encoding, exact.pose_encoding)
    for name in ("depth", "depth_conf", "point_map", "point_conf"):
        one, other = getattr(fast, name), getattr(exact, name)
        assert one.dtype == torch.float32 and not torch.equal(one, other)
        torch.testing.assert_close(one, other, rtol=0.01, atol=0.01 * other.abs().max().item())
    assert [set(vars(module)) for module in model.modules()] == before
    with pytest.raises(ValueError, match="precision"), chunked(model, precision="faster"):
        pass


def test_matrices_are_rounded_once_for_all_chunks_of_a_block_and_then_forgotten(monkeypatch):
    torch.manual_seed(0)
    block, x = Block(24, 3, layer_scale=1.0), torch.randn(1, 12, 24)
    rounded = []

    class Casts(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            if function is torch.ops.aten._to_copy.default and isinstance(args[0], torch.nn.Parameter):
                rounded.append(args[0])
            return function(*args, **(kwargs or {}))

    monkeypatch.setattr(chunked_module, "TOKENS_PER_CHUNK", 3)
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False), chunked(block), Casts():
        for times in (1, 2):
            block(x)
            assert len(rounded) == 8 * times  # weight and bias of four layers
        assert not torch.is_autocast_cache_enabled()
