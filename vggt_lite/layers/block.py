"""The transformer block shared by ViT, frame attention, global attention and camera head."""

import torch
import torch.utils.checkpoint
from torch import Tensor, nn

from vggt_lite.layers.attention import Attention
from vggt_lite.layers.lean import run_in_pieces
from vggt_lite.layers.mlp import LayerScale, Mlp


class Block(nn.Module):
    """x ← x + γ₁ · Attention(LN x), then x ← x + γ₂ · Mlp(LN x).

    Args:
        dim: Channels C.
        num_heads: Heads of the attention.
        norm_eps: ε of the layer norms: 1e-6 in the ViT, 1e-5 elsewhere.
        layer_scale: Initial value of γ: 1 in the ViT, 0.01 elsewhere.
        qk_norm: Normalise queries and keys (frame and global blocks).
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

    def forward(
        self, x: Tensor, rotary: tuple[Tensor, Tensor] | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """(B, L, C) → (B, L, C)."""
        if not torch.is_grad_enabled():
            return run_in_pieces(self, x, rotary, mask)  # the same two lines, a few tokens at a time
        x = x + self.ls1(self.attn(self.norm1(x), rotary=rotary, mask=mask))
        return x + self.ls2(self.mlp(self.norm2(x)))


def run_block(
    block: Block, x: Tensor, rotary: tuple[Tensor, Tensor] | None, recompute: bool, *further
) -> Tensor:
    """Run a block; with `recompute`, forget its inner activations and redo them in the backward pass."""
    if recompute:
        return torch.utils.checkpoint.checkpoint(block, x, rotary, *further, use_reentrant=False)
    return block(x, rotary, *further)
