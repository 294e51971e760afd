"""From one camera token per view to poses and fields of view, refined four times.

Source: VGGT, section 3.3; adaptive layer norm: Peebles & Xie 2022 (DiT, arXiv:2212.09748).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vggt_lite.model.layers import Block, Mlp

POSE_DIM = 9  # translation 3, quaternion xyzw 4, field of view (vertical, horizontal) 2


class CameraHead(nn.Module):
    """Predict a pose encoding and refine it, `iterations` times with the same weights.

    Args:
        dim: Channels 2C of the aggregator's output.
        depth, num_heads: Size of the trunk: self-attention over the views' camera tokens.
        iterations: Refinement steps (4 in VGGT).
        layer_scale: First value of the trunk's γ.
    """

    def __init__(
        self, dim: int, depth: int, num_heads: int, iterations: int, layer_scale: float = 0.01
    ) -> None:
        super().__init__()
        self.iterations = iterations
        self.token_norm = nn.LayerNorm(dim, eps=1e-5)
        self.empty_pose = nn.Parameter(torch.zeros(1, 1, POSE_DIM))
        self.embed_pose = nn.Linear(POSE_DIM, dim)
        self.modulation = nn.Linear(dim, 3 * dim)
        self.adaptive_norm = nn.LayerNorm(dim, eps=1e-6, elementwise_affine=False)
        self.trunk = nn.ModuleList(Block(dim, num_heads, layer_scale=layer_scale) for _ in range(depth))
        self.trunk_norm = nn.LayerNorm(dim, eps=1e-5)
        self.pose_branch = Mlp(dim, dim // 2, POSE_DIM)

    def forward(self, tokens: Tensor) -> list[Tensor]:
        """Camera tokens (B, S, 2C) → pose encodings (B, S, 9) of every iteration, last one best.

        Between iterations the gradient is cut: each step learns to correct what it is given. What is fed
        back is the raw pose, before the fields of view are clipped.
        """
        tokens = self.token_norm(tokens)
        raw = self.pose_update(tokens, self.empty_pose.expand(*tokens.shape[:2], -1))
        encodings = [activate_pose(raw)]
        for _ in range(self.iterations - 1):
            raw = raw.detach()
            raw = raw + self.pose_update(tokens, raw)
            encodings.append(activate_pose(raw))
        return encodings

    def pose_update(self, tokens: Tensor, pose: Tensor) -> Tensor:
        """The update of the pose (B, S, 9) predicted from it and the camera tokens (B, S, 2C)."""
        shift, scale, gate = self.modulation(F.silu(self.embed_pose(pose))).chunk(3, dim=-1)
        # Adaptive layer norm: the pose shifts, scales and gates the tokens
        x = tokens + gate * (self.adaptive_norm(tokens) * (1 + scale) + shift)
        for block in self.trunk:
            x = block(x)
        return self.pose_branch(self.trunk_norm(x))


def activate_pose(raw: Tensor) -> Tensor:
    """Raw numbers (…, 9) → pose encoding: fields of view are made non-negative, the rest is free."""
    return torch.cat([raw[..., :7], F.relu(raw[..., 7:])], dim=-1)
