"""Depth maps and point maps, each with a confidence. Every view is treated by itself."""

import torch
from torch import Tensor, nn

from vggt_lite.layers.lean import some_views
from vggt_lite.model.activations import activate
from vggt_lite.model.dense_pyramid import DensePyramid


class DenseHead(nn.Module):
    """One value of `channels` numbers and one confidence for every pixel.

    Args:
        dim: Channels 2C of the aggregator's output.
        dims, fused: Widths of the pyramid.
        channels: 1 for depth, 3 for points.
        activation: "exp" for depth, "inv_log" for points.
        patch_size: Pixels per patch side.
    """

    def __init__(
        self, dim: int, dims: tuple[int, ...], fused: int, channels: int, activation: str, patch_size: int
    ) -> None:
        super().__init__()
        self.patch_size, self.activation = patch_size, activation
        self.pyramid = DensePyramid(dim, dims, fused, fused // 2, positions=True)
        self.output = nn.Sequential(
            nn.Conv2d(fused // 2, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, channels + 1, 1)
        )

    def decode(self, layers: list[Tensor], grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Tokens of M views → values (M, H, W, channels), confidences (M, H, W)."""
        height, width = grid[0] * self.patch_size, grid[1] * self.patch_size
        x = self.pyramid(layers, grid, aspect=width / height, size=(height, width))
        return activate(self.output(x), self.activation)

    def forward(self, layers: list[Tensor], grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Four layers of patch tokens → values and confidences.

        Args:
            layers: Four of (B, S, P, 2C).
            grid: (h, w) patches, h · w = P.

        Returns:
            (B, S, H, W, channels), in the unit of the scene, and (B, S, H, W), at least 1.
        """
        scenes_views = layers[0].shape[:2]
        layers = [x.flatten(0, 1) for x in layers]  # four of (B · S, P, 2C)
        pieces = some_views(layers[0], grid[0] * grid[1] * self.patch_size**2)
        # Values and confidences need more digits than bf16 has, hence float32.
        parts = [self.decode([x[some].float() for x in layers], grid) for some in pieces]
        values, confidences = (
            torch.cat(part).unflatten(0, scenes_views) for part in zip(*parts, strict=True)
        )
        return values, confidences
