"""Building blocks of a transformer: attention, rotary positions, perceptron, block."""

from vggt_lite.layers.attention import Attention, attention_weights
from vggt_lite.layers.block import Block
from vggt_lite.layers.mlp import LayerScale, Mlp
from vggt_lite.layers.rope import grid_positions, rotary_tables, rotate

__all__ = [
    "Attention",
    "Block",
    "LayerScale",
    "Mlp",
    "attention_weights",
    "grid_positions",
    "rotary_tables",
    "rotate",
]
