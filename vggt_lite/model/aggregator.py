"""Alternating attention: within each view (frame block), then across all views (global block), in turn.

Source: VGGT, sections 3.2 and 3.3 (arXiv:2503.11651). The release runs the frame block first.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vggt_lite.config import ModelConfig
from vggt_lite.model.layers import Block, grid_positions, recomputed, rotary_tables
from vggt_lite.model.patch_embed import ConvPatchEmbed, ViTPatchEmbed
from vggt_lite.model.variants import block_wrappers, choose_global_block
from vggt_lite.model.variants.reference_free import same_for_all

IMAGE_MEAN = (0.485, 0.456, 0.406)  # ImageNet's, as DINOv2 was trained
IMAGE_STD = (0.229, 0.224, 0.225)


class Aggregator(nn.Module):
    """Images of B scenes → tokens that have read from all views of their scene.

    Args:
        config: Sizes, and departures from VGGT (`vggt_lite/model/variants/`).
        block: Builds every frame and global block, as block(dim, num_heads, layer_scale=…, qk_norm=True).
            What it returns is called as module(tokens (…, L, C), rotary tables or None), like a `Block`.
    """

    def __init__(self, config: ModelConfig, block: Callable[..., nn.Module] = Block) -> None:
        super().__init__()
        self.config = config
        dim, patch = config.dim, config.patch_size
        if config.patch_embed == "conv":
            self.patch_embed = ConvPatchEmbed(dim, patch)
        else:
            self.patch_embed = ViTPatchEmbed(
                dim, config.vit_depth, config.num_heads, patch, config.image_size, config.num_registers
            )
        self.camera_token = nn.Parameter(torch.empty(1, 2, 1, dim))
        self.register_tokens = nn.Parameter(torch.empty(1, 2, config.num_registers, dim))
        nn.init.normal_(self.camera_token, std=1e-6)
        nn.init.normal_(self.register_tokens, std=1e-6)

        def blocks(build: Callable[..., nn.Module]) -> nn.ModuleList:
            return nn.ModuleList(
                build(dim, config.num_heads, layer_scale=config.layer_scale, qk_norm=True)
                for _ in range(config.depth)
            )

        self.frame_blocks = blocks(block)
        self.global_blocks = blocks(choose_global_block(config, block))
        self.register_constants()
        self.gradient_checkpointing = False
        # Departures from VGGT
        self.wrappers = block_wrappers(config)  # [] in VGGT
        self.hand_out = same_for_all if config.reference == "none" else first_and_others

    def register_constants(self) -> None:
        """What no weight file holds; called again where a model was made without memory, to be loaded."""
        self.register_buffer("mean", torch.tensor(IMAGE_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGE_STD).view(3, 1, 1), persistent=False)

    @property
    def matrix_dtype(self) -> torch.dtype:
        """How linear maps and convolutions are stored: float32, unless rounded to save memory."""
        matrices = (m.weight for m in self.modules() if isinstance(m, (nn.Linear, nn.Conv2d)))
        return next((weight.dtype for weight in matrices), torch.float32)

    def embed(self, images: Tensor) -> Tensor:
        """Tokens before the first frame block: [camera | registers | patches], (B · S, T, C)."""
        num_scenes, num_views = images.shape[:2]
        normalised = (images.flatten(0, 1) - self.mean) / self.std  # (B · S, 3, H, W)
        patches = self.patch_embed(normalised)  # (B · S, P, C)
        camera = self.hand_out(self.camera_token, num_scenes, num_views)  # (B · S, 1, C)
        registers = self.hand_out(self.register_tokens, num_scenes, num_views)  # (B · S, R, C)
        return torch.cat([camera.to(patches), registers.to(patches), patches], dim=1)

    def forward(self, images: Tensor) -> tuple[Tensor, dict[int, Tensor]]:
        """Attend within and across the views of each scene.

        Only what the heads read is kept. (The first release kept every layer's output, six times as many
        tokens, and ran out of memory.)

        Args:
            images: (B, S, 3, H, W) in [0, 1].

        Returns:
            camera tokens of the last pair of blocks, (B, S, 2C), and a dict from layer number to
            patch tokens (B, S, P, 2C) for the layers in `config.dense_layers` and the last. Channels
            are [after the frame block | after the global block].
        """
        config = self.config
        num_scenes, num_views, _, height, width = images.shape
        num_special = 1 + config.num_registers
        grid = (height // config.patch_size, width // config.patch_size)
        positions = grid_positions(*grid, num_special).to(images.device)  # (T, 2)
        rotary = rotary_tables(positions, config.dim // config.num_heads, config.rope_base)
        rotary_all = tuple(table.repeat(num_views, 1, 1) for table in rotary)  # each (S · T, 2, d / 4)

        frame_blocks, global_blocks = self.frame_blocks, self.global_blocks
        for wrap in self.wrappers:
            frame_blocks, global_blocks = wrap(frame_blocks, global_blocks, positions, num_views)
        if self.gradient_checkpointing and self.training:
            frame_blocks, global_blocks = recomputed(frame_blocks), recomputed(global_blocks)

        last, kept = config.depth - 1, {}
        x = self.embed(images)  # (B · S, T, C)
        for layer, (frame_block, global_block) in enumerate(zip(frame_blocks, global_blocks, strict=True)):
            within = frame_block(x, rotary)  # (B · S, T, C): each view by itself
            joined = within.reshape(num_scenes, -1, config.dim)  # (B, S · T, C)
            x = global_block(joined, rotary_all).reshape(within.shape)  # all views of a scene
            if layer in config.dense_layers or layer == last:
                both = torch.cat([within, x], dim=-1).unflatten(0, (num_scenes, num_views))  # (B, S, T, 2C)
                kept[layer] = both[:, :, num_special:]
        return both[:, :, 0], kept


def first_and_others(tokens: Tensor, num_scenes: int, num_views: int) -> Tensor:
    """Hand out special tokens: slot 0 to the first view of a scene, slot 1 to all others.

    This is the only thing that makes the first view the reference: it tells the network whose
    camera frame to call the world.

    Args:
        tokens: (1, 2, K, C).

    Returns:
        (B · S, K, C).
    """
    first, other = tokens[:, :1], tokens[:, 1:]
    per_view = torch.cat([first, other.expand(-1, num_views - 1, -1, -1)], dim=1)  # (1, S, K, C)
    return per_view.expand(num_scenes, -1, -1, -1).flatten(0, 1)
