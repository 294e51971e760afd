"""The network: patch embedding, alternating attention, and four heads."""

from vggt_lite.model.aggregator import Aggregator
from vggt_lite.model.camera_head import CameraHead
from vggt_lite.model.dense_head import DenseHead
from vggt_lite.model.predictions import Predictions
from vggt_lite.model.track_head import TrackHead
from vggt_lite.model.vggt import VGGT

__all__ = ["VGGT", "Aggregator", "CameraHead", "DenseHead", "Predictions", "TrackHead"]
