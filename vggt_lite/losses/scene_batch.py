"""`SceneBatch`: what a model is trained on and judged by, whether generated, rendered ahead or read."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass
class SceneBatch:
    """B scenes of S views each, with exact truth. All tensors live on one device.

    Axes are OpenCV's, depth is z, 0 where nothing was hit; one scene unit throughout. Pixel (0, 0)
    covers [0, 1)², so tracks and intrinsics count from the image's corner.
    """

    images: Tensor  # (B, S, 3, H, W) in [0, 1]
    depth: Tensor  # (B, S, H, W) z, scene units; 0 = none
    cam_from_world: Tensor  # (B, S, 3, 4)
    intrinsics: Tensor  # (B, S, 3, 3) pixels
    point_map: Tensor  # (B, S, H, W, 3) world
    valid: Tensor  # (B, S, H, W) bool: the pixel has a depth
    tracks: Tensor | None = None  # (B, S, N, 2) pixels (x, y)
    track_visibility: Tensor | None = None  # (B, S, N) bool

    def apply(self, change: Callable[[Tensor], Tensor]) -> "SceneBatch":
        """The same change made to every tensor that is there."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return SceneBatch(**{k: None if v is None else change(v) for k, v in values.items()})

    def to(self, device: torch.device | str) -> "SceneBatch":
        """On another device. From pinned memory to a GPU it does not wait until everything has arrived."""
        no_wait = torch.device(device).type == "cuda"
        return self.apply(lambda x: x.to(device, non_blocking=no_wait))

    def pin_memory(self) -> "SceneBatch":
        """In memory that a GPU can fetch from; `DataLoader(pin_memory=True)` asks for it."""
        return self.apply(lambda x: x.pin_memory())

    def views(self, index) -> "SceneBatch":
        """Only some views, in the order of `index`; the first of them becomes the reference view."""
        return self.apply(lambda x: x[:, index])

    def scene(self, index: int) -> "SceneBatch":
        """One scene, still with its batch axis (B = 1)."""
        return self.apply(lambda x: x[index : index + 1])

    def __len__(self) -> int:
        return len(self.images)

    @staticmethod
    def cat(batches: list["SceneBatch"]) -> "SceneBatch":
        """Stack scenes of equal size along B."""
        columns = {f.name: [getattr(b, f.name) for b in batches] for f in fields(SceneBatch)}
        return SceneBatch(**{k: None if v[0] is None else torch.cat(v) for k, v in columns.items()})
