"""Register attention: in some global blocks only camera and register tokens take part.

Their number does not grow with the image, so such a block costs almost nothing. Patches receive the result in
the next frame block, from their own view's special tokens.

Source: VGGT-Ω (arXiv:2605.15195), which does so in 5 of its 24 global blocks.
"""

import torch
from torch import Tensor

from vggt_lite.config import ModelConfig


def attend_special_tokens(
    config: ModelConfig, frame_blocks, global_blocks, positions: Tensor, num_views: int
):
    """The global blocks of the pairs in `config.register_attention` get special tokens only.

    Args:
        frame_blocks, global_blocks: One callable (tokens, rotary) for each pair.
        positions: (T, 2) rows and columns of a view's tokens.
        num_views: S.
    """
    num_special = 1 + config.num_registers

    def of_special_tokens(block):
        def run(x: Tensor, rotary) -> Tensor:
            """(B, S · T, C) → (B, S · T, C); patches come back unchanged."""
            by_view = x.unflatten(1, (num_views, -1))  # (B, S, T, C)
            special, patches = by_view[:, :, :num_special], by_view[:, :, num_special:]
            joined = special.flatten(1, 2)  # (B, S · (1 + R), C); these tokens have no position
            special = block(joined, None).reshape(special.shape)
            return torch.cat([special, patches], dim=2).flatten(1, 2)

        return run

    return frame_blocks, [
        of_special_tokens(block) if pair in config.register_attention else block
        for pair, block in enumerate(global_blocks)
    ]
