"""The network: layers, patch embedding, alternating attention, and the heads."""

from vggt_lite.model.aggregator import Aggregator
from vggt_lite.model.camera_head import CameraHead
from vggt_lite.model.dense_head import DenseHead
from vggt_lite.model.layers import (
    Attention,
    Block,
    LayerScale,
    Mlp,
    attention_weights,
    grid_positions,
    rotary_tables,
    rotate,
)
from vggt_lite.model.predictions import Predictions
from vggt_lite.model.track_head import TrackHead
from vggt_lite.model.vggt import VGGT

__all__ = [
    "Aggregator",
    "Attention",
    "Block",
    "CameraHead",
    "DenseHead",
    "LayerScale",
    "Mlp",
    "Predictions",
    "TrackHead",
    "VGGT",
    "attention_weights",
    "grid_positions",
    "rotary_tables",
    "rotate",
]
