"""How views exchange information: the global block of a pair, and what may take its place.

VGGT joins the tokens of all views into one sequence, which is `all_tokens` below with nothing switched on.
The switches are those of `vggt_lite/config.py`.
"""

import torch
from torch import Tensor

from vggt_lite.config import ModelConfig
from vggt_lite.model.layers import Block, run_block
from vggt_lite.model.variants.token_merging import plan_merge


class Exchange:
    """Runs blocks across the views of each scene, for images of one size and number.

    Args:
        positions: (T, 2) rows and columns of a view's tokens, special tokens first.
        rotary: The tables made from them, each (T, 2, d / 4).
        num_views: S.
    """

    def __init__(
        self, config: ModelConfig, positions: Tensor, rotary: tuple[Tensor, Tensor], num_views: int
    ) -> None:
        self.num_views, self.num_special = num_views, 1 + config.num_registers
        self.rotary = None
        if config.global_positions:
            self.rotary = tuple(table.repeat(num_views, 1, 1) for table in rotary)  # (S · T, 2, d / 4)
        self.further = ()  # what else a block is told; a lone view has no others to read or to merge with
        if config.attention == "cross" and num_views > 1:
            self.further = (other_views(len(positions), num_views, positions.device),)
        elif config.merge_tokens and num_views > 1:
            self.further = (plan_merge(positions, self.num_special, num_views, config.merge_tokens),)

    def all_tokens(self, block: Block, x: Tensor, recompute: bool) -> Tensor:
        """Every token may read from every view: (B · S, T, C) → (B · S, T, C)."""
        joined = x.reshape(-1, self.num_views * x.shape[1], x.shape[2])  # (B, S · T, C)
        return run_block(block, joined, self.rotary, recompute, *self.further).reshape(x.shape)

    def special_tokens(self, block: Block, x: Tensor, recompute: bool) -> Tensor:
        """Only camera and register tokens meet; patches hear of it in the next frame block."""
        special, patches = x[:, : self.num_special], x[:, self.num_special :]
        joined = special.reshape(-1, self.num_views * self.num_special, x.shape[2])  # (B, S · (1 + R), C)
        special = run_block(block, joined, None, recompute).reshape(special.shape)  # they have no position
        return torch.cat([special, patches], dim=1)


def other_views(num_tokens: int, num_views: int, device: torch.device) -> Tensor:
    """(S · T, S · T) bool: True where the row's token and the column's belong to different views."""
    view = torch.arange(num_views, device=device).repeat_interleave(num_tokens)  # (S · T,)
    return view[:, None] != view
