"""Follow points of the first view through all views.

Feature maps at half resolution, then a loop: correlate each track's feature with a window of every map at
several scales, let a transformer predict an update, move the track.

Source: VGGT, section 3.3; CoTracker3 (Karaev et al. 2024, arXiv:2410.11831).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vggt_lite.config import ModelConfig
from vggt_lite.model.dense_head import DPTDecoder
from vggt_lite.model.layers import Attention, Mlp

STRIDE = 2  # pixels of the image per feature
SMALL_MAP = 16  # a map of fewer pixels than so many windows is correlated whole: one product beats gathering


class TrackHead(nn.Module):
    """Feature maps from the aggregator's tokens, then the tracker on them."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.patch_size, self.levels = config.patch_size, config.track_levels
        self.pixel_center = config.pixel_center
        self.pyramid = DPTDecoder(
            2 * config.dim,
            config.dense_dims,
            config.track_fused,
            config.track_dim,
            config.track_position_embedding,
        )
        self.tracker = Tracker(config)

    def forward(
        self, layers: list[Tensor], grid: tuple[int, int], query_points: Tensor
    ) -> tuple[list[Tensor], Tensor, Tensor]:
        """Track query points.

        Args:
            layers: Four of (B, S, P, 2C).
            grid: (h, w) patches, h · w = P.
            query_points: (B, N, 2), (x, y) in pixels of the first view.

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

    def feature_maps(self, layers: list[Tensor], grid: tuple[int, int]) -> Tensor:
        """Four layers of patch tokens (B, S, P, 2C) → (B, S, track_dim, H / 2, W / 2)."""
        height, width = (side * self.patch_size // STRIDE for side in grid)
        each = [x.flatten(0, 1) for x in layers]  # four of (B · S, P, 2C)
        maps = self.pyramid(each, grid, aspect=width / height, size=(height, width))
        return maps.unflatten(0, layers[0].shape[:2])


class Tracker(nn.Module):
    """Refine tracks on given feature maps. All coordinates inside are pixels of those maps."""

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

    def forward(self, maps: Tensor, queries: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        """Feature maps (B, S, C, H, W) and queries (B, N, 2) in the first view → tracks.

        Each iteration predicts an update of positions and features; between iterations the gradient of the
        positions is cut, so that each learns to correct what it is given.

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
            tracks = tracks.detach()
            tokens = self.tokens(self.correlations(pyramid, features, tracks), features, tracks)
            tokens = (tokens + place + role).transpose(1, 2)  # (B, N, S, 3C + 4)
            change = self.update(tokens).transpose(1, 2)  # (B, S, N, 2 + C)
            features = features + self.feature_update(self.feature_norm(change[..., 2:]))
            tracks = tracks + change[..., :2].float()
            tracks = torch.cat([queries[:, None], tracks[:, 1:]], dim=1)  # the query itself is exact
            history.append(tracks)
        return history, self.visibility(features)[..., 0], self.confidence(features)[..., 0]

    def correlations(self, pyramid: list[Tensor], features: Tensor, tracks: Tensor) -> Tensor:
        """Features (B, S, N, C) against windows around tracks (B, S, N, 2) → (B, S, N, levels · window)."""
        flat, centers = features.flatten(0, 1), tracks.flatten(0, 1)
        windows = [
            correlate(level, flat, centers / 2**number, self.radius) for number, level in enumerate(pyramid)
        ]
        return torch.cat(windows, dim=-1).unflatten(0, features.shape[:2])

    def tokens(self, correlations: Tensor, features: Tensor, tracks: Tensor) -> Tensor:
        """The transformer's input for every track in every view, (B, S, N, 3C + 4)."""
        flow = tracks - tracks[:, :1]
        small = flow / self.flow_scale
        corr = self.corr_mlp(correlations)
        # The release appends the scaled flow twice.
        return torch.cat([flow_embedding(flow, self.dim // 2), small, small, corr, features], dim=-1)


class UpdateTransformer(nn.Module):
    """Tokens of N tracks in S views → an update of each.

    Attention among all tracks would cost N². Instead, `num_virtual` learned tracks attend to the real ones,
    then to each other, and the real ones attend to them.

    Args:
        dim_in, dim_out: Channels of a token, and of the update.
        dim, num_heads, depth: Size of the transformer; `depth` time blocks and as many space blocks.
        num_virtual: Learned tracks.
    """

    def __init__(
        self, dim_in: int, dim_out: int, dim: int, num_heads: int, depth: int, num_virtual: int
    ) -> None:
        super().__init__()
        self.num_virtual = num_virtual
        self.input_norm = nn.LayerNorm(dim_in, eps=1e-5)
        self.input_transform = nn.Linear(dim_in, dim)
        self.virtual_tracks = nn.Parameter(torch.randn(1, num_virtual, 1, dim))

        def blocks(cross: bool) -> nn.ModuleList:
            return nn.ModuleList(TrackBlock(dim, num_heads, cross) for _ in range(depth))

        self.time_blocks = blocks(cross=False)
        self.virtual_from_points = blocks(cross=True)
        self.virtual_blocks = blocks(cross=False)
        self.points_from_virtual = blocks(cross=True)
        self.output_norm = nn.LayerNorm(dim, eps=1e-5)
        self.flow_head = nn.Linear(dim, dim_out)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.trunc_normal_(self.flow_head.weight, std=0.001)  # first updates are almost zero

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, S, dim_in) → (B, N, S, dim_out)."""
        num_scenes, num_tracks, num_views, _ = tokens.shape
        start = self.input_transform(self.input_norm(tokens))  # (B, N, S, C)
        virtual = self.virtual_tracks.expand(num_scenes, -1, num_views, -1).to(start)
        x = torch.cat([start, virtual], dim=1)  # (B, N + V, S, C)
        for i, time_block in enumerate(self.time_blocks):
            x = time_block(x.flatten(0, 1)).unflatten(0, (num_scenes, -1))  # each track along its S views
            by_view = x.transpose(1, 2).flatten(0, 1)  # (B · S, N + V, C)
            points, virtual = by_view[:, :num_tracks], by_view[:, num_tracks:]
            virtual = self.virtual_from_points[i](virtual, points)
            virtual = self.virtual_blocks[i](virtual)
            points = self.points_from_virtual[i](points, virtual)
            x = torch.cat([points, virtual], dim=1)  # (B · S, N + V, C)
            x = x.unflatten(0, (num_scenes, num_views)).transpose(1, 2)  # (B, N + V, S, C)
        return self.flow_head(self.output_norm(x[:, :num_tracks] + start))


class TrackBlock(nn.Module):
    """Attention and MLP; with `cross`, attention reads from a context.

    Unlike everywhere else in VGGT, the first skip starts from the *normalised* input: a mistake in the
    release with which its weights were trained.
    """

    def __init__(self, dim: int, num_heads: int, cross: bool = False) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-5)
        self.norm_context = nn.LayerNorm(dim, eps=1e-5) if cross else None
        self.attn = Attention(dim, num_heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-5)
        self.mlp = Mlp(dim, 4 * dim)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """(M, L, C), context (M, K, C) → (M, L, C)."""
        x = self.norm1(x)
        x = x + self.attn(x, None if context is None else self.norm_context(context))
        return x + self.mlp(self.norm2(x))


# --- correlation ----------------------------------------------------------------------------------


def correlate(level: Tensor, features: Tensor, centers: Tensor, radius: int) -> Tensor:
    """Correlation of each track with a window of the map, by the faster of the two functions below."""
    small = level.shape[-2] * level.shape[-1] <= SMALL_MAP * (2 * radius + 2) ** 2
    function = correlate_whole_map if small else correlate_window
    return function(level, features, centers, radius)


def correlate_whole_map(level: Tensor, features: Tensor, centers: Tensor, radius: int) -> Tensor:
    """The definition: correlate each track with the *whole* map, then read a window of the result.

    The release does this. `correlate_window` gives the same numbers from the window's positions alone.

    Args:
        level: Feature map (M, C, H, W).
        features: Track features (M, N, C).
        centers: (M, N, 2), (x, y) in pixels of this level.
        radius: r; the window has (2r + 1)² positions.

    Returns:
        (M, N, (2r + 1)²); the slow index moves x, the fast one y (as in the release).
    """
    images, tracks, channels = features.shape
    volume = torch.einsum("mnc,mchw->mnhw", features / channels**0.5, level)
    steps = torch.arange(-radius, radius + 1, device=centers.device, dtype=centers.dtype)
    window = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), dim=-1).flatten(0, 1)  # (x, y)
    points = centers.flatten(0, 1)[:, None] + window  # (M · N, (2r + 1)², 2)
    values = sample_bilinear(volume.flatten(0, 1)[:, None], points, padding="zeros")
    return values.reshape(images, tracks, len(window))


def correlate_window(level: Tensor, features: Tensor, centers: Tensor, radius: int) -> Tensor:
    """Correlation of each track with a window of the map; same arguments and result as above.

    All positions of a window share the fractional part of its centre. So correlate at the (2r + 2)²
    whole pixels around it, then interpolate the numbers: sampling is linear, the order is free.
    """
    images, channels, height, width = level.shape
    corner = centers.floor()
    fraction = (centers - corner).to(level.dtype)[..., None, None]  # (M, N, 2, 1, 1)
    steps = torch.arange(-radius, radius + 2, device=centers.device)
    # A centre far outside has an empty window wherever it is; clamping keeps its integers small.
    corner = corner.clamp(-radius - 3, max(height, width) + radius + 3).long()
    x = corner[..., 0, None] + steps  # (M, N, 2r + 2)
    y = corner[..., 1, None] + steps
    # `sample_bilinear` reads a single row or column at every coordinate; so does this.
    inside_x, inside_y = (x >= 0) & (x < width) | (width == 1), (y >= 0) & (y < height) | (height == 1)
    column, row = x.clamp(0, width - 1), y.clamp(0, height - 1)
    pixel = row[:, :, :, None] * width + column[:, :, None, :]  # (M, N, y, x): neighbours in memory

    pixel = pixel + torch.arange(images, device=pixel.device)[:, None, None, None] * (height * width)
    table = level.flatten(2).transpose(1, 2).reshape(-1, channels)  # (M · H · W, C)
    around = F.embedding(pixel.flatten(2), table)  # (M, N, (2r + 2)², C)
    values = (around @ (features / channels**0.5)[..., None])[..., 0]  # (M, N, (2r + 2)²)
    values = values.reshape(pixel.shape) * (inside_y[..., :, None] & inside_x[..., None, :])

    fx, fy = fraction[:, :, 0], fraction[:, :, 1]
    values = values[..., :-1] * (1 - fx) + values[..., 1:] * fx  # (M, N, 2r + 2, 2r + 1)
    values = values[:, :, :-1] * (1 - fy) + values[:, :, 1:] * fy  # (M, N, 2r + 1, 2r + 1)
    return values.transpose(2, 3).flatten(2)  # x slow, y fast


def feature_pyramid(maps: Tensor, levels: int) -> list[Tensor]:
    """(M, C, H, W) and its averages over 2 × 2, 4 × 4 … pixels; odd remainders are dropped."""
    pyramid = [maps]
    for _ in range(levels - 1):
        pyramid.append(F.avg_pool2d(pyramid[-1], 2, stride=2))
    return pyramid


def sample_bilinear(maps: Tensor, points: Tensor, padding: str = "border") -> Tensor:
    """Read maps between their pixels. Coordinates count from the centre of pixel (0, 0).

    Args:
        maps: (M, C, H, W).
        points: (M, N, 2), (x, y) in pixels of the map.
        padding: What lies outside: "border" repeats the edge, "zeros" is empty.

    Returns:
        (M, N, C).
    """
    height, width = maps.shape[-2:]
    last = torch.tensor([max(width - 1, 1), max(height - 1, 1)], device=points.device, dtype=points.dtype)
    grid = (2 * points / last - 1)[:, :, None]  # (M, N, 1, 2), corners at ±1
    out = F.grid_sample(maps, grid.to(maps.dtype), mode="bilinear", padding_mode=padding, align_corners=True)
    return out[..., 0].transpose(1, 2)


# --- position embeddings --------------------------------------------------------------------------


def query_positions(points: Tensor, size: tuple[int, int], dim: int) -> Tensor:
    """Position embedding of query points: x first, then y.

    The formula is a table of `dim` channels for every pixel of a map, sampled at the query. Each
    channel depends on one axis only, so two tables of one axis each give the same.

    Args:
        points: (…, 2), (x, y) in pixels of the feature map.
        size: (H, W) of that map.
        dim: Channels, a multiple of 4.

    Returns:
        (…, dim).
    """
    height, width = size
    across = interpolate_rows(axis_table(width, dim // 4, points.device), points[..., 0])
    down = interpolate_rows(axis_table(height, dim // 4, points.device), points[..., 1])
    return torch.cat([across, down], dim=-1)


def axis_table(count: int, dim: int, device: torch.device | None = None) -> Tensor:
    """Sines and cosines of the whole pixels 0 … count − 1, (count, 2 · dim), base 10 000."""
    frequency = 10000.0 ** (-torch.arange(dim, dtype=torch.float64) / dim)
    angle = torch.arange(count, dtype=torch.float64)[:, None] * frequency  # (count, dim)
    return torch.cat([angle.sin(), angle.cos()], dim=1).float().to(device)


def interpolate_rows(table: Tensor, place: Tensor) -> Tensor:
    """Read a table (count, K) at fractional rows (…,), linearly, the ends repeated."""
    place = place.clamp(0, len(table) - 1)
    below = place.floor().long()
    above = (below + 1).clamp(max=len(table) - 1)
    part = (place - below)[..., None]
    return table[below] * (1 - part) + table[above] * part


def flow_embedding(flow: Tensor, dim: int) -> Tensor:
    """Sines and cosines of a displacement, `dim` per axis, x then y.

    Frequencies are 0, 2, 4 … times 1000 / dim radians per pixel: up to about 1000, so a difference in
    the last float digit grows a thousandfold per iteration. Compare implementations after one iteration.

    Args:
        flow: (…, 2) in pixels of the feature map.
        dim: Numbers per axis, even.

    Returns:
        (…, 2 · dim).
    """
    frequency = torch.arange(0, dim, 2, device=flow.device, dtype=torch.float32) * (1000.0 / dim)
    angle = flow[..., None].float() * frequency  # (…, 2, dim / 2)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-3)  # from (…, 2, dim / 2, 2)
