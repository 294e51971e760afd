"""Net2Net: a wider model that starts with what a narrower one has learned.

Every channel becomes two equal ones, and whatever reads them takes a share of each, so that the wide network
gives the narrow one's answers. Training goes on from there instead of from noise.

Source: Chen et al. 2016, Net2Net (arXiv:1511.05641). The two shares differ at random, or both copies of a
channel would get the same gradient for ever.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from vggt_lite.config import ModelConfig
from vggt_lite.model.vggt import VGGT
from vggt_lite.utils.runtime import seed_everything

WIDENED = ("aggregator.", "camera_head.")  # the other heads start afresh
TOKENS = ("camera_token", "register_tokens")
TOKEN_SPREAD = 0.02  # of the noise that makes equal tokens different; the release's 1e-6 is too little


def net2net_widen(
    small: VGGT, config: ModelConfig, seed: int = 0, token_spread: float = TOKEN_SPREAD
) -> VGGT:
    """A model of `config`, twice as wide as `small`, with the same patch tokens and poses.

    Patches may be larger: the wide model's first convolution then shrinks each patch to the old size.

    Args:
        small: Its aggregator and camera head are taken over.
        config: The same depths and the same channels per head; `dim` twice as large.
        seed: Of the dense and track heads' first weights, and of the noise.
        token_spread: Standard deviation of the noise on special tokens.

    Raises:
        ValueError: naming what does not fit.
    """
    old = small.config
    checks = {
        "dim": (2 * old.dim, config.dim),
        "num_heads": (2 * old.num_heads, config.num_heads),
        "camera_num_heads": (2 * old.camera_num_heads, config.camera_num_heads),
        "patches along a side": (old.image_size // old.patch_size, config.image_size // config.patch_size),
    }
    for name in ("patch_embed", "vit_depth", "depth", "num_registers", "camera_depth"):
        checks[name] = (getattr(old, name), getattr(config, name))
    if wrong := {name: pair for name, pair in checks.items() if pair[0] != pair[1]}:
        faults = "; ".join(f"{name} should be {a}, is {b}" for name, (a, b) in wrong.items())
        raise ValueError(f"config does not have twice the width of the smaller model: {faults}.")
    seed_everything(seed)
    large = VGGT(config)
    known, weights = small.state_dict(), large.state_dict()
    for name, value in weights.items():
        if name.startswith(WIDENED) and name in known:
            weights[name] = widen(name, known[name].float(), value.shape)
            if name.endswith(TOKENS):
                weights[name] = weights[name] + token_spread * torch.randn(value.shape)
    large.load_state_dict(weights)
    return large


def widen(name: str, weight: Tensor, shape: torch.Size) -> Tensor:
    """One parameter of the wide model from that of the narrow one."""
    if name.endswith("projection.weight"):
        weight = shrink_first(weight, shape[-1])
    is_matrix = weight.ndim in (2, 4) and name.endswith("weight")
    for axis in range(weight.ndim):
        if weight.shape[axis] == shape[axis]:
            continue
        reads = is_matrix and axis == 1  # this axis reads doubled channels, all others are doubled
        groups = 3 if not reads and (".qkv." in name or ".modulation." in name) else 1  # equal parts
        if name.startswith("camera_head."):
            groups *= 2  # [after frame | after global attention]: each half is doubled by itself
        weight = double(weight, axis, groups)
        if reads:
            share = 0.5 + 0.15 * torch.randn(weight.shape[:1] + (groups, 1, weight.shape[1] // groups // 2))
            share = torch.cat([share, 1 - share], dim=2).flatten(1)  # (out, in): both shares of a channel: 1
            weight = weight * share.view(*share.shape, *[1] * (weight.ndim - 2))
    return weight


def double(x: Tensor, axis: int, groups: int) -> Tensor:
    """Each of `groups` equal parts of an axis twice: [a b] → [a a b b] with two groups."""
    parts = x.unflatten(axis, (groups, 1, -1))
    return torch.cat([parts, parts], dim=axis + 1).flatten(axis, axis + 2)


def shrink_first(kernel: Tensor, side: int) -> Tensor:
    """Convolution over larger patches (…, side, side) = shrink the patch, then the old kernel (…, n, n)."""
    old = kernel.shape[-1]
    pixels = torch.eye(side * side).unflatten(1, (side, side))[:, None]  # one lit pixel at a time
    shrunk = F.interpolate(pixels, size=(old, old), mode="bilinear", antialias=True, align_corners=False)
    return (kernel.flatten(2) @ shrunk.flatten(1).T).unflatten(2, (side, side))
