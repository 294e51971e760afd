"""VGGT: photographs of a scene in; cameras, depth, points and tracks out, in one forward pass.

    model = VGGT(NANO)                          # random weights
    model = VGGT.from_pretrained("nano")        # trained and bundled
    predictions = model(images)                 # (S, 3, H, W) in [0, 1]

Source: Wang et al., VGGT: Visual Geometry Grounded Transformer, CVPR 2025 (arXiv:2503.11651).
"""

import torch
from torch import Tensor, nn

from vggt_lite.config import ModelConfig
from vggt_lite.geometry import camera_from_pose_encoding
from vggt_lite.model.aggregator import Aggregator
from vggt_lite.model.camera_head import CameraHead
from vggt_lite.model.dense_head import DenseHead
from vggt_lite.model.predictions import Predictions
from vggt_lite.model.track_head import TrackHead
from vggt_lite.model.validation import check_images, check_query_points
from vggt_lite.model.variants.reference_free import points_in_world, seen_from_first


class VGGT(nn.Module):
    """The whole network, as large as `config` says.

    Args:
        config: `NANO`, `TINY`, `VGGT_1B`, or your own `ModelConfig`. Weights are random, drawn from
            torch's global generator.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.aggregator = Aggregator(config)
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

    @classmethod
    def from_pretrained(cls, name: str, **options) -> "VGGT":
        """A trained model: "nano" (bundled), a .safetensors file, a folder, or a hub repository.

        `heads=("camera", "depth")` reads only these, `dtype=torch.bfloat16` stores the aggregator's matrices
        in half the memory. See `vggt_lite.pretrained.loading.load_pretrained` for all options and errors.
        """
        from vggt_lite.pretrained.loading import load_pretrained  # weights.py builds models from this file

        return load_pretrained(name, **options)

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
        """See a scene, or a batch of scenes with equally many views.

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
        """`forward` behind its checks: images (B, S, 3, H, W), query points (B, N, 2) or None.

        It looks at no value, so that what memory it takes can be told with tensors that have none.
        """
        height, width = images.shape[-2:]
        grid = (height // self.config.patch_size, width // self.config.patch_size)

        device, stored = images.device.type, self.aggregator.matrix_dtype
        rounded = stored != torch.float32  # matrices rounded beforehand work as autocast would have them
        with torch.autocast(
            device, stored if rounded else None, enabled=rounded or torch.is_autocast_enabled(device)
        ):
            camera_tokens, kept = self.aggregator(images)
        layers = [kept[layer] for layer in self.config.dense_layers]
        pred = Predictions(images=images, patch_tokens=kept[self.config.depth - 1])

        # Poses and depths need more digits than bf16 has: these heads leave autocast.
        with torch.autocast(device, enabled=False):
            if self.camera_head is not None:
                pred.pose_encodings = self.camera_head(camera_tokens.float())
                if self.config.reference == "none":
                    pred.pose_encodings = [seen_from_first(encoding) for encoding in pred.pose_encodings]
                pred.cam_from_world, pred.intrinsics = camera_from_pose_encoding(
                    pred.pose_encoding, (height, width)
                )
            if self.depth_head is not None:
                depth, pred.depth_conf = self.depth_head(layers, grid)
                pred.depth = depth[..., 0]
            if self.point_head is not None:
                pred.point_map, pred.point_conf = self.point_head(layers, grid)
                if self.config.reference == "none":
                    pred.point_map = points_in_world(pred.point_map, pred.cam_from_world)
        if query_points is not None:
            tracks = self.track_head(layers, grid, query_points)
            pred.tracks_list, pred.track_visibility_logits, pred.track_conf_logits = tracks
            pred.track_visibility = pred.track_visibility_logits.sigmoid()
            pred.track_conf = pred.track_conf_logits.sigmoid()
        return pred

    def reconstruct(self, source, **options):
        """Photographs (paths, a folder, PIL images, arrays) → `Reconstruction` in original pixels.

        See `vggt_lite.reconstruction.reconstruct` for options and errors.
        """
        from vggt_lite.inference import reconstruct  # what a user holds; the network does not need it

        return reconstruct(self, source, **options)
