"""No rotary positions in attention across views, as in VGGT-Ω (arXiv:2605.15195): global_positions=False.

Within a view the offset between two patches is geometry. Between two views it only says whether they lie at
the same place of the image.
"""

from torch import Tensor

from vggt_lite.config import ModelConfig


def drop_positions(config: ModelConfig, frame_blocks, global_blocks, positions: Tensor, num_views: int):
    """Blocks that read several views get no rotary tables. Arguments as for the other wrappers."""

    def without_positions(block):
        return lambda x, rotary: block(x, None)

    if config.attention != "alternating":  # frame blocks, too, read several views
        frame_blocks = [without_positions(block) for block in frame_blocks]
    return frame_blocks, [without_positions(block) for block in global_blocks]
