"""What attention, rotary positions and blocks must do, and the official numbers they must give."""

import pytest
import torch

from tests.golden.loader import deterministic_tensor, load, worst_ratio
from vggt_lite.model import Attention, Block, attention_weights, grid_positions, rotary_tables, rotate

GOLD = load("functions")


@pytest.fixture
def tokens() -> torch.Tensor:
    return torch.randn(2, 7, 24, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def attention() -> Attention:
    torch.manual_seed(0)
    return Attention(24, 3, qk_norm=True).eval()


def load_block_rule(block: Block) -> Block:
    state = {key: deterministic_tensor(key, value.shape) for key, value in block.state_dict().items()}
    block.load_state_dict(state)
    return block


def test_fused_attention_matches_the_written_out_formula(attention, tokens):
    q, k, v = attention.queries_keys_values(tokens)
    expected = attention.proj((attention_weights(q, k) @ v).transpose(1, 2).flatten(2))
    torch.testing.assert_close(attention(tokens), expected)


def test_reading_from_itself_as_a_context_changes_nothing(attention, tokens):
    torch.testing.assert_close(attention(tokens, context=tokens), attention(tokens))


def test_reordering_tokens_reorders_the_output(attention, tokens):
    order = torch.randperm(7, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(attention(tokens[:, order]), attention(tokens)[:, order])


def test_sets_in_a_batch_do_not_leak_into_each_other(attention, tokens):
    changed = tokens.clone()
    changed[1] = 0.0
    torch.testing.assert_close(attention(changed)[0], attention(tokens)[0])


def test_a_head_count_that_does_not_divide_says_which_ones_would():
    with pytest.raises(ValueError, match=r"num_heads=5.*Try num_heads in \[1, 2, 3, 4"):
        Attention(24, num_heads=5)


def test_rotary_dot_products_depend_on_offsets_only():
    q, k = torch.randn(2, 1, 16, generator=torch.Generator().manual_seed(0))

    def score(q_at: list[int], k_at: list[int]) -> torch.Tensor:
        here, there = (rotary_tables(torch.tensor([p]), 16, 100.0) for p in (q_at, k_at))
        return (rotate(q, here) * rotate(k, there)).sum()

    torch.testing.assert_close(score([1, 2], [4, 3]), score([6, 1], [9, 2]))
    assert not torch.allclose(score([1, 2], [4, 3]), score([1, 2], [3, 4]))


def test_position_zero_is_the_identity():
    x = torch.randn(3, 1, 8)
    torch.testing.assert_close(rotate(x, rotary_tables(torch.zeros(1, 2), 8, 100.0)), x)


def test_rotary_tables_equal_the_official_ones():
    positions = torch.arange(6)[:, None].expand(-1, 2)
    cos, sin = rotary_tables(positions, 64, 100.0)  # (6, 2, 16); the release repeats each half-row
    for ours, name in ((cos, "cos"), (sin, "sin")):
        assert worst_ratio(ours[:, 0].repeat(1, 2), GOLD[f"rope/{name}_d32_n6"]) <= 1


def test_grid_positions_count_from_one_and_special_tokens_sit_at_zero():
    positions = grid_positions(3, 4, num_special=5)
    assert (positions[:5] == 0).all()
    from_zero = GOLD["rope/grid_3x4"][0].long()  # the release adds its 1 later
    assert torch.equal(positions[5:], from_zero + 1)


@pytest.mark.parametrize(("x", "out", "rows"), [("x", "out", slice(None)), ("x64", "out64", slice(1))])
def test_rotation_equals_the_official_one(x, out, rows):
    x, positions = GOLD[f"rope/{x}"], GOLD["rope/pos"][rows]
    tables = rotary_tables(positions, x.shape[-1], 100.0)
    got = rotate(x, tuple(table[:, None] for table in tables))
    assert worst_ratio(got, GOLD[f"rope/{out}"]) <= 1


def test_block_with_normalised_queries_and_rotation_equals_the_official_one():
    block = load_block_rule(Block(32, 2, qk_norm=True))
    tables = rotary_tables(GOLD["block/pos"], 16, 100.0)
    got = block(GOLD["block/x"], tuple(table[:, None] for table in tables))
    assert worst_ratio(got, GOLD["block/out"]) <= 1


def test_plain_block_equals_the_official_one():
    block = load_block_rule(Block(32, 2))
    assert worst_ratio(block(GOLD["block/x"]), GOLD["block/out_plain"]) <= 1
