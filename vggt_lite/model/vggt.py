"""VGGT: photographs of a scene in; cameras, depth, points and tracks out, in one forward pass.

    model = VGGT(NANO)                          # random weights
    predictions = model(images)                 # (S, 3, H, W) in [0, 1]

This is the network alone. `vggt_lite.VGGT` is this class with `from_pretrained` and `reconstruct`.

Source: Wang et al., VGGT: Visual Geometry Grounded Transformer, CVPR 2025 (arXiv:2503.11651).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vggt_lite.config import ModelConfig
from vggt_lite.geometry import camera_from_pose_encoding
from vggt_lite.model.aggregator import Aggregator
from vggt_lite.model.camera_head import CameraHead
from vggt_lite.model.dense_head import DenseHead
from vggt_lite.model.layers import Block
from vggt_lite.model.predictions import Predictions
from vggt_lite.model.track_head import TrackHead
from vggt_lite.model.validation import check_images, check_query_points
from vggt_lite.model.variants.reference_free import to_first_view


class VGGT(nn.Module):
    """The whole network, as large as `config` says.

    Args:
        config: `NANO`, `TINY`, `VGGT_1B`, or your own `ModelConfig`. Weights are random, drawn from
            torch's global generator.
        block: Builds every frame and global block, as block(dim, num_heads, layer_scale=…, qk_norm=True).

    Attributes:
        extra_heads: Heads of your own: model.extra_heads["normals"] = head. Each is called as
            head(layers, grid), like a `DenseHead`, and returns a tensor (B, S, …), which becomes
            `Predictions.extras["normals"]`, or several by name, in a dict.
    """

    def __init__(self, config: ModelConfig, block: Callable[..., nn.Module] = Block) -> None:
        super().__init__()
        self.config = config
        self.aggregator = Aggregator(config, block)
        dim = 2 * config.dim
        self.camera_head = self.depth_head = self.point_head = self.track_head = None
        if "camera" in config.heads:
            self.camera_head = CameraHead(
                dim,
                config.camera_depth,
                config.camera_num_heads,
                config.camera_iterations,
                config.layer_scale,
            )
        dense = (dim, config.dense_dims, config.dense_dim)
        if "depth" in config.heads:
            self.depth_head = DenseHead(*dense, 1, "exp", config.patch_size)
        if "point" in config.heads:
            self.point_head = DenseHead(*dense, 3, "inv_log", config.patch_size)
        if "track" in config.heads:
            self.track_head = TrackHead(config)
        self.extra_heads = nn.ModuleDict()
        self.finish = to_first_view if config.reference == "none" else None  # a departure from VGGT

    @property
    def gradient_checkpointing(self) -> bool:
        """Recompute blocks in the backward pass instead of storing them (training only)."""
        return self.aggregator.gradient_checkpointing

    @gradient_checkpointing.setter
    def gradient_checkpointing(self, on: bool) -> None:
        for module in self.aggregator.modules():
            if hasattr(module, "gradient_checkpointing"):
                module.gradient_checkpointing = on

    def forward(self, images: Tensor, query_points: Tensor | None = None) -> Predictions:
        """Predict a scene, or a batch of scenes with equally many views.

        Args:
            images: (S, 3, H, W) or (B, S, 3, H, W), RGB in [0, 1]; H and W multiples of the patch.
                The first view is the reference: its camera frame is the world.
            query_points: (N, 2) or (B, N, 2), (x, y) in pixels of the first view, to be tracked.

        Returns:
            `Predictions`, always with the batch axis B.

        Raises:
            ValueError: wrong shape, type, size or range; each message says what would fit.
        """
        images = check_images(images, self.config.patch_size)
        if query_points is not None:
            query_points = check_query_points(query_points, images, self.track_head is not None)
        return self.forward_unchecked(images, query_points)

    def forward_unchecked(self, images: Tensor, query_points: Tensor | None) -> Predictions:
        """`forward` without its checks: images (B, S, 3, H, W), query points (B, N, 2) or None.

        It reads no tensor values, so it also runs on fake tensors, which is how memory is estimated.
        """
        height, width = images.shape[-2:]
        grid = (height // self.config.patch_size, width // self.config.patch_size)

        device, stored = images.device.type, self.aggregator.matrix_dtype
        rounded = stored != torch.float32  # matrices stored in bf16 compute as autocast would with them
        with torch.autocast(
            device, stored if rounded else None, enabled=rounded or torch.is_autocast_enabled(device)
        ):
            camera_tokens, kept = self.aggregator(images)
        layers = [kept[layer] for layer in self.config.dense_layers]  # four of (B, S, P, 2C)
        pred = Predictions(images=images, patch_tokens=kept[self.config.depth - 1])

        # Poses and depths need more digits than bf16 has: these heads leave autocast.
        with torch.autocast(device, enabled=False):
            if self.camera_head is not None:
                pred.pose_encodings = self.camera_head(camera_tokens.float())
                pred.cam_from_world, pred.intrinsics = camera_from_pose_encoding(
                    pred.pose_encoding, (height, width)
                )
            if self.depth_head is not None:
                depth, pred.depth_conf = self.depth_head(layers, grid)
                pred.depth = depth[..., 0]
            if self.point_head is not None:
                pred.point_map, pred.point_conf = self.point_head(layers, grid)
            for name, head in self.extra_heads.items():
                out = head(layers, grid)
                pred.extras |= out if isinstance(out, dict) else {name: out}
        if query_points is not None:
            tracks = self.track_head(layers, grid, query_points)
            pred.tracks_list, pred.track_visibility_logits, pred.track_conf_logits = tracks
            pred.track_visibility = pred.track_visibility_logits.sigmoid()
            pred.track_conf = pred.track_conf_logits.sigmoid()
        return pred if self.finish is None else self.finish(pred)
