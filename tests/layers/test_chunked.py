"""Work in pieces must give the numbers of the lesson form, which runs whenever gradients are wanted."""

import pytest
import torch

from vggt_lite import NANO, VGGT
from vggt_lite.inference import chunked as chunked_module
from vggt_lite.inference.chunked import chunked, split_evenly
from vggt_lite.model import Block, grid_positions, rotary_tables
from vggt_lite.pretrained.loading import cast_linear_weights

PIECES = [1, 5, 7, 12, 10_000]


@pytest.mark.parametrize("count", [0, 1, 7, 1041, 4164])
@pytest.mark.parametrize("most", [0, 1, 3, 1536])
def test_pieces_cover_everything_once_and_are_nearly_equal(count, most):
    pieces = split_evenly(count, most)
    assert [i for piece in pieces for i in range(count)[piece]] == list(range(count))
    sizes = [piece.stop - piece.start for piece in pieces]
    assert max(sizes) <= max(1, most) and max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("rotary", [False, True])
@pytest.mark.parametrize("tokens", PIECES)
def test_a_block_in_pieces_gives_the_numbers_of_the_lesson_form(tokens, rotary, monkeypatch):
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


def test_rounding_inside_autocast_is_the_same_in_pieces(monkeypatch):
    torch.manual_seed(0)
    block, x = Block(24, 3, layer_scale=1.0, qk_norm=True), torch.randn(2, 12, 24)
    with torch.autocast("cpu", torch.bfloat16):
        whole = block(x).detach()
        monkeypatch.setattr(chunked_module, "TOKENS_PER_CHUNK", 5)
        with chunked(block):
            pieces = block(x)
    assert whole.dtype == pieces.dtype == torch.float32
    torch.testing.assert_close(pieces, whole, rtol=0, atol=0.02)
