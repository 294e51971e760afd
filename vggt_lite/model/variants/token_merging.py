"""Merged tokens: global attention over fewer tokens, because views of one scene repeat each other.

The cost of global attention grows with the square of the number of tokens. Here similar patches become one
token while attention runs: half the tokens, a quarter of the comparisons. Trained weights can be used as they
are.

Source: token merging (ToMe), Bolya et al. 2023 (arXiv:2210.09461); in VGGT: FastVGGT, Shen et al. 2025
(arXiv:2509.02560), whose choice of destinations we follow: the first view whole, the others sparse.
"""

from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vggt_lite.config import ModelConfig
from vggt_lite.model.layers import Block, Rotary


class MergePlan(NamedTuple):
    """What becomes of each of a scene's S · T tokens: three index tensors that together cover all of them."""

    protected: Tensor  # camera and register tokens of all views: stay, and nothing is merged into them
    dst: Tensor  # patches that stay: all of the first view, a share of the others
    src: Tensor  # patches that are merged, each into the most similar of `dst`

    @property
    def kept(self) -> Tensor:
        """(M,) the tokens that stay: protected ones first, then `dst`."""
        return torch.cat([self.protected, self.dst])


class MergingBlock(Block):
    """A `Block` whose attention may run over merged tokens; the MLP still processes every token."""

    def forward(self, x: Tensor, rotary: Rotary | None = None, plan: MergePlan | None = None) -> Tensor:
        """(B, L, C) → (B, L, C). Without a plan it is a `Block`."""
        if plan is None:
            return super().forward(x, rotary)
        tokens = self.norm1(x)
        groups = group_tokens(tokens, plan)  # (B, L)
        merged, size = average_groups(tokens, groups, len(plan.kept))  # (B, M, C), (B, M)
        if rotary is not None:
            rotary = (rotary[0][plan.kept], rotary[1][plan.kept])
        # log n added to a score makes one token count like n equal ones
        read = self.attn(merged, rotary=rotary, mask=size.log()[:, None, None])  # (B, M, C)
        read = read.gather(1, groups[..., None].expand(-1, -1, read.shape[-1]))  # (B, L, C): copied back
        x = x + self.ls1(read)
        return x + self.ls2(self.mlp(self.norm2(x)))


def merge_tokens(config: ModelConfig, frame_blocks, global_blocks, positions: Tensor, num_views: int):
    """Global blocks that read patches get a plan. Arguments as for the other wrappers."""
    if num_views == 1:  # the first view stays whole
        return frame_blocks, global_blocks
    plan = plan_merge(positions, 1 + config.num_registers, num_views, config.merge_tokens)
    return frame_blocks, [
        block if pair in config.register_attention else partial(block, plan=plan)
        for pair, block in enumerate(global_blocks)
    ]


def plan_merge(positions: Tensor, num_special: int, num_views: int, share: float) -> MergePlan:
    """Choose by position alone which patches stay, scattered evenly over each view.

    Args:
        positions: (T, 2) rows and columns of a view's tokens; the first `num_special` are special.
        num_views: S.
        share: Of the patches of every view but the first, how many are merged away.
    """
    # A dither pattern (Roberts' R2 sequence): any share of its smallest values is spread evenly.
    row, column = positions[num_special:].unbind(-1)
    dither = (7549 * row + 5698 * column) % 10_000  # (P,)
    patches = num_special + dither.argsort(stable=True)  # (P,) in the order in which they may stay
    staying = round((1 - share) * len(patches))
    first_token = len(positions) * torch.arange(num_views, device=positions.device)[:, None]  # (S, 1)
    protected = first_token + torch.arange(num_special, device=positions.device)  # (S, 1 + R)
    dst = first_token[1:] + patches[:staying]
    src = first_token[1:] + patches[staying:]
    return MergePlan(protected.flatten(), torch.cat([patches, dst.flatten()]), src.flatten())


@torch.no_grad()
def group_tokens(tokens: Tensor, plan: MergePlan) -> Tensor:
    """Which staying token stands for each token.

    Args:
        tokens: (B, L, C).

    Returns:
        (B, L): places among `plan.kept`.
    """
    directions = F.normalize(tokens, dim=-1)
    similarity = directions[:, plan.src] @ directions[:, plan.dst].mT  # (B, src, dst)
    groups = torch.empty(tokens.shape[:2], dtype=torch.long, device=tokens.device)
    groups[:, plan.kept] = torch.arange(len(plan.kept), device=tokens.device)
    groups[:, plan.src] = len(plan.protected) + similarity.argmax(-1)
    return groups


def average_groups(tokens: Tensor, groups: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """One token for each group: the mean of its members (B, M, C), and how many they are (B, M)."""
    size = tokens.new_zeros(len(tokens), count)
    size = size.scatter_add(1, groups, torch.ones_like(tokens[..., 0]))
    index = groups[..., None].expand_as(tokens)
    total = tokens.new_zeros(len(tokens), count, tokens.shape[-1]).scatter_add(1, index, tokens)
    return total / size[..., None], size
