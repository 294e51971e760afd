"""Blocks and rotary positions: checks of the exercises, with the mistakes people make."""

import torch
import torch.nn.functional as F

from vggt_lite.course.checks.check import Check, draws
from vggt_lite.model import layers


def run_block(x, attend, think, norm1, norm2, gamma1, gamma2):
    """The two lines of a block, from its parts."""
    x = x + gamma1 * attend(norm1(x))
    return x + gamma2 * think(norm2(x))


def block_case(length: int, dim: int, scale: float, seed: int):
    """A sequence and the parts of a block, all different from one another."""
    x, weight = draws((2, length, dim), (dim, dim), seed=seed)
    gamma1, gamma2 = draws((dim,), (dim,), seed=seed + 1)
    parts = (
        lambda y: layers.attention_weights(y, y) @ y,
        lambda y: F.gelu(y @ weight),
        lambda y: F.layer_norm(y, (dim,)),
        lambda y: 2 * F.layer_norm(y, (dim,)),
    )
    return x, *parts, scale * gamma1, scale * gamma2


block = Check(
    name="a block",
    reference=run_block,
    trained=True,
    cases=lambda: {
        "three tokens": block_case(3, 4, 0.5, seed=0),
        "a longer sequence": block_case(9, 8, 1.0, seed=1),
        "γ = 0": block_case(2, 4, 0.0, seed=2),
    },
    mutants={
        "you normalised after adding: a norm stands before attention, one before the MLP":
            "x + gamma1 * attend(norm1(x)) → norm1(x + gamma1 * attend(x)); "
            "x + gamma2 * think(norm2(x)) → norm2(x + gamma2 * think(x))",
        "the MLP got the x from before the attention": "x = x + → y = x +; return x → return y",
        "you forgot to add x: each line adds to it": "x + gamma → gamma",
        "you forgot γ": "gamma1 * →; gamma2 * →",
        "you swapped the γ: γ₁ belongs to the attention, γ₂ to the MLP":
            "gamma1 * → gammaX *; gamma2 * → gamma1 *; gammaX → gamma2",
        "you swapped the norms: norm₁ stands before the attention, norm₂ before the MLP":
            "norm1(x) → normX(x); norm2(x) → norm1(x); normX(x) → norm2(x)",
        "you swapped attention and MLP: attention comes first":
            lambda x, attend, think, norm1, norm2, gamma1, gamma2:
            run_block(x, think, attend, norm1, norm2, gamma1, gamma2),
        "you added to the normalised x: only what goes into attention and MLP is normalised":
            "x + gamma1 * attend(norm1(x)) → norm2(norm1(x) + gamma1 * attend(norm1(x))); norm2(x) → x",
        "norm₁ stood in both lines: each has its own": "norm2(x) → norm1(x)",
        "the norms are missing": "norm1(x) → x; norm2(x) → x",
        "you normalised what attention and MLP give: the norms stand before them":
            "attend(norm1(x)) → norm1(attend(x)); think(norm2(x)) → norm2(think(x))",
        "γ₁ stood in both lines: each has its own": "gamma2 * think → gamma1 * think",
        "γ multiplied x as well: it scales only what is added": "x + gamma1 * attend(norm1(x)) → "
            "gamma1 * (x + attend(norm1(x))); x + gamma2 * think(norm2(x)) → gamma2 * (x + think(norm2(x)))",
        "γ stood inside, at the normalised x: it scales what attention and MLP give":
            "gamma1 * attend(norm1(x)) → attend(gamma1 * norm1(x)); "
            "gamma2 * think(norm2(x)) → think(gamma2 * norm2(x))",
        "the second line does not add x: each line adds to it": "return x + → return",
        "the second line added to what came in: it continues from the first":
            "x = x + → y = x +; norm2(x) → norm2(y)",
        "the second line, with the MLP, is missing": "return x + gamma2 * think(norm2(x)) → return x",
    },
    hint="x ← x + γ₁ · attend(norm1 x), and then once more with think, norm2 and γ₂.",
)  # fmt: skip


def turn(x, positions, base: float):
    """Two-dimensional rotary positions: x (…, L, d) turned by the rows and columns (L, 2) of its tokens."""
    quarter = x.shape[-1] // 4
    angle = positions[..., None] * base ** (-torch.arange(quarter) / quarter)  # (L, 2, d / 4)
    a, b = x.unflatten(-1, (2, 2, quarter)).unbind(-2)  # [row a | row b | column a | column b]
    turned = a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()
    return torch.stack(turned, dim=-2).flatten(-3)


rotate = Check(
    name="rotary positions",
    reference=turn,
    trained=True,
    without=(layers.rotate, layers.rotary_tables),
    cases=lambda: {
        "small numbers": (torch.arange(8.0).reshape(2, 4), torch.tensor([[0, 1], [2, 0]]), 100.0),
        "two heads on a grid": (*draws((2, 6, 24)), layers.grid_positions(2, 3, 0), 100.0),
        "special tokens and base 50": (*draws((6, 16), seed=1), layers.grid_positions(2, 2, 2), 50.0),
    },
    mutants={
        "you rotated the other way: a becomes a·cos − b·sin": "= positions → = -positions",
        "you paired neighbouring channels: within a half, channel i turns with channel i + d/4":
            "(2, 2, quarter)).unbind(-2) → (2, quarter, 2)).unbind(-1); dim=-2 → dim=-1",
        "you let columns rotate the first half: rows come first": "positions[ → positions.flip(-1)[",
        "you fixed the base: use the one that is given": "* base ** → * 10_000.0 **",
        "your frequencies fall too slowly: there are d/4 of them, base^(−i / (d/4))":
            "/ quarter) → / (2 * quarter))",
        "your frequencies grow: the exponent is negative, base^(−i / (d/4))": "(-torch → (torch",
        "both halves turned by the row": "positions[..., None] → positions[..., :1, None]",
        "you paired channel i with i + d/2: each half turns by itself, i with i + d/4":
            ".unbind(-2) → .unbind(-3); dim=-2) → dim=-3)",
        "the order within a half is [a | b]; yours has a and b in turn": "dim=-2) → dim=-1)",
        "the order is [row a | row b | column a | column b]; yours is [row a | column a | row b | column b]":
            "dim=-2) → dim=-3)",
        "you used the lesson's `frequency`: the number d/4 and the base come from the arguments":
            "base ** (-torch.arange(quarter) / quarter) → 100.0 ** (-torch.arange(6) / 6)",
        "you counted positions from 1: they come as they are":
            "positions[..., None] → (positions[..., None] + 1)",
        "the first frequency is 1, with i = 0": "(-torch.arange(quarter) / → (-(1 + torch.arange(quarter)) /",
        "the last frequency is base^(−(d/4 − 1) / (d/4)), not 1 / base":
            "torch.arange(quarter) / quarter → torch.linspace(0, 1, quarter)",
        "`//` divides integers: write `/` in the exponent": "/ quarter) → // quarter)",
        "b was turned with the new a: keep the old one": "turned = a * angle.cos() - b * angle.sin(), b "
            "→ turned = (a := a * angle.cos() - b * angle.sin()), b",
        "one sign is wrong: a becomes a·cos − b·sin, b becomes b·cos + a·sin":
            "- b * angle.sin() → + b * angle.sin()",
        "the second half did not turn":
            "turned = → angle = angle * torch.tensor([1.0, 0.0])[:, None]\n    turned =",
    },
    hint="Cut d into [row a | row b | column a | column b], d/4 each; rotate the row pair by row · f.",
)  # fmt: skip
