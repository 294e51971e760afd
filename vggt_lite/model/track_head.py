"""Follow any pixel of the first view through all views.

Feature maps at half resolution, then a loop: compare each track with its surroundings at several
scales, let a transformer propose a correction, move. Source: VGGT, section 3.3; CoTracker.
"""

import torch
from torch import Tensor, nn

from vggt_lite.config import ModelConfig
from vggt_lite.layers.lean import some_views
from vggt_lite.layers.mlp import Mlp
from vggt_lite.model.dense_pyramid import DensePyramid
from vggt_lite.model.track_positions import flow_embedding, query_positions
from vggt_lite.model.track_sampling import correlate, feature_pyramid, sample_bilinear
from vggt_lite.model.track_transformer import UpdateTransformer

STRIDE = 2  # pixels per feature


class Tracker(nn.Module):
    """Refine tracks on given feature maps. Everything inside counts in pixels of those maps."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        dim, self.levels, self.radius = config.track_dim, config.track_levels, config.track_radius
        self.flow_scale, self.iterations = config.track_flow_scale, config.track_iterations
        self.dim, self.token_dim = dim, 3 * dim + 4
        window = (2 * self.radius + 1) ** 2
        self.feature_map_norm = nn.LayerNorm(dim, eps=1e-5)
        self.corr_mlp = Mlp(self.levels * window, config.track_hidden, dim)
        self.query_view_token = nn.Parameter(torch.randn(1, 2, self.token_dim))
        self.update = UpdateTransformer(
            self.token_dim,
            dim + 2,
            config.track_hidden,
            config.track_num_heads,
            config.track_depth,
            config.track_virtual,
        )
        self.feature_norm = nn.LayerNorm(dim, eps=1e-5)
        self.feature_update = nn.Sequential(nn.Linear(dim, dim), nn.GELU())
        self.visibility = nn.Linear(dim, 1)
        self.confidence = nn.Linear(dim, 1)

    def correlations(self, pyramid: list[Tensor], features: Tensor, tracks: Tensor) -> Tensor:
        """Features (B, S, N, C) against windows around tracks (B, S, N, 2) → (B, S, N, levels · window)."""
        flat, centers = features.flatten(0, 1), tracks.flatten(0, 1)
        windows = [
            correlate(level, flat, centers / 2**number, self.radius)
            for number, level in enumerate(pyramid)
        ]
        return torch.cat(windows, dim=-1).unflatten(0, features.shape[:2])

    def tokens(self, correlations: Tensor, features: Tensor, tracks: Tensor) -> Tensor:
        """What the transformer is told about every track in every view, (B, S, N, 3C + 4)."""
        flow = tracks - tracks[:, :1]
        small = flow / self.flow_scale
        corr = self.corr_mlp(correlations)
        # The release appends the scaled flow twice.
        return torch.cat([flow_embedding(flow, self.dim // 2), small, small, corr, features], dim=-1)

    def forward(self, maps: Tensor, queries: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        """Feature maps (B, S, C, H, W) and queries (B, N, 2) in the first view → tracks.

        Returns:
            tracks of every iteration, each (B, S, N, 2); visibility and confidence logits (B, S, N).
        """
        num_views, size = maps.shape[1], tuple(maps.shape[-2:])
        normed = self.feature_map_norm(maps.movedim(2, -1)).movedim(-1, 2)  # (B, S, C, H, W)
        pyramid = feature_pyramid(normed.flatten(0, 1), self.levels)  # each (B · S, C, …)
        query_features = sample_bilinear(normed[:, 0], queries)  # (B, N, C)
        features = query_features[:, None].expand(-1, num_views, -1, -1)  # (B, S, N, C)
        tracks = queries[:, None].expand(-1, num_views, -1, -1)  # (B, S, N, 2)

        place = query_positions(queries, size, self.token_dim)[:, None]  # (B, 1, N, 3C + 4)
        role = self.query_view_token[0, [0] + [1] * (num_views - 1)][:, None]  # (S, 1, 3C + 4)
        history = []
        for _ in range(self.iterations):
            tracks = tracks.detach()  # each iteration learns to correct what it is given
            tokens = self.tokens(self.correlations(pyramid, features, tracks), features, tracks)
            tokens = (tokens + place + role).transpose(1, 2)  # (B, N, S, 3C + 4)
            change = self.update(tokens).transpose(1, 2)  # (B, S, N, 2 + C)
            features = features + self.feature_update(self.feature_norm(change[..., 2:]))
            tracks = tracks + change[..., :2].float()
            tracks = torch.cat([queries[:, None], tracks[:, 1:]], dim=1)  # a query stays where it was asked
            history.append(tracks)
        return history, self.visibility(features)[..., 0], self.confidence(features)[..., 0]


class TrackHead(nn.Module):
    """Feature maps from the aggregator's tokens, then the tracker on them."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.patch_size, self.levels = config.patch_size, config.track_levels
        self.pixel_center = config.pixel_center
        self.pyramid = DensePyramid(
            2 * config.dim,
            config.dense_dims,
            config.track_fused,
            config.track_dim,
            config.track_position_embedding,
        )
        self.tracker = Tracker(config)

    def feature_maps(self, layers: list[Tensor], grid: tuple[int, int]) -> Tensor:
        """Four layers of patch tokens (B, S, P, 2C) → (B, S, track_dim, H / 2, W / 2)."""
        height, width = (side * self.patch_size // STRIDE for side in grid)
        flat = [x.flatten(0, 1) for x in layers]  # four of (B · S, P, 2C)
        parts = [
            self.pyramid([x[some] for x in flat], grid, aspect=width / height, size=(height, width))
            for some in some_views(flat[0], STRIDE**2 * height * width)
        ]
        return torch.cat(parts).unflatten(0, layers[0].shape[:2])

    def forward(
        self, layers: list[Tensor], grid: tuple[int, int], query_points: Tensor
    ) -> tuple[list[Tensor], Tensor, Tensor]:
        """Track query points (B, N, 2), pixels of the first view.

        Returns:
            as `Tracker.forward`, tracks in pixels of the image.

        Raises:
            ValueError: the image is too small for the correlation pyramid.
        """
        smallest, needed = min(grid) * self.patch_size // STRIDE, 2 ** (self.levels - 1)
        if smallest < needed:
            raise ValueError(
                f"tracking needs feature maps of at least {needed} pixels a side, i.e. images of at least "
                f"{needed * STRIDE} pixels; this one gives {smallest}. Use larger images."
            )
        maps = self.feature_maps(layers, grid)
        # Pixel centres count from 0 inside; a plain division by the stride is what the release does.
        queries = (query_points - self.pixel_center) / STRIDE
        history, visibility, confidence = self.tracker(maps, queries.float())
        return [tracks * STRIDE + self.pixel_center for tracks in history], visibility, confidence
