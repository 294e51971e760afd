"""Trained weights: names official ↔ ours, loading, the hub, and the bundled files."""

from vggt_lite.pretrained.loading import from_official, load_pretrained, save_weights, to_official

__all__ = ["from_official", "load_pretrained", "save_weights", "to_official"]
