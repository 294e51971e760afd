"""Merged tokens: global attention over fewer tokens, because views of one scene repeat each other.

The cost of global attention grows with the square of the number of tokens. Here similar patches become one
token for its duration: half the tokens, a quarter of the comparisons. Trained weights need not know.

Source: token merging, Bolya et al. 2023 (arXiv:2210.09461); in VGGT: FastVGGT, Shen et al. 2025
(arXiv:2509.02560), whose plan for who stays we follow: the first view whole, the others sparse.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vggt_lite.model.layers import Block


class Roles(NamedTuple):
    """What becomes of each of a scene's S · T tokens: indices of three kinds that cover all of them."""

    special: Tensor  # camera and register tokens of all views: stay, and take nobody in
    receivers: Tensor  # patches that stay: all of the first view, a share of the others
    senders: Tensor  # patches that are merged into the most similar receiver


def plan_merge(positions: Tensor, num_special: int, num_views: int, share: float) -> Roles:
    """Choose by position alone who stays, scattered evenly over each view.

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
    special = first_token + torch.arange(num_special, device=positions.device)  # (S, 1 + R)
    receivers = first_token[1:] + patches[:staying]
    senders = first_token[1:] + patches[staying:]
    return Roles(special.flatten(), torch.cat([patches, receivers.flatten()]), senders.flatten())


@torch.no_grad()
def group_tokens(tokens: Tensor, roles: Roles) -> Tensor:
    """Which staying token stands for each token.

    Args:
        tokens: (B, L, C).

    Returns:
        (B, L): places among the staying tokens, special ones first, then receivers.
    """
    directions = F.normalize(tokens, dim=-1)
    similarity = directions[:, roles.senders] @ directions[:, roles.receivers].mT  # (B, senders, receivers)
    groups = torch.empty(tokens.shape[:2], dtype=torch.long, device=tokens.device)
    stay = torch.cat([roles.special, roles.receivers])  # (M,)
    groups[:, stay] = torch.arange(len(stay), device=tokens.device)
    groups[:, roles.senders] = len(roles.special) + similarity.argmax(-1)
    return groups


def average_groups(tokens: Tensor, groups: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """One token for each group: the mean of its members (B, M, C), and how many they are (B, M)."""
    size = tokens.new_zeros(len(tokens), count)
    size = size.scatter_add(1, groups, torch.ones_like(tokens[..., 0]))
    index = groups[..., None].expand_as(tokens)
    total = tokens.new_zeros(len(tokens), count, tokens.shape[-1]).scatter_add(1, index, tokens)
    return total / size[..., None], size


class MergingBlock(Block):
    """A `Block` whose attention may run over merged tokens; the perceptron still serves each one."""

    def forward(
        self, x: Tensor, rotary: tuple[Tensor, Tensor] | None = None, roles: Roles | None = None
    ) -> Tensor:
        """(B, L, C) → (B, L, C). Without `roles` it is a `Block`."""
        if roles is None:
            return super().forward(x, rotary)
        tokens = self.norm1(x)
        groups = group_tokens(tokens, roles)  # (B, L)
        stay = torch.cat([roles.special, roles.receivers])  # (M,)
        merged, size = average_groups(tokens, groups, len(stay))  # (B, M, C), (B, M)
        here = None if rotary is None else (rotary[0][stay], rotary[1][stay])
        # log n added to a score makes one token count like n equal ones
        read = self.attn(merged, rotary=here, mask=size.log()[:, None, None])  # (B, M, C)
        read = read.gather(1, groups[..., None].expand(-1, -1, read.shape[-1]))  # (B, L, C): copied back
        x = x + self.ls1(read)
        return x + self.ls2(self.mlp(self.norm2(x)))
