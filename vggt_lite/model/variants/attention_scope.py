"""What a pair of blocks attends to, instead of one view and then all views (VGGT, table 5).

attention="global": both blocks read all views. attention="cross": in both, each view reads all other views
and not itself.
"""

from functools import partial

import torch
from torch import Tensor

from vggt_lite.config import ModelConfig


def attend_across_views(config: ModelConfig, frame_blocks, global_blocks, positions: Tensor, num_views: int):
    """Frame blocks get the tokens of all views; with "cross", a mask for both kinds of blocks.

    Args:
        frame_blocks, global_blocks: One callable (tokens, rotary) for each pair.
        positions: (T, 2) rows and columns of a view's tokens.
        num_views: S.
    """

    def on_all_views(block):
        def run(x: Tensor, rotary) -> Tensor:
            """(B · S, T, C) with the tables of one view → (B · S, T, C)."""
            if rotary is not None:
                rotary = tuple(table.repeat(num_views, 1, 1) for table in rotary)  # (S · T, 2, d / 4)
            joined = x.reshape(-1, num_views * x.shape[1], x.shape[2])  # (B, S · T, C)
            return block(joined, rotary).reshape(x.shape)

        return run

    if config.attention == "cross" and num_views > 1:  # a single view has no other views to read
        mask = other_views(len(positions), num_views, positions.device)
        frame_blocks = [partial(block, mask=mask) for block in frame_blocks]
        global_blocks = [partial(block, mask=mask) for block in global_blocks]
    return [on_all_views(block) for block in frame_blocks], global_blocks


def other_views(num_tokens: int, num_views: int, device: torch.device) -> Tensor:
    """(S · T, S · T) bool: True where the row's token and the column's belong to different views."""
    view = torch.arange(num_views, device=device).repeat_interleave(num_tokens)  # (S · T,)
    return view[:, None] != view
