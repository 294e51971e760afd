"""Departures from VGGT, one file each. `ModelConfig` chooses them; with its defaults there are none.

They are chosen when the network is built and take the place of parts of VGGT. While it runs, the network does
not ask the configuration for them.
"""

from collections.abc import Callable
from functools import partial

from torch import nn

from vggt_lite.config import ModelConfig
from vggt_lite.model.layers import Block
from vggt_lite.model.variants.attention_scope import attend_across_views
from vggt_lite.model.variants.global_positions import drop_positions
from vggt_lite.model.variants.register_attention import attend_special_tokens
from vggt_lite.model.variants.token_merging import MergingBlock, merge_tokens

# Field of `ModelConfig` → what is put around the blocks where the field differs from VGGT's, innermost first.
# Called as wrap(config, frame_blocks, global_blocks, positions, num_views); returns both lists of callables.
WRAPPERS = {
    "register_attention": attend_special_tokens,
    "merge_tokens": merge_tokens,
    "attention": attend_across_views,
    "global_positions": drop_positions,
}


def block_wrappers(config: ModelConfig) -> list[Callable]:
    """What is put around the frame and global blocks; [] for VGGT."""
    chosen = [name for name in WRAPPERS if getattr(config, name) != getattr(ModelConfig, name)]
    return [partial(WRAPPERS[name], config) for name in chosen]


def choose_global_block(config: ModelConfig, block: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """What builds the global blocks: `block`, unless tokens are merged.

    Raises:
        ValueError: merge_tokens with blocks of another kind.
    """
    if not config.merge_tokens:
        return block
    if block is not Block:
        raise ValueError("merge_tokens brings its own MergingBlock: leave out block=…, or merge_tokens.")
    return MergingBlock
