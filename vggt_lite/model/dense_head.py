"""Depth maps and point maps, each with a confidence. Every view is decoded by itself.

Four layers of patch tokens → `DPTDecoder` → one fine map → two convolutions → `activate`.

Source: DPT (Ranftl et al. 2021, arXiv:2103.13413), as VGGT uses it (section 3.3 and its release).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DenseHead(nn.Module):
    """K values and one confidence for every pixel.

    Args:
        dim: Channels 2C of the aggregator's output.
        dims, fused: Channels of the decoder's four maps, and of their fusion.
        channels: K: 1 for depth, 3 for points.
        activation: A name in `VALUE`: "exp" for depth, "inv_log" for points.
        patch_size: Pixels per patch side.
    """

    def __init__(
        self, dim: int, dims: tuple[int, ...], fused: int, channels: int, activation: str, patch_size: int
    ) -> None:
        super().__init__()
        self.patch_size, self.activation = patch_size, activation
        self.pyramid = DPTDecoder(dim, dims, fused, fused // 2, positions=True)
        self.output = nn.Sequential(
            nn.Conv2d(fused // 2, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, channels + 1, 1)
        )

    def forward(self, layers: list[Tensor], grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Four layers of patch tokens → values and confidences.

        Args:
            layers: Four of (B, S, P, 2C).
            grid: (h, w) patches, h · w = P.

        Returns:
            (B, S, H, W, K), in the unit of the scene, and (B, S, H, W), at least 1.
        """
        views = layers[0].shape[:2]  # (B, S)
        # Values and confidences need more digits than bf16 has, hence float32.
        each = [x.flatten(0, 1).float() for x in layers]  # four of (B · S, P, 2C)
        values, confidences = self.decode(each, grid)  # (B · S, H, W, K), (B · S, H, W)
        return values.unflatten(0, views), confidences.unflatten(0, views)

    def decode(self, layers: list[Tensor], grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Tokens of M views, four of (M, P, 2C) → values (M, H, W, K), confidences (M, H, W)."""
        height, width = grid[0] * self.patch_size, grid[1] * self.patch_size
        x = self.pyramid(layers, grid, aspect=width / height, size=(height, width))  # (M, F / 2, H, W)
        return activate(self.output(x), self.activation)


class DPTDecoder(nn.Module):
    """Four layers of tokens → maps of four sizes → one map of 8 × 8 pixels per patch, resized.

    Args:
        dim: Channels 2C of the tokens.
        dims: Channels of the four maps, fine to coarse.
        fused: Channels F in which they are fused.
        out: Channels of the result.
        positions: Add the sine position embedding (the released tracker was trained without).
    """

    def __init__(self, dim: int, dims: tuple[int, ...], fused: int, out: int, positions: bool) -> None:
        super().__init__()
        self.positions = positions
        self.norm = nn.LayerNorm(dim, eps=1e-5)
        self.projects = nn.ModuleList(nn.Conv2d(dim, width, 1) for width in dims)
        self.resizes = nn.ModuleList(
            [
                nn.ConvTranspose2d(dims[0], dims[0], 4, stride=4),  # 4h × 4w
                nn.ConvTranspose2d(dims[1], dims[1], 2, stride=2),  # 2h × 2w
                nn.Identity(),  # h × w
                nn.Conv2d(dims[3], dims[3], 3, stride=2, padding=1),  # ⌈h/2⌉ × ⌈w/2⌉
            ]
        )
        self.to_fused = nn.ModuleList(nn.Conv2d(width, fused, 3, padding=1, bias=False) for width in dims)
        self.fusions = nn.ModuleList(FusionBlock(fused, has_skip=k < 3) for k in range(4))
        self.output_conv = nn.Conv2d(fused, out, 3, padding=1)

    def forward(
        self, layers: list[Tensor], grid: tuple[int, int], aspect: float, size: tuple[int, int]
    ) -> Tensor:
        """Patch tokens of four layers → (M, out, *size).

        Args:
            layers: Four of (M, P, 2C).
            grid: (h, w) patches.
            aspect: Width ÷ height of the image.
            size: Height and width of the result.
        """
        maps = [conv(x) for conv, x in zip(self.to_fused, self.maps(layers, grid, aspect), strict=True)]
        x = self.fusions[3](maps[3], None, maps[2].shape[-2:])
        x = self.fusions[2](x, maps[2], maps[1].shape[-2:])
        x = self.fusions[1](x, maps[1], maps[0].shape[-2:])
        x = self.fusions[0](x, maps[0], (2 * maps[0].shape[-2], 2 * maps[0].shape[-1]))  # (M, F, 8h, 8w)
        del maps  # free them before the largest maps are made
        x = self.output_conv(x)
        x = resize(x, size)
        return add_positions_(x, aspect) if self.positions else x

    def maps(self, layers: list[Tensor], grid: tuple[int, int], aspect: float) -> list[Tensor]:
        """Patch tokens (M, P, 2C) of four layers → four maps (M, dims[k], …), fine to coarse."""
        maps = []
        for tokens, project, enlarge in zip(layers, self.projects, self.resizes, strict=True):
            x = self.norm(tokens).transpose(1, 2).unflatten(2, grid)  # (M, 2C, h, w)
            # Channels last, as tokens are stored: all convolutions from here on are faster that way.
            x = project(x).clone(memory_format=torch.channels_last)
            if self.positions:
                x = add_positions_(x, aspect)
            maps.append(enlarge(x))
        return maps


class FusionBlock(nn.Module):
    """Add a finer map to a coarser one, smooth, enlarge. The coarsest block has nothing to add."""

    def __init__(self, dim: int, has_skip: bool) -> None:
        super().__init__()
        self.unit1 = ResidualUnit(dim) if has_skip else None
        self.unit2 = ResidualUnit(dim)
        self.out = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor, skip: Tensor | None, size: tuple[int, int]) -> Tensor:
        """(M, F, …) → (M, F, *size)."""
        if self.unit1 is not None:
            x = x + self.unit1(skip)
        # A 1×1 convolution and a resize commute; in this order it works on a quarter of the pixels.
        return resize(self.out(self.unit2(x)), size)


class ResidualUnit(nn.Module):
    """Two convolutions around a skip.

    The skip adds ReLU(x), not x. In the release an in-place ReLU overwrites x before it is added; the
    weights were trained with it, so it is part of the network.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(dim, dim, 3, padding=1)
        self.conv2 = nn.Conv2d(dim, dim, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(x)
        return self.conv2(F.relu(self.conv1(x))) + x


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear resize of (M, C, H, W) with corners kept in place."""
    return F.interpolate(x, size=size, mode="bilinear", align_corners=True)


# --- position embedding ---------------------------------------------------------------------------


def add_positions_(x: Tensor, aspect: float) -> Tensor:
    """Add 0.1 × position embedding to a map (M, D, H, W), in place: it is the largest map of all."""
    half = x.shape[1] // 2
    across, down = sincos_2d(*x.shape[-2:], x.shape[1], aspect, x.device)
    x[:, :half] += (0.1 * across).to(x.dtype)
    x[:, half:] += (0.1 * down).to(x.dtype)
    return x


def sincos_2d(
    height: int, width: int, dim: int, aspect: float, device: torch.device
) -> tuple[Tensor, Tensor]:
    """The two halves of the position embedding: of columns (D/2, 1, W) and of rows (D/2, H, 1).

    The embedding of pixel (row, column) is [sincos_1d(column) | sincos_1d(row)]: it is separable, so the
    D × H × W map of the formula is never built.

    Args:
        height, width: Size of the map.
        dim: Its channels D, a multiple of 4.
        aspect: Width ÷ height of the image, so that wavelengths are equal across and down.
    """
    diagonal = (aspect**2 + 1) ** 0.5
    across = sincos_1d(width, aspect / diagonal, dim, device)[:, None, :]
    down = sincos_1d(height, 1 / diagonal, dim, device)[:, :, None]
    return across, down


def sincos_1d(count: int, half_extent: float, dim: int, device: torch.device) -> Tensor:
    """Sines and cosines of `count` places along one axis, (dim / 2, count).

    Places run from −half_extent to +half_extent (pixel centres). Angles are formed in float64 because
    rounding them in float32 is visible in the outputs.
    """
    end = half_extent * (count - 1) / count
    place = torch.linspace(-end, end, count, dtype=torch.float32).double()
    frequency = 100.0 ** (-torch.arange(dim // 4, dtype=torch.float64) / (dim / 4))
    angle = place[:, None] * frequency  # (count, dim / 4)
    waves = torch.cat([angle.sin(), angle.cos()], dim=1).float().to(device)
    return waves.T  # channels lie side by side in memory, as in the maps they are added to


# --- activations ----------------------------------------------------------------------------------


def activate(raw: Tensor, value: str, confidence: str = "expp1") -> tuple[Tensor, Tensor]:
    """Split and activate a dense head's output.

    Args:
        raw: (M, K + 1, H, W); the last channel is the confidence.
        value, confidence: Names in `VALUE` and `CONFIDENCE`.

    Returns:
        values (M, H, W, K) and confidences (M, H, W).

    Raises:
        ValueError: an unknown name.
    """
    for name, table in ((value, VALUE), (confidence, CONFIDENCE)):
        if name not in table:
            raise ValueError(f"unknown activation {name!r}; choose among {sorted(table)}.")
    raw = raw.movedim(1, -1)  # (M, H, W, K + 1)
    return VALUE[value](raw[..., :-1]), CONFIDENCE[confidence](raw[..., -1])


def signed_exponential(x: Tensor) -> Tensor:
    """sign(x) · (e^|x| − 1): the identity near zero, exponential far from it (the release's "inv_log")."""
    return x.sign() * torch.expm1(x.abs())


def direction_exponential(x: Tensor) -> Tensor:
    """Keep a vector's direction and make its length e^‖x‖ − 1 (DUSt3R's choice)."""
    length = x.norm(dim=-1, keepdim=True)
    return x / length.clamp(min=1e-8) * torch.expm1(length)


def perspective(x: Tensor) -> Tensor:
    """(x, y, z) with z = signed exponential of the third number and x, y multiplied by z."""
    z = signed_exponential(x[..., 2:])
    return torch.cat([x[..., :2] * z, z], dim=-1)


VALUE: dict[str, Callable[[Tensor], Tensor]] = {
    "exp": torch.exp,  # VGGT's depth: always positive
    "inv_log": signed_exponential,  # VGGT's points
    "norm_exp": direction_exponential,
    "norm": lambda x: x / x.norm(dim=-1, keepdim=True),
    "xy_inv_log": perspective,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "linear": lambda x: x,
}
CONFIDENCE: dict[str, Callable[[Tensor], Tensor]] = {
    "expp1": lambda x: 1 + x.exp(),  # VGGT's: never below 1
    "expp0": torch.exp,
    "sigmoid": torch.sigmoid,
}
