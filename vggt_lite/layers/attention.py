"""Attention between tokens, the one operation through which tokens exchange information.

The same module serves a *frame* block, called with (B · S, T, C), a *global* block, called with
(B, S · T, C), and the tracker. Nothing in this file knows which one is running.

Source: Vaswani et al. 2017, eq. 1 (arXiv:1706.03762); query/key normalisation as in VGGT.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from vggt_lite.layers.rope import rotate


def attention_weights(q: Tensor, k: Tensor) -> Tensor:
    """softmax(q kᵀ / √d): row i says how much token i reads from each token.

    Kept apart from `Attention` because it is what one draws; the module uses the fused kernel and
    never builds this matrix.

    Args:
        q: Queries (…, L, d).
        k: Keys (…, M, d).

    Returns:
        (…, L, M); every row sums to 1.
    """
    scores = q @ k.transpose(-2, -1)  # (…, L, M)
    return (scores / q.shape[-1] ** 0.5).softmax(dim=-1)


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
        self, x: Tensor, context: Tensor | None = None, rotary: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What the heads compare and mix: q (B, n, L, d), k and v (B, n, M, d)."""
        if context is None:
            qkv = self.qkv(x).unflatten(-1, (3, self.num_heads, -1))  # (B, L, 3, n, d)
            q, k, v = qkv.permute(2, 0, 3, 1, 4)  # three of (B, n, L, d)
        else:
            dim = x.shape[-1]  # the stacked projection is [q | k | v]
            q = F.linear(x, self.qkv.weight[:dim], self.qkv.bias[:dim])
            q = q.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # (B, n, L, d)
            kv = F.linear(context, self.qkv.weight[dim:], self.qkv.bias[dim:])
            k, v = kv.unflatten(-1, (2, self.num_heads, -1)).permute(2, 0, 3, 1, 4)  # (B, n, M, d)
        q, k = self.q_norm(q), self.k_norm(k)
        if rotary is not None:
            q, k = rotate(q, rotary), rotate(k, rotary)
        return q, k, v

    def forward(
        self,
        x: Tensor,
        context: Tensor | None = None,
        rotary: tuple[Tensor, Tensor] | None = None,
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
