"""Attention, blocks and rotary positions: checks of the exercises, with the mistakes people make."""

import torch
import torch.nn.functional as F

from vggt_lite import layers
from vggt_lite.checks.check import Check
from vggt_lite.layers.lean import even_pieces


def draws(*shapes, seed: int = 0):
    """Normal random tensors of these shapes, from a generator of their own."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(shape, generator=generator) for shape in shapes)


def softmax_scores(q, k, divisor: float, dim: int = -1):
    return (q @ k.transpose(-2, -1) / divisor).softmax(dim)


attention_weights = Check(
    name="attention weights",
    reference=layers.attention_weights,
    cases=lambda: [
        ("three tokens", (2 * torch.eye(3)[:, :2], torch.tensor([[1.0, 0], [0, 1], [1, 1]]))),
        ("four readers and six keys in a batch", draws((3, 2, 4, 8), (3, 2, 6, 8))),
        ("one token", draws((1, 8), (1, 8))),
    ],
    mutants={
        "you skipped the division by √d": lambda q, k: softmax_scores(q, k, 1.0),
        "you divided by d instead of √d": lambda q, k: softmax_scores(q, k, q.shape[-1]),
        "the softmax runs over the readers (dim=-2); each reader's row must sum to 1": lambda q, k: (
            softmax_scores(q, k, q.shape[-1] ** 0.5, dim=-2)
        ),
        "you returned the scores: the softmax is missing": lambda q, k: q @ k.mT / q.shape[-1] ** 0.5,
        "you divided after the softmax: scale the scores, then take the softmax": lambda q, k: (
            softmax_scores(q, k, 1.0) / q.shape[-1] ** 0.5
        ),
    },
    hint="Scores (…, L, M) first: one dot product for each pair. Then scale. Then each row becomes shares.",
)


def mix_heads(qkv, num_heads: int):
    """The middle of multi-head attention: [q | k | v] (B, L, 3C) in, what the heads read (B, L, C) out."""
    q, k, v = qkv.unflatten(-1, (3, num_heads, -1)).permute(2, 0, 3, 1, 4)  # three of (B, n, L, d)
    return (layers.attention_weights(q, k) @ v).transpose(1, 2).flatten(2)


def _heads_before_parts(qkv, num_heads):
    q, k, v = qkv.unflatten(-1, (num_heads, 3, -1)).permute(3, 0, 2, 1, 4)
    return (layers.attention_weights(q, k) @ v).transpose(1, 2).flatten(2)


def _scaled_by_width(qkv, num_heads):
    q, k, v = qkv.unflatten(-1, (3, num_heads, -1)).permute(2, 0, 3, 1, 4)
    return (softmax_scores(q, k, (qkv.shape[-1] // 3) ** 0.5) @ v).transpose(1, 2).flatten(2)


def _heads_not_moved_back(qkv, num_heads):
    q, k, v = qkv.unflatten(-1, (3, num_heads, -1)).permute(2, 0, 3, 1, 4)
    return (layers.attention_weights(q, k) @ v).reshape(qkv.shape[0], qkv.shape[1], -1)


def _interleaved(qkv, num_heads):
    q, k, v = qkv.unflatten(-1, (3, -1, num_heads)).permute(2, 0, 4, 1, 3)
    return (layers.attention_weights(q, k) @ v).permute(0, 2, 3, 1).flatten(2)


multi_head = Check(
    name="several heads",
    reference=mix_heads,
    cases=lambda: [
        ("two heads", (*draws((1, 3, 12)), 2)),
        ("four heads of a batch", (*draws((2, 5, 48), seed=1), 4)),
        ("one head", (*draws((2, 4, 9), seed=2), 1)),
    ],
    mutants={
        "you cut into heads before cutting into q, k and v: the order is [q | k | v]": _heads_before_parts,
        "you divided by √C: a head compares only d = C / n channels": _scaled_by_width,
        "you flattened (n, L, d) as it stands: move the heads behind the tokens first, (L, n, d)": (
            _heads_not_moved_back
        ),
        "you dealt the channels out to the heads in turn: a head owns d neighbouring channels": _interleaved,
        "you compared all channels at once; every head has its own": lambda qkv, n: mix_heads(qkv, 1),
    },
    hint="Print every shape: (B, L, 3C), (B, L, 3, n, d), three of (B, n, L, d), (B, L, n, d), (B, L, C).",
)


def run_block(x, attend, think, norm1, norm2, gamma1, gamma2):
    """The two lines of a block, from its parts."""
    x = x + gamma1 * attend(norm1(x))
    return x + gamma2 * think(norm2(x))


def _post_norm(x, attend, think, norm1, norm2, gamma1, gamma2):
    x = norm1(x + gamma1 * attend(x))
    return norm2(x + gamma2 * think(x))


def _parallel(x, attend, think, norm1, norm2, gamma1, gamma2):
    return x + gamma1 * attend(norm1(x)) + gamma2 * think(norm2(x))


def _no_residual(x, attend, think, norm1, norm2, gamma1, gamma2):
    x = gamma1 * attend(norm1(x))
    return gamma2 * think(norm2(x))


def _normed_residual(x, attend, think, norm1, norm2, gamma1, gamma2):
    x = norm1(x)
    x = norm2(x + gamma1 * attend(x))
    return x + gamma2 * think(x)


def block_case(length: int, dim: int, scale: float, seed: int):
    """A sequence and the parts of a block, all different from one another."""
    x, weight = draws((2, length, dim), (dim, dim), seed=seed)
    gamma1, gamma2 = draws((dim,), (dim,), seed=seed + 1)

    def attend(y):
        return layers.attention_weights(y, y) @ y

    def think(y):
        return F.gelu(y @ weight)

    def norm1(y):
        return F.layer_norm(y, (dim,))

    def norm2(y):
        return 2 * F.layer_norm(y, (dim,))

    return x, attend, think, norm1, norm2, scale * gamma1, scale * gamma2


block = Check(
    name="a block",
    reference=run_block,
    cases=lambda: [
        ("three tokens", block_case(3, 4, 0.5, seed=0)),
        ("a longer sequence", block_case(9, 8, 1.0, seed=1)),
        ("γ = 0", block_case(2, 4, 0.0, seed=2)),
    ],
    mutants={
        "you normalised after adding: the norm stands before the part that reads": _post_norm,
        "the perceptron read the x from before the attention": _parallel,
        "you forgot to add x: each line adds to the stream": _no_residual,
        "you forgot γ": lambda x, *parts: run_block(x, *parts[:4], 1, 1),
        "you added to the normalised x: norms are for reading, the stream stays": _normed_residual,
    },
    hint="x ← x + γ₁ · attend(norm1 x), and then once more with think, norm2 and γ₂.",
)


def turn(x, positions, base: float):
    """Two-dimensional rotary positions, from the positions themselves."""
    return layers.rotate(x, layers.rotary_tables(positions, x.shape[-1], base))


def _turned_by(x, positions, frequency):
    angle = positions[..., None].float() * frequency
    return layers.rotate(x, (angle.cos(), angle.sin()))


def _neighbours(x, positions, base):
    halves = x.unflatten(-1, (2, -1, 2))  # (…, L, 2, d / 4, 2): pairs of neighbours
    cos, sin = layers.rotary_tables(positions, x.shape[-1], base)
    a, b = halves.unbind(-1)
    return torch.stack([a * cos - b * sin, b * cos + a * sin], dim=-1).flatten(-3)


def _short_ladder(x, positions, base):
    count = x.shape[-1] // 4
    return _turned_by(x, positions, base ** (-torch.arange(count) / (2 * count)))


rotate = Check(
    name="rotary positions",
    reference=turn,
    cases=lambda: [
        ("small numbers", (torch.arange(8.0).reshape(2, 4), torch.tensor([[0, 1], [2, 0]]), 100.0)),
        ("two heads on a grid", (*draws((2, 6, 24)), layers.grid_positions(2, 3, 0), 100.0)),
        (
            "special tokens and base 50",
            (*draws((6, 16), seed=1), layers.grid_positions(2, 2, 2), 50.0),
        ),
    ],
    mutants={
        "you turned the other way: a becomes a·cos − b·sin": lambda x, p, base: turn(x, -p, base),
        "you paired neighbouring channels: within a half, channel i turns with channel i + d/4": _neighbours,
        "you let columns turn the first half: rows come first": lambda x, p, base: turn(x, p.flip(-1), base),
        "you fixed the base: use the one that is given": lambda x, p, base: turn(x, p, 10_000.0),
        "your frequencies fall too slowly: there are d/4 of them, base^(−i / (d/4))": _short_ladder,
        "both halves turned by the row": lambda x, p, base: turn(x, p[..., :1].expand_as(p), base),
    },
    hint="Cut d into [row a | row b | column a | column b], d/4 each; turn the row pair by row · f.",
)


def in_pieces(q, k, v, most: int):
    """Attention a few readers at a time."""
    parts = even_pieces(q.shape[-2], most)
    return torch.cat([layers.attention_weights(q[..., part, :], k) @ v for part in parts], dim=-2)


def _own_keys_only(q, k, v, most):
    parts = even_pieces(q.shape[-2], most)
    read = [layers.attention_weights(q[..., p, :], k[..., p, :]) @ v[..., p, :] for p in parts]
    return torch.cat(read, dim=-2)


def _softmax_per_piece(q, k, v, most):
    parts = even_pieces(q.shape[-2], most)
    return sum(layers.attention_weights(q, k[..., p, :]) @ v[..., p, :] for p in parts) / len(parts)


def _rest_forgotten(q, k, v, most):
    whole = q.shape[-2] // most * most
    return in_pieces(q[..., :whole, :], k, v, most) if whole else q[..., :0, :]


pieces = Check(
    name="attention in pieces",
    reference=in_pieces,
    cases=lambda: [
        ("six tokens in twos", (*draws((6, 4), (6, 4), (6, 4)), 2)),
        ("seven tokens in threes", (*draws((2, 7, 8), (2, 7, 8), (2, 7, 8), seed=1), 3)),
        ("all at once", (*draws((5, 4), (5, 4), (5, 4), seed=2), 100)),
    ],
    mutants={
        "a piece of readers saw only the keys of its own piece: it must see all of them": _own_keys_only,
        "you cut the keys, and each piece had its own softmax: a row's shares need all keys at once": (
            _softmax_per_piece
        ),
        "you lost the last tokens when the length is no multiple of the piece": _rest_forgotten,
    },
    hint="Cut q along the tokens; k and v stay whole. `torch.cat(…, dim=-2)` joins the pieces.",
)
