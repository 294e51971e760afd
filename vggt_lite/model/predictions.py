"""`Predictions`: everything one forward pass says about a scene."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields

import torch
from torch import Tensor


@dataclass
class Predictions:
    """Outputs of `VGGT` for B scenes of S views. A disabled head leaves its fields None.

    The world is the first view's camera frame, the scale is the network's own (training scenes have
    mean point distance 1). Depth and confidence follow the image's pixels.
    """

    images: Tensor  # (B, S, 3, H, W) the input
    pose_encodings: list[Tensor] = field(default_factory=list)  # each (B, S, 9), one per iteration
    cam_from_world: Tensor | None = None  # (B, S, 3, 4)
    intrinsics: Tensor | None = None  # (B, S, 3, 3) pixels
    depth: Tensor | None = None  # (B, S, H, W) z
    depth_conf: Tensor | None = None  # (B, S, H, W), ≥ 1
    point_map: Tensor | None = None  # (B, S, H, W, 3) world
    point_conf: Tensor | None = None  # (B, S, H, W), ≥ 1
    tracks_list: list[Tensor] = field(default_factory=list)  # each (B, S, N, 2) px, one per iteration
    track_visibility: Tensor | None = None  # (B, S, N) probability
    track_conf: Tensor | None = None  # (B, S, N) probability
    track_visibility_logits: Tensor | None = None  # (B, S, N), for the loss
    track_conf_logits: Tensor | None = None  # (B, S, N), for the loss
    patch_tokens: Tensor | None = None  # (B, S, P, 2C): the aggregator's last, for probes and matching
    dense_views: Tensor | None = None  # (B, k): the views that depth and points are of; None: all S, in order
    extras: dict[str, Tensor] = field(default_factory=dict)  # each (B, S, …), from `VGGT.extra_heads`

    @property
    def pose_encoding(self) -> Tensor | None:
        """(B, S, 9): the last iteration's."""
        return self.pose_encodings[-1] if self.pose_encodings else None

    @property
    def tracks(self) -> Tensor | None:
        """(B, S, N, 2) pixels: the last iteration's."""
        return self.tracks_list[-1] if self.tracks_list else None

    def of_dense_views(self, x: Tensor) -> Tensor:
        """Those views of a tensor (B, S, …) that depth and points are of: (B, k, …)."""
        scenes = torch.arange(len(x), device=x.device)[:, None]  # (B, 1)
        return x if self.dense_views is None else x[scenes, self.dense_views]

    def apply(self, change: Callable[[Tensor], Tensor]) -> "Predictions":
        """The same predictions with every tensor changed."""

        def changed(value):
            if isinstance(value, list):
                return [change(x) for x in value]
            if isinstance(value, dict):
                return {name: change(x) for name, x in value.items()}
            return None if value is None else change(value)

        return Predictions(**{f.name: changed(getattr(self, f.name)) for f in fields(self)})

    def to(self, device: torch.device | str) -> "Predictions":
        return self.apply(lambda x: x.to(device))
