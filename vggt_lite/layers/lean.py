"""Work in pieces: the same numbers with less memory, when nobody wants a gradient.

Every token passes norms, projections and perceptron alone; only the comparison of queries with keys needs
all of them. So those parts may be done for a few tokens at a time: what lies in between (four times the
stream in the perceptron, three times in the projection) then never exists for all tokens at once, and on a
processor it stays in the cache. `benchmarks/inference.py` shows what that pays.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

# A processor is quickest while its cache holds what it works on; a large device idles on small pieces.
TOKENS_AT_A_TIME, TOKENS_AT_A_TIME_ACCELERATOR = 1_536, 32_768
PIXELS_AT_A_TIME, PIXELS_AT_A_TIME_ACCELERATOR = 518 * 518, 8 * 518 * 518


def tokens_at_a_time(x: Tensor) -> int:
    """How many tokens a block works on at once, where `x` lives."""
    return TOKENS_AT_A_TIME if x.is_cpu else TOKENS_AT_A_TIME_ACCELERATOR


def some_views(tokens: Tensor, pixels: int) -> list[slice]:
    """Which views a dense head decodes together: all of them when gradients are wanted.

    Args:
        tokens: (M, …) of M views.
        pixels: Of one view.
    """
    most = PIXELS_AT_A_TIME if tokens.is_cpu else PIXELS_AT_A_TIME_ACCELERATOR
    return even_pieces(len(tokens), len(tokens) if torch.is_grad_enabled() else most // pixels)


def even_pieces(count: int, most: int) -> list[slice]:
    """Cut `count` things into as few nearly equal slices as possible, none longer than `most`."""
    number = max(1, -(-count // max(1, most)))
    ends = [count * i // number for i in range(number + 1)]
    return [slice(start, end) for start, end in zip(ends, ends[1:], strict=False)]


def run_in_pieces(
    block, x: Tensor, rotary: tuple[Tensor, Tensor] | None, mask: Tensor | None = None
) -> Tensor:
    """`Block.forward` without gradients. The input is left as it is.

    Args:
        block: A `Block`.
        x: (B, L, C).
        rotary: Tables for the L tokens, or None.
        mask: (L, L) bool, which tokens may read which, or None.

    Returns:
        (B, L, C).
    """
    out = torch.empty_like(x)
    for some in even_pieces(len(x), tokens_at_a_time(x) // x.shape[1]):  # sequences are independent
        _run_sequences(block, x[some], rotary, mask, out[some])
    return out


def _run_sequences(
    block, x: Tensor, rotary: tuple[Tensor, Tensor] | None, mask: Tensor | None, out: Tensor
) -> None:
    """Some sequences x (B, L, C) through the block, into `out`."""
    (count, length, dim), heads = x.shape, block.attn.num_heads
    pieces = even_pieces(length, tokens_at_a_time(x) // count)

    # Under autocast the fused kernel rounds its inputs anyway; storing them rounded changes nothing.
    device = x.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
    q, k, v = x.new_empty(3, count, heads, length, dim // heads, dtype=dtype)  # each (B, n, L, d)
    for piece in pieces:
        here = None if rotary is None else (rotary[0][piece], rotary[1][piece])
        q[:, :, piece], k[:, :, piece], v[:, :, piece] = block.attn.queries_keys_values(
            block.norm1(x[:, piece]), rotary=here
        )
    read = F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2)  # (B, L, n, d)
    del q, k, v
    for piece in pieces:
        y = x[:, piece] + block.ls1(block.attn.proj(read[:, piece].flatten(2)))
        out[:, piece] = y + block.ls2(block.mlp(block.norm2(y)))
