"""From four layers of patch tokens to one fine map: the body of every dense head.

Source: DPT (Ranftl et al. 2021, arXiv:2103.13413), as VGGT uses it (section 3.3 and its release).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def axis_waves(count: int, half_extent: float, dim: int, device: torch.device) -> Tensor:
    """Sines and cosines of `count` places along one axis, (dim / 2, count).

    Places run from −half_extent to +half_extent (pixel centres). Angles are formed in float64 because
    rounding them in float32 is visible in the outputs.
    """
    end = half_extent * (count - 1) / count
    place = torch.linspace(-end, end, count, dtype=torch.float32).double()
    frequency = 100.0 ** (-torch.arange(dim // 4, dtype=torch.float64) / (dim / 4))
    angle = frequency[:, None] * place  # (dim / 4, count)
    return torch.cat([angle.sin(), angle.cos()]).float().to(device)


def position_waves(height: int, width: int, dim: int, aspect: float, device: torch.device):
    """The two halves of a dense head's position embedding: columns (D/2, 1, W) and rows (D/2, H, 1).

    The embedding of pixel (row, column) is [column waves | row waves]: separable, so the D × H × W map
    of the formula never needs to exist.

    Args:
        height, width: Size of the map.
        dim: Its channels D, a multiple of 4.
        aspect: Width ÷ height of the image, so that waves are as long across as down.
    """
    diagonal = (aspect**2 + 1) ** 0.5
    across = axis_waves(width, aspect / diagonal, dim, device)[:, None, :]
    down = axis_waves(height, 1 / diagonal, dim, device)[:, :, None]
    return across, down


def add_positions_(x: Tensor, aspect: float) -> Tensor:
    """Add 0.1 × position embedding to a map (M, D, H, W), in place: it is the largest map of all."""
    half = x.shape[1] // 2
    across, down = position_waves(*x.shape[-2:], x.shape[1], aspect, x.device)
    x[:, :half] += 0.1 * across
    x[:, half:] += 0.1 * down
    return x


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear resize of (M, C, H, W) with corners kept in place."""
    return F.interpolate(x, size=size, mode="bilinear", align_corners=True)


class ResidualUnit(nn.Module):
    """Two convolutions around a skip.

    The skip adds ReLU(x), not x. In the release an in-place ReLU overwrote x before it was added, the
    weights were trained with it, and so it has become part of the network.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(dim, dim, 3, padding=1)
        self.conv2 = nn.Conv2d(dim, dim, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(x)
        return self.conv2(F.relu(self.conv1(x))) + x


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


class DensePyramid(nn.Module):
    """Four layers of tokens → maps of four sizes → one map of 8 pixels per patch side.

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

    def maps(self, layers: list[Tensor], grid: tuple[int, int], aspect: float) -> list[Tensor]:
        """Patch tokens (M, P, 2C) of four layers → four maps (M, dims[k], …), fine to coarse."""
        maps = []
        for tokens, project, enlarge in zip(layers, self.projects, self.resizes, strict=True):
            x = self.norm(tokens).transpose(1, 2).unflatten(2, grid)  # (M, 2C, h, w)
            # Channels last, as tokens are stored: all convolutions from here on are quicker for it.
            x = project(x).clone(memory_format=torch.channels_last)
            if self.positions:
                x = add_positions_(x, aspect)
            maps.append(enlarge(x))
        return maps

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
        x = self.fusions[0](x, maps[0], (2 * maps[0].shape[-2], 2 * maps[0].shape[-1]))
        del maps  # let go of what is done with before the largest maps are made
        x = self.output_conv(x)
        x = resize(x, size)
        return add_positions_(x, aspect) if self.positions else x
