"""Blocks and rotary positions: checks of the exercises, with the mistakes people make."""

import torch
import torch.nn.functional as F

from vggt_lite.course.checks.check import Check
from vggt_lite.course.checks.draws import draws
from vggt_lite.model import layers


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
        "your frequencies grow: the exponent is negative, base^(−i / (d/4))": lambda x, p, base: turn(
            x, p, 1 / base
        ),
        "both halves turned by the row": lambda x, p, base: turn(x, p[..., :1].expand_as(p), base),
    },
    hint="Cut d into [row a | row b | column a | column b], d/4 each; turn the row pair by row · f.",
)
