"""`PixelMap`: where each pixel of the photograph went in the network's input, and the way back.

A loader scales a photograph, then crops it or pads it. Both steps are one affine map per axis,

    network = scale · original + offset,

so nothing is lost: points, intrinsics and masks can be carried either way, exactly.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

Points = Tensor | np.ndarray


@dataclass(frozen=True)
class PixelMap:
    """The map of one view. Pixel (0, 0) covers [0, 1)² in both pictures; points are (x, y).

    "Original" is the upright photograph: if the file carries an EXIF rotation, it has been applied.
    """

    original_size: tuple[int, int]  # (H, W) of the upright photograph
    network_size: tuple[int, int]  # (H, W) of the network's input
    scale: tuple[float, float] = (1.0, 1.0)  # (x, y) network pixels per original pixel
    offset: tuple[float, float] = (0.0, 0.0)  # (x, y) of the photograph's corner in the network's input

    def to_network(self, points: Points) -> Points:
        """Original points (*, 2) → network points (*, 2)."""
        points = _as_floats(points)
        return points * _like(self.scale, points) + _like(self.offset, points)

    def to_original(self, points: Points) -> Points:
        """Network points (*, 2) → original points (*, 2)."""
        points = _as_floats(points)
        return (points - _like(self.offset, points)) / _like(self.scale, points)

    def intrinsics_to_network(self, intrinsics: Points) -> Points:
        """K (*, 3, 3) for original pixels → K for network pixels."""
        intrinsics = _as_floats(intrinsics)
        return _like(self._matrix(), intrinsics) @ intrinsics

    def intrinsics_to_original(self, intrinsics: Points) -> Points:
        """K (*, 3, 3) for network pixels → K for original pixels.

        A photograph is scaled to whole patches, so the two scales differ by a few per cent, and so do
        fx and fy of the result where the network saw square pixels.
        """
        intrinsics = _as_floats(intrinsics)
        return _like(np.linalg.inv(self._matrix()), intrinsics) @ intrinsics

    def valid_mask(self) -> Tensor:
        """(H, W) bool on the network's input: True where the whole pixel shows the photograph."""
        height, width = self.original_size
        left, top = self.to_network(np.zeros(2))
        right, bottom = self.to_network(np.array([width, height]))
        x, y = (torch.arange(n, dtype=torch.float64) for n in reversed(self.network_size))
        slack = 1e-6  # network pixels, for rounding
        inside_x = (x >= left - slack) & (x + 1 <= right + slack)
        inside_y = (y >= top - slack) & (y + 1 <= bottom + slack)
        return inside_y[:, None] & inside_x[None, :]  # (H, W)

    def resample(self, values: Tensor, fill: float = 0.0) -> Tensor:
        """Values (H, W, *) on network pixels → (H, W, *) on original pixels.

        Each original pixel takes the network pixel its centre falls in: nothing is blended, so depth
        edges stay sharp. Pixels that were cropped away get `fill`.
        """
        (height, width), (h, w) = self.original_size, self.network_size
        column = self._network_index(torch.arange(width), 0)
        row = self._network_index(torch.arange(height), 1)
        inside = ((row >= 0) & (row < h))[:, None] & ((column >= 0) & (column < w))[None, :]  # (H, W)
        picked = values[row.clamp(0, h - 1)][:, column.clamp(0, w - 1)]  # (H, W, *)
        inside = inside.reshape(inside.shape + (1,) * (values.ndim - 2)).to(values.device)
        return torch.where(inside, picked, torch.as_tensor(fill, dtype=values.dtype, device=values.device))

    def _network_index(self, index: Tensor, axis: int) -> Tensor:
        """Network column (axis 0) or row (axis 1) in which original column or row `index` has its centre."""
        return torch.floor((index.double() + 0.5) * self.scale[axis] + self.offset[axis]).long()

    def then(
        self,
        network_size: tuple[int, int],
        scale: tuple[float, float] = (1.0, 1.0),
        offset: tuple[float, float] = (0.0, 0.0),
    ) -> "PixelMap":
        """The map after the network's input was scaled, and laid on a canvas with its corner at `offset`."""
        (sx, sy), (ox, oy), (x, y), (right, down) = self.scale, self.offset, scale, offset
        return PixelMap(self.original_size, network_size, (sx * x, sy * y), (ox * x + right, oy * y + down))

    def _matrix(self) -> np.ndarray:
        """(3, 3) network-from-original, on homogeneous pixels."""
        (sx, sy), (ox, oy) = self.scale, self.offset
        return np.array([[sx, 0.0, ox], [0.0, sy, oy], [0.0, 0.0, 1.0]])


def look_up(values: Tensor, pixels: Tensor, outside: float | bool = torch.nan) -> Tensor:
    """Values (H, W, *) at pixels (…, 2), x and y: those of the pixel that each falls in.

    Nothing is blended, so edges stay sharp. Beyond the map the answer is `outside`.
    """
    height, width = values.shape[:2]
    inside = ((pixels >= 0) & (pixels < torch.tensor([width, height]))).all(-1)  # (…); False for NaN
    column, row = torch.where(inside[..., None], pixels, 0.0).long().unbind(-1)
    picked = values[row, column]  # (…, *)
    return torch.where(inside.reshape(inside.shape + (1,) * (picked.ndim - inside.ndim)), picked, outside)


def _as_floats(values: Points) -> Points:
    if isinstance(values, Tensor):
        return values if values.is_floating_point() else values.float()
    return np.asarray(values, dtype=float)


def _like(values, other: Points) -> Points:
    if isinstance(other, Tensor):
        return torch.as_tensor(values, dtype=other.dtype, device=other.device)
    return np.asarray(values)
