"""Adapters: learn a small change of large matrices, and leave the matrices alone.

A linear map W (out × in) gets a thin one beside it,

    y = W x + b + (α / r) · B (A x),      A (r × in),  B (out × r),  r ≪ in,

and only A and B are trained: r · (in + out) numbers instead of in · out. B starts at 0, so at first nothing
changes. Afterwards B A is added to W, and the network is an ordinary one again, no slower than before.

Source: Hu et al. 2021, LoRA (arXiv:2106.09685).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vggt_lite.model.layers import Attention

ALPHA = 16.0  # α: with this factor one learning rate fits all ranks


class AdaptedLinear(nn.Linear):
    """A linear map with a thin one beside it; weight and bias stay those of `linear`, and are frozen."""

    def __init__(self, linear: nn.Linear, rank: int) -> None:
        nn.Module.__init__(self)  # nn.Linear's would draw a weight that is not needed
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias = linear.weight, linear.bias
        place = {"device": linear.weight.device, "dtype": torch.float32}
        self.down = nn.Parameter(torch.randn(rank, self.in_features, **place) / self.in_features**0.5)  # A
        self.up = nn.Parameter(torch.zeros(self.out_features, rank, **place))  # B
        self.scale = ALPHA / rank
        linear.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """(…, in) → (…, out)."""
        return super().forward(x) + self.scale * F.linear(F.linear(x, self.down), self.up)

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """One map that does the same, in float32: a small change would be lost in rounded weights."""
        linear = nn.Linear(self.in_features, self.out_features, device="meta")
        linear.weight = nn.Parameter(self.weight.float() + self.scale * self.up @ self.down)
        linear.bias = nn.Parameter(self.bias.float())
        return linear


def add_adapters(model: nn.Module, rank: int) -> list[str]:
    """Put adapters beside the maps to queries, keys and values and after attention; freeze what they adapt.

    Args:
        model: A `VGGT`; every attention of its aggregator (ViT, frame and global blocks) gets two.
        rank: r, from 1; 4 to 16 are usual.

    Returns:
        The names of the adapted maps.

    Raises:
        ValueError: rank below 1 or above a map's width, or the model has adapters already.
    """
    if not 1 <= rank <= model.config.dim:
        raise ValueError(f"rank={rank} must lie in 1 … {model.config.dim} (dim); 8 is a good first choice.")
    if adapted_maps(model):
        raise ValueError("the model has adapters already: merge_adapters(model) makes it an ordinary one.")
    names = []
    for name, module in list(model.aggregator.named_modules(prefix="aggregator")):
        if isinstance(module, Attention):
            for part in ("qkv", "proj"):
                setattr(module, part, AdaptedLinear(getattr(module, part), rank))
                names.append(f"{name}.{part}")
    return names


def adapted_maps(model: nn.Module) -> dict[str, AdaptedLinear]:
    """The maps with adapters, by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, AdaptedLinear)}


def merge_adapters(model: nn.Module) -> None:
    """Add every adapter to its matrix. The model computes the same as before and is an ordinary one."""
    for name, module in adapted_maps(model).items():
        parent, _, part = name.rpartition(".")
        setattr(model.get_submodule(parent), part, module.merged())
