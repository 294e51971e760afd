"""From pixels to tokens: DINOv2's vision transformer, or one convolution.

Source: Oquab et al. 2023 (DINOv2, arXiv:2304.07193); registers: Darcet et al. 2023 (arXiv:2309.16588).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vggt_lite.model.layers import Block, recomputed


class ViTPatchEmbed(nn.Module):
    """DINOv2's vision transformer: patches plus learned positions through a stack of blocks.

    Args:
        dim: Channels C.
        depth, num_heads: Size of the stack.
        patch_size: Side of a patch in pixels.
        image_size: Side of the square the position table covers, in pixels.
        num_registers: R, extra tokens without a position, in which the network can store global information.
    """

    def __init__(
        self, dim: int, depth: int, num_heads: int, patch_size: int, image_size: int, num_registers: int
    ) -> None:
        super().__init__()
        self.projection = nn.Conv2d(3, dim, patch_size, stride=patch_size)
        self.cls_token = nn.Parameter(torch.empty(1, 1, dim))
        self.register_tokens = nn.Parameter(torch.empty(1, num_registers, dim))
        self.position_table = nn.Parameter(torch.empty(1, 1 + (image_size // patch_size) ** 2, dim))
        # DINOv2's training replaces hidden patches by this token. VGGT has no use for it; its files hold it.
        self.mask_token = nn.Parameter(torch.zeros(1, dim), requires_grad=False)
        self.blocks = nn.ModuleList(
            Block(dim, num_heads, norm_eps=1e-6, layer_scale=1.0) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.gradient_checkpointing = False
        self.initialise()

    def initialise(self) -> None:
        nn.init.trunc_normal_(self.position_table, std=0.02)
        nn.init.normal_(self.cls_token, std=1e-6)
        nn.init.normal_(self.register_tokens, std=1e-6)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def embed(self, images: Tensor) -> Tensor:
        """Tokens that enter the first block: [class | registers | patches], (M, 1 + R + P, C)."""
        patches = self.projection(images)  # (M, C, h, w)
        height, width = patches.shape[-2:]
        patches = patches.flatten(2).transpose(1, 2)  # (M, P, C)
        x = torch.cat([self.cls_token.expand(len(patches), -1, -1), patches], dim=1)
        x = x + resize_position_table(self.position_table, height, width)
        registers = self.register_tokens.expand(len(patches), -1, -1)
        return torch.cat([x[:, :1], registers, x[:, 1:]], dim=1)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (M, 3, H, W) → patch tokens (M, P, C)."""
        x = self.embed(images)
        blocks = recomputed(self.blocks) if self.gradient_checkpointing and self.training else self.blocks
        for block in blocks:
            x = block(x)  # (M, 1 + R + P, C)
        return self.norm(x)[:, 1 + self.register_tokens.shape[1] :]


def resize_position_table(table: Tensor, height: int, width: int) -> Tensor:
    """Resize a square table of learned positions to another grid of patches.

    Args:
        table: (1, 1 + g · g, C); row 0 belongs to the class token and stays as it is.
        height, width: The wanted grid, in patches.

    Returns:
        (1, 1 + height · width, C). Antialiased bicubic, which is what the released weights expect.
    """
    side = round((table.shape[1] - 1) ** 0.5)
    if height == width == side:
        return table
    grid = table[:, 1:].float().unflatten(1, (side, side)).permute(0, 3, 1, 2)  # (1, C, g, g)
    grid = F.interpolate(grid, size=(height, width), mode="bicubic", antialias=True, align_corners=False)
    return torch.cat([table[:, :1], grid.flatten(2).transpose(1, 2).to(table.dtype)], dim=1)


class ConvPatchEmbed(nn.Module):
    """One linear map of each patch, without positions: the ViT's ablation."""

    def __init__(self, dim: int, patch_size: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(3, dim, patch_size, stride=patch_size)

    def forward(self, images: Tensor) -> Tensor:
        """(M, 3, H, W) → (M, h · w, C)."""
        return self.projection(images).flatten(2).transpose(1, 2)
