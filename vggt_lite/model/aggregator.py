"""Alternating attention: views look at themselves, then at each other, again and again.

Source: VGGT, sections 3.2 and 3.3 (arXiv:2503.11651). The release runs the frame block first.
"""

import torch
from torch import Tensor, nn

from vggt_lite.config import ModelConfig
from vggt_lite.model.layers import Block, grid_positions, rotary_tables, run_block
from vggt_lite.model.patch_embed import ConvPatchEmbed, ViTPatchEmbed
from vggt_lite.model.variants.global_attention import Exchange
from vggt_lite.model.variants.token_merging import MergingBlock

IMAGE_MEAN = (0.485, 0.456, 0.406)  # ImageNet's, as DINOv2 was trained
IMAGE_STD = (0.229, 0.224, 0.225)


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


class Aggregator(nn.Module):
    """Images of B scenes in, tokens that know about all views of their scene out."""

    def __init__(self, config: ModelConfig) -> None:
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

        def blocks(kind: type[Block] = Block) -> nn.ModuleList:
            return nn.ModuleList(
                kind(dim, config.num_heads, layer_scale=config.layer_scale, qk_norm=True)
                for _ in range(config.depth)
            )

        self.frame_blocks = blocks()
        self.global_blocks = blocks(MergingBlock if config.merge_tokens else Block)
        self.register_constants()
        self.gradient_checkpointing = False

    def register_constants(self) -> None:
        """What no weight file holds; called again where a model was made without memory, to be loaded."""
        self.register_buffer("mean", torch.tensor(IMAGE_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGE_STD).view(3, 1, 1), persistent=False)

    @property
    def matrix_dtype(self) -> torch.dtype:
        """How linear maps and convolutions are stored: float32, unless rounded to save memory."""
        return self.frame_blocks[0].mlp.fc1.weight.dtype

    def embed(self, images: Tensor) -> Tensor:
        """Tokens before the first frame block: [camera | registers | patches], (B · S, T, C)."""
        num_scenes, num_views = images.shape[:2]
        normalised = (images.flatten(0, 1) - self.mean) / self.std  # (B · S, 3, H, W)
        patches = self.patch_embed(normalised)  # (B · S, P, C)
        slots = [1, 1] if self.config.reference == "none" else [0, 1]  # for the first view, for the others
        camera = first_and_others(self.camera_token[:, slots], num_scenes, num_views)
        registers = first_and_others(self.register_tokens[:, slots], num_scenes, num_views)
        return torch.cat([camera.to(patches), registers.to(patches), patches], dim=1)

    def forward(self, images: Tensor) -> tuple[Tensor, dict[int, Tensor]]:
        """Mix the views of each scene.

        Only what the heads read is kept: keeping every layer's output is what made the first
        release run out of memory (six times more tokens than anybody reads).

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
        per_view = rotary_tables(positions, config.dim // config.num_heads, config.rope_base)
        exchange = Exchange(config, positions, per_view, num_views)

        recompute = self.gradient_checkpointing and self.training
        last, kept = config.depth - 1, {}
        x = self.embed(images)  # (B · S, T, C)
        for layer, (frame_block, global_block) in enumerate(
            zip(self.frame_blocks, self.global_blocks, strict=True)
        ):
            if config.attention == "alternating":
                within = run_block(frame_block, x, per_view, recompute)  # (B · S, T, C)
            else:
                within = exchange.all_tokens(frame_block, x, recompute)
            meet = exchange.special_tokens if layer in config.register_attention else exchange.all_tokens
            x = meet(global_block, within, recompute)  # (B · S, T, C)
            if layer in config.dense_layers or layer == last:
                both = torch.cat([within, x], dim=-1).unflatten(0, (num_scenes, num_views))  # (B, S, T, 2C)
                kept[layer] = both[:, :, num_special:]
        return both[:, :, 0], kept
