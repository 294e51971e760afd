"""The same network computed the way the release computes it: the old form that benchmarks compare with.

    with released_form():
        model(images)                       # same weights, same numbers up to rounding, old costs

Written from a description of the release, not from its source. It is its *corrected* form: the first release
kept all 24 layers for the heads, here only the four that are read are kept, special tokens included. What
stays of its ways:

- rotary angles are looked up anew for queries and keys of every block, through integer positions;
- blocks treat all tokens at once;
- dense heads decode eight views at a time, add a full-size position map that is formed in float64 each time,
  and enlarge before the 1 × 1 convolution of a fusion block;
- the tracker correlates with whole maps;
- heads leave autocast on a GPU only: on a CPU it rounds their products, too.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor

from vggt_lite.model import aggregator, camera_head, dense_head, layers, track_head
from vggt_lite.model.track_head import correlate_whole_map

VIEWS_AT_A_TIME = 8


# --- rotary positions -----------------------------------------------------------------------------


def positions_only(positions: Tensor, head_dim: int, base: float) -> tuple[Tensor, ...]:
    """Instead of tables: the integer positions (T, 2) themselves, handed from block to block."""
    return (positions[:, None],)  # (T, 1, 2): repeated over views by the aggregator, like a table


_TABLES: dict[tuple, tuple[Tensor, Tensor]] = {}


def table(head_dim: int, length: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines (length, d / 2) of one axis, kept once made."""
    key = (head_dim, length, like.device, like.dtype)
    if key not in _TABLES:
        half = head_dim // 2
        exponent = torch.arange(0, half, 2, device=like.device).float() / half
        angle = torch.arange(length, device=like.device).float()[:, None] * 100.0**-exponent
        angle = torch.cat([angle, angle], dim=-1)
        _TABLES[key] = angle.cos().to(like.dtype), angle.sin().to(like.dtype)
    return _TABLES[key]


def rotate_by_lookup(x: Tensor, positions: tuple[Tensor, ...]) -> Tensor:
    """`rotate`, with a look-up per call and per axis."""
    where = positions[0][:, 0].expand(len(x), -1, -1)  # (B, L, 2)
    cos, sin = table(x.shape[-1], int(where.max()) + 1, x)
    turned = []
    for axis, part in enumerate(x.chunk(2, dim=-1)):  # rows, columns
        c, s = (F.embedding(where[..., axis], t)[:, None] for t in (cos, sin))  # (B, 1, L, d / 2)
        first, second = part.chunk(2, dim=-1)
        turned.append(part * c + torch.cat([-second, first], dim=-1) * s)
    return torch.cat(turned, dim=-1)


# --- blocks ---------------------------------------------------------------------------------------


def whole_block(self, x: Tensor, rotary: tuple[Tensor, ...] | None = None) -> Tensor:
    """`Block.forward`, all tokens at once."""
    x = x + self.ls1(self.attn(self.norm1(x), rotary=rotary))
    return x + self.ls2(self.mlp(self.norm2(x)))


# --- dense heads ----------------------------------------------------------------------------------


def eight_views(tokens: Tensor, pixels: int) -> list[slice]:
    return [slice(i, i + VIEWS_AT_A_TIME) for i in range(0, len(tokens), VIEWS_AT_A_TIME)]


def position_map(height: int, width: int, dim: int, aspect: float, device: torch.device) -> Tensor:
    """The position embedding of every pixel (D, H, W), by way of float64 maps."""
    diagonal = (aspect**2 + 1) ** 0.5
    ends = (aspect / diagonal * (width - 1) / width, 1 / diagonal * (height - 1) / height)
    across, down = (torch.linspace(-end, end, n) for end, n in zip(ends, (width, height), strict=True))
    grid = torch.stack(torch.meshgrid(across, down, indexing="xy"), dim=-1).to(device)  # (H, W, 2)
    frequency = 100.0 ** (-torch.arange(dim // 4, dtype=torch.float64, device=device) / (dim / 4))
    halves = []
    for axis in range(2):
        angle = grid[..., axis].reshape(-1).double()[:, None] * frequency  # (H · W, D / 4)
        halves.append(torch.cat([angle.sin(), angle.cos()], dim=1))
    return torch.cat(halves, dim=1).float().view(height, width, dim).permute(2, 0, 1)


def add_position_map(x: Tensor, aspect: float) -> Tensor:
    height, width = x.shape[-2:]
    positions = 0.1 * position_map(height, width, x.shape[1], aspect, x.device)
    return x + positions[None].expand(len(x), -1, -1, -1)


def enlarge_then_convolve(self, x: Tensor, skip: Tensor | None, size: tuple[int, int]) -> Tensor:
    """`FusionBlock.forward`, with the 1 × 1 convolution on four times as many pixels."""
    if self.unit1 is not None:
        x = x + self.unit1(skip)
    return self.out(dense_head.resize(self.unit2(x), size))


# --- autocast -------------------------------------------------------------------------------------


def stay_in_autocast(forward: Callable) -> Callable:
    """A head's method that computes in the autocast for bfloat16 that `VGGT` has just left."""

    def computed(*inputs):
        with torch.autocast("cpu", torch.bfloat16):
            return forward(*inputs)

    return computed


@contextmanager
def released_autocast() -> Iterator[None]:
    """Inside this block every `VGGT` works on a CPU in the old form under autocast for bfloat16."""
    with ExitStack() as swaps:
        for owner, name in ((camera_head.CameraHead, "forward"), (dense_head.DenseHead, "decode")):
            swaps.enter_context(patch.object(owner, name, stay_in_autocast(getattr(owner, name))))
        swaps.enter_context(released_form())
        swaps.enter_context(torch.autocast("cpu", torch.bfloat16))
        yield


# --- all of it ------------------------------------------------------------------------------------


@contextmanager
def released_form() -> Iterator[None]:
    """Inside this block every `VGGT` works in the old form."""
    with ExitStack() as swaps:
        for owner, name, old in (
            (aggregator, "rotary_tables", positions_only),
            (layers, "rotate", rotate_by_lookup),
            (layers.Block, "forward", whole_block),
            (dense_head, "add_positions_", add_position_map),
            (dense_head.FusionBlock, "forward", enlarge_then_convolve),
            (track_head, "correlate", correlate_whole_map),
        ):
            swaps.enter_context(patch.object(owner, name, old))
        yield
