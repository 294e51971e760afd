"""The tracker's update transformer: along time, and across tracks through a few virtual ones.

Source: CoTracker3 (Karaev et al. 2024, arXiv:2410.11831), as VGGT's track head uses it.
"""

import torch
from torch import Tensor, nn

from vggt_lite.layers.attention import Attention
from vggt_lite.layers.lean import even_pieces, tokens_at_a_time
from vggt_lite.layers.mlp import Mlp


class TrackBlock(nn.Module):
    """Attention and perceptron; with `cross`, attention reads from a context.

    Unlike everywhere else in VGGT, the first skip starts from the *normalised* input: a slip of the
    release that its weights have learned.
    """

    def __init__(self, dim: int, num_heads: int, cross: bool = False) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-5)
        self.norm_context = nn.LayerNorm(dim, eps=1e-5) if cross else None
        self.attn = Attention(dim, num_heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-5)
        self.mlp = Mlp(dim, 4 * dim)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """(M, L, C), context (M, K, C) → (M, L, C)."""
        if torch.is_grad_enabled():
            return self.read(x, context)
        out = torch.empty_like(x, memory_format=torch.contiguous_format)
        longest = max(x.shape[1], 0 if context is None else context.shape[1])
        for some in even_pieces(len(x), tokens_at_a_time(x) // longest):  # sequences are independent
            out[some] = self.read(x[some], None if context is None else context[some])
        return out

    def read(self, x: Tensor, context: Tensor | None) -> Tensor:
        """The block's formula, for all sequences at once."""
        x = self.norm1(x)
        x = x + self.attn(x, None if context is None else self.norm_context(context))
        return x + self.mlp(self.norm2(x))


class UpdateTransformer(nn.Module):
    """Tokens of N tracks in S views → how each should change.

    Attention among all tracks would cost N². Instead, `num_virtual` learned tracks gather from the
    real ones, talk among themselves, and hand the result back.

    Args:
        dim_in, dim_out: Channels of a token, and of the update.
        dim, num_heads, depth: Size of the transformer; `depth` time blocks and as many space blocks.
        num_virtual: Learned tracks.
    """

    def __init__(
        self, dim_in: int, dim_out: int, dim: int, num_heads: int, depth: int, num_virtual: int
    ) -> None:
        super().__init__()
        self.num_virtual = num_virtual
        self.input_norm = nn.LayerNorm(dim_in, eps=1e-5)
        self.input_transform = nn.Linear(dim_in, dim)
        self.virtual_tracks = nn.Parameter(torch.randn(1, num_virtual, 1, dim))

        def blocks(cross: bool) -> nn.ModuleList:
            return nn.ModuleList(TrackBlock(dim, num_heads, cross) for _ in range(depth))

        self.time_blocks = blocks(cross=False)
        self.virtual_from_points = blocks(cross=True)
        self.virtual_blocks = blocks(cross=False)
        self.points_from_virtual = blocks(cross=True)
        self.output_norm = nn.LayerNorm(dim, eps=1e-5)
        self.flow_head = nn.Linear(dim, dim_out)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.trunc_normal_(self.flow_head.weight, std=0.001)  # begin with tracks that hardly move

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, S, dim_in) → (B, N, S, dim_out)."""
        num_scenes, num_tracks, num_views, _ = tokens.shape
        start = self.input_transform(self.input_norm(tokens))  # (B, N, S, C)
        virtual = self.virtual_tracks.expand(num_scenes, -1, num_views, -1).to(start)
        x = torch.cat([start, virtual], dim=1)  # (B, N + V, S, C)
        for time, gather, talk, hand_back in zip(
            self.time_blocks,
            self.virtual_from_points,
            self.virtual_blocks,
            self.points_from_virtual,
            strict=True,
        ):
            x = time(x.flatten(0, 1)).unflatten(0, (num_scenes, -1))  # along S
            by_view = x.transpose(1, 2).flatten(0, 1)  # (B · S, N + V, C)
            points, virtual = by_view[:, :num_tracks], by_view[:, num_tracks:]
            virtual = talk(gather(virtual, points))
            points = hand_back(points, virtual)
            x = torch.cat([points, virtual], dim=1).unflatten(0, (num_scenes, num_views)).transpose(1, 2)
        return self.flow_head(self.output_norm(x[:, :num_tracks] + start))
