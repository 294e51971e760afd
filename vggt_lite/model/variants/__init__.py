"""Departures from VGGT, one file each; `ModelConfig` switches them on."""
