"""The layers of a transformer: block, attention, rotary positions, MLP, LayerScale.

The same `Block` serves as a *frame* block, called with (B · S, T, C), and as a *global* block, called with
(B, S · T, C). Nothing in this file depends on which of the two it is.

Sources: attention: Vaswani et al. 2017, eq. 1 (arXiv:1706.03762), with query/key normalisation as in VGGT;
rotary positions: Su et al. 2021 (arXiv:2104.09864); LayerScale: Touvron et al. 2021 (arXiv:2103.17239).
"""

from collections.abc import Callable, Iterable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

Rotary = tuple[Tensor, Tensor]  # cosines and sines, from `rotary_tables`


class Block(nn.Module):
    """x ← x + γ₁ · Attention(LN x), then x ← x + γ₂ · Mlp(LN x).

    Args:
        dim: Channels C.
        num_heads: Heads of the attention.
        norm_eps: ε of the layer norms: 1e-6 in the ViT, 1e-5 elsewhere.
        layer_scale: Initial value of γ: 1 in the ViT, 0.01 elsewhere.
        qk_norm: Normalise queries and keys (frame and global blocks do).
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        *,
        norm_eps: float = 1e-5,
        layer_scale: float = 0.01,
        qk_norm: bool = False,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=norm_eps)
        self.attn = Attention(dim, num_heads, qk_norm=qk_norm)
        self.ls1 = LayerScale(dim, layer_scale)
        self.norm2 = nn.LayerNorm(dim, eps=norm_eps)
        self.mlp = Mlp(dim, 4 * dim)
        self.ls2 = LayerScale(dim, layer_scale)

    def forward(self, x: Tensor, rotary: Rotary | None = None, mask: Tensor | None = None) -> Tensor:
        """(B, L, C) → (B, L, C)."""
        x = x + self.ls1(self.attn(self.norm1(x), rotary=rotary, mask=mask))
        return x + self.ls2(self.mlp(self.norm2(x)))


class Attention(nn.Module):
    """Multi-head attention, of a set of tokens to itself or to a context.

    Args:
        dim: Channels C of a token; a multiple of `num_heads`.
        num_heads: n; each head sees d = C / n channels.
        qk_norm: Normalise queries and keys per head (frame and global blocks do, the ViT does not).

    Raises:
        ValueError: `dim` does not divide evenly into `num_heads` heads.
    """

    def __init__(self, dim: int, num_heads: int, qk_norm: bool = False) -> None:
        super().__init__()
        if dim % num_heads:
            raise ValueError(
                f"dim={dim} cannot be split into num_heads={num_heads} equal heads; the remainder is "
                f"{dim % num_heads}. Try num_heads in {[n for n in range(1, 17) if dim % n == 0]}."
            )
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.q_norm = nn.LayerNorm(dim // num_heads, eps=1e-5) if qk_norm else nn.Identity()
        self.k_norm = nn.LayerNorm(dim // num_heads, eps=1e-5) if qk_norm else nn.Identity()
        self.proj = nn.Linear(dim, dim)

    def queries_keys_values(
        self, x: Tensor, context: Tensor | None = None, rotary: Rotary | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What the heads compare and mix: q (B, n, L, d), k and v (B, n, M, d)."""
        q, k, v = self.split_heads(self.qkv(x))
        if context is not None:
            _, k, v = self.split_heads(self.qkv(context))
        q, k = self.q_norm(q), self.k_norm(k)
        if rotary is not None:
            q, k = rotate(q, rotary), rotate(k, rotary)
        return q, k, v

    def split_heads(self, qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, L, 3C), channels [q | k | v] → three of (B, n, L, d)."""
        return qkv.unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)

    def forward(
        self,
        x: Tensor,
        context: Tensor | None = None,
        rotary: Rotary | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Every token of `x` reads from every token of `context` (from `x` itself when omitted).

        Args:
            x: (B, L, C).
            context: (B, M, C) or None.
            rotary: Tables of `rotary_tables` for the L tokens; only without `context`.
            mask: Broadcastable to (B, n, L, M): False where a token may not read (bool), or what is added
                to the scores (float).

        Returns:
            (B, L, C).
        """
        q, k, v = self.queries_keys_values(x, context, rotary)
        out = F.scaled_dot_product_attention(q, k, v.to(q.dtype), attn_mask=mask)  # (B, n, L, d)
        return self.proj(out.transpose(1, 2).flatten(2))  # (B, L, C)


def attention_weights(q: Tensor, k: Tensor) -> Tensor:
    """softmax(q kᵀ / √d): row i says how much token i reads from each token.

    `Attention` uses the fused kernel, which never builds this matrix; it is here to be drawn.

    Args:
        q: Queries (…, L, d).
        k: Keys (…, M, d).

    Returns:
        (…, L, M); every row sums to 1.
    """
    scores = q @ k.transpose(-2, -1)  # (…, L, M)
    return (scores / q.shape[-1] ** 0.5).softmax(dim=-1)


def grid_positions(height: int, width: int, num_special: int) -> Tensor:
    """(row, column) of every token of a view, (num_special + height · width, 2), integers.

    Special tokens sit at (0, 0), where the rotation is the identity; patches count from 1.
    """
    rows, columns = torch.meshgrid(torch.arange(height) + 1, torch.arange(width) + 1, indexing="ij")
    patches = torch.stack([rows, columns], dim=-1).flatten(0, 1)  # (h · w, 2)
    return torch.cat([patches.new_zeros(num_special, 2), patches])  # (T, 2)


def rotary_tables(positions: Tensor, head_dim: int, base: float) -> Rotary:
    """Cosines and sines of every token's angles, computed once and used by all blocks.

    Args:
        positions: (…, L, 2) rows and columns, in patches.
        head_dim: d, channels of a head; a multiple of 4.
        base: Slowest frequency is about 1 / base radians per patch (100 in VGGT).

    Returns:
        cos, sin: each (…, L, 2, d / 4): axis (row, column) × frequency.
    """
    count = head_dim // 4
    frequency = base ** (-torch.arange(count, device=positions.device, dtype=torch.float32) / count)
    angle = positions[..., None].float() * frequency  # (…, L, 2, d / 4)
    return angle.cos(), angle.sin()


def rotate(x: Tensor, tables: Rotary) -> Tensor:
    """Rotate queries or keys by the angles of their tokens' positions.

    Args:
        x: (…, L, d).
        tables: From `rotary_tables`, broadcastable over the leading axes.

    Returns:
        (…, L, d), each vector as long as before.
    """
    cos, sin = (table.to(x.dtype) for table in tables)
    # Channels are [row a | row b | column a | column b]; (a, b) is the pair that rotates together.
    a, b = x.unflatten(-1, (2, 2, -1)).unbind(-2)  # two of (…, L, 2, d / 4)
    rotated = torch.stack([a * cos - b * sin, b * cos + a * sin], dim=-2)  # (…, L, 2, 2, d / 4)
    return rotated.flatten(-3)  # (…, L, d)


class Mlp(nn.Module):
    """Linear, GELU, Linear, applied to each token alone.

    GELU is the exact form x · Φ(x); the tanh approximation differs by more than float noise.

    Args:
        dim: Channels of the input.
        hidden: Channels in between (4 · dim in every block of VGGT).
        out: Channels of the output; `dim` when omitted.
    """

    def __init__(self, dim: int, hidden: int, out: int | None = None) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, out or dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class LayerScale(nn.Module):
    """Multiply each channel by a learned factor γ. With γ near zero a fresh block is almost the identity."""

    def __init__(self, dim: int, initial: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim,), initial))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


def recomputed(blocks: Iterable[Callable]) -> list[Callable]:
    """Gradient checkpointing: the backward pass computes what happens in a block again; nothing is stored."""
    return [partial(checkpoint, block, use_reentrant=False) for block in blocks]
