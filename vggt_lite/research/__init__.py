"""Experiments, comparisons, fine-tuning, presets, several processes."""
