"""Chunked inference: the same numbers with less memory, where no gradient is wanted.

    with chunked(model):
        pred = model(images)

The lesson's modules compute every token, view and track at once. But norms, projections and the perceptron
treat each token by itself, dense heads each view, correlations each track. So these can be computed for a few
at a time, and what lies in between (four times the tokens in the perceptron, three times in the projection)
never exists for all of them. `benchmarks/inference.py` measures what that saves.

Inside the block, modules get a chunked `forward` as an instance attribute; afterwards it is gone. That holds
only for modules whose code is this package's own and on whose inner modules nobody hangs a hook: a replaced
attention, norm, perceptron or head computes what it computes anywhere else, on all tokens at once. Hooks on
blocks and heads are called once, as always.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import MethodType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vggt_lite.model.dense_head import DenseHead, DPTDecoder, FusionBlock, ResidualUnit
from vggt_lite.model.layers import Attention, Block, LayerScale, Mlp
from vggt_lite.model.track_head import TrackBlock, Tracker, TrackHead

# A processor is quickest while its cache holds what it works on; a large device idles on small chunks.
TOKENS_PER_CHUNK, TOKENS_PER_CHUNK_ACCELERATOR = 1_536, 32_768
PIXELS_PER_CHUNK, PIXELS_PER_CHUNK_ACCELERATOR = 518 * 518, 8 * 518 * 518
GATHERED_PER_CHUNK, GATHERED_PER_CHUNK_ACCELERATOR = 2**20, 2**26  # numbers read around tracks

# The methods that chunking relies on. A class that is missing here is foreign.
KNOWN = {
    nn.LayerNorm: ("forward",),
    nn.Linear: ("forward",),
    nn.Identity: ("forward",),
    nn.Conv2d: ("forward",),
    nn.ConvTranspose2d: ("forward",),
    nn.ReLU: ("forward",),
    nn.Sequential: ("forward",),
    nn.ModuleList: (),
    LayerScale: ("forward",),
    Mlp: ("forward",),
    Attention: ("forward", "queries_keys_values"),
    Block: ("forward",),
    TrackBlock: ("forward",),
    ResidualUnit: ("forward",),
    FusionBlock: ("forward",),
    DPTDecoder: ("forward", "maps"),
    DenseHead: ("forward", "decode"),
    TrackHead: ("forward", "feature_maps"),
    Tracker: ("forward", "correlations"),
}


@contextmanager
def chunked(model: nn.Module) -> Iterator[None]:
    """Inside, `model` computes in chunks, without gradients.

    Args:
        model: A `VGGT`, or any module with such modules inside.
    """
    given = [
        (module, name, form)
        for module in model.modules()
        for name, form in CHUNKED_FORMS.get(type(module), {}).items()
        if is_own(module)
    ]
    try:
        for module, name, form in given:
            vars(module)[name] = MethodType(form, module)
        with torch.no_grad():
            yield
    finally:
        for module, name, _ in given:
            del vars(module)[name]


def is_own(module: nn.Module) -> bool:
    """Whether a module runs the code of its class in this package or in torch, and nothing else."""
    kind = type(module)
    return kind in KNOWN and all(
        name not in vars(module)
        and getattr(kind, name).__module__ == kind.__module__
        and getattr(kind, name).__qualname__ == f"{kind.__name__}.{name}"
        for name in KNOWN[kind]
    )


def can_be_chunked(*parts: nn.Module) -> bool:
    """Whether all modules inside are this package's or torch's own, and no hook would see chunks."""
    modules = [module for part in parts for module in part.modules()]
    return all(is_own(m) and not m._forward_hooks and not m._forward_pre_hooks for m in modules)


# --- how many at a time ---------------------------------------------------------------------------


def tokens_per_chunk(x: Tensor) -> int:
    """How many tokens a block works on at once, where `x` lives."""
    return TOKENS_PER_CHUNK if x.is_cpu else TOKENS_PER_CHUNK_ACCELERATOR


def view_chunks(tokens: Tensor, pixels: int) -> list[slice]:
    """Which views a dense head decodes together.

    Args:
        tokens: (M, …) of M views.
        pixels: Of one view.
    """
    most = PIXELS_PER_CHUNK if tokens.is_cpu else PIXELS_PER_CHUNK_ACCELERATOR
    return split_evenly(len(tokens), most // pixels)


def split_evenly(count: int, most: int) -> list[slice]:
    """Cut `count` things into as few nearly equal slices as possible, none longer than `most`."""
    number = max(1, -(-count // max(1, most)))
    ends = [count * i // number for i in range(number + 1)]
    return [slice(start, end) for start, end in zip(ends, ends[1:], strict=False)]


# --- the chunked forms ----------------------------------------------------------------------------


def block_chunked(
    block: Block, x: Tensor, rotary: tuple[Tensor, Tensor] | None = None, mask: Tensor | None = None
) -> Tensor:
    """`Block.forward`; arguments and result are the same, and the input is left as it is."""
    if can_be_chunked(block.norm1, block.attn, block.ls1):
        out = torch.empty_like(x, memory_format=torch.contiguous_format)
        for some in split_evenly(len(x), tokens_per_chunk(x) // x.shape[1]):  # sequences are independent
            _attend(block, x[some], rotary, None if mask is None else _of_sequences(mask, some), out[some])
    else:
        out = x + block.ls1(block.attn(block.norm1(x), rotary=rotary, mask=mask))
    if not can_be_chunked(block.norm2, block.mlp, block.ls2):
        return out + block.ls2(block.mlp(block.norm2(out)))
    tokens = out.view(-1, out.shape[-1])  # (B · L, C): each passes the perceptron alone
    for some in split_evenly(len(tokens), tokens_per_chunk(x)):
        tokens[some] += block.ls2(block.mlp(block.norm2(tokens[some])))
    return out


def _of_sequences(mask: Tensor, some: slice) -> Tensor:
    """The mask of some sequences, where it has one for each."""
    return mask[some] if mask.ndim == 4 and len(mask) > 1 else mask


def _attend(
    block: Block, x: Tensor, rotary: tuple[Tensor, Tensor] | None, mask: Tensor | None, out: Tensor
) -> None:
    """Write x + γ₁ · Attention(LN x) of some sequences x (B, L, C) into `out`."""
    (count, length, dim), heads = x.shape, block.attn.num_heads
    chunks = split_evenly(length, tokens_per_chunk(x) // count)
    # Under autocast the fused kernel rounds its inputs anyway; storing them rounded changes nothing.
    device = x.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
    q, k, v = x.new_empty(3, count, heads, length, dim // heads, dtype=dtype)  # each (B, n, L, d)
    for some in chunks:
        here = None if rotary is None else (rotary[0][some], rotary[1][some])
        q[:, :, some], k[:, :, some], v[:, :, some] = block.attn.queries_keys_values(
            block.norm1(x[:, some]), rotary=here
        )
    read = F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2)  # (B, L, n, d)
    del q, k, v
    for some in chunks:
        out[:, some] = x[:, some] + block.ls1(block.attn.proj(read[:, some].flatten(2)))


def dense_head_chunked(head: DenseHead, layers: list[Tensor], grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """`DenseHead.forward`, a few views at a time."""
    if not can_be_chunked(*head.children()):
        return DenseHead.forward(head, layers, grid)
    each = [x.flatten(0, 1)[:, None] for x in layers]  # four of (B · S, 1, P, 2C)
    chunks = view_chunks(each[0], grid[0] * grid[1] * head.patch_size**2)
    parts = [DenseHead.forward(head, [x[some] for x in each], grid) for some in chunks]
    values, confidences = (torch.cat(part) for part in zip(*parts, strict=True))  # (B · S, 1, H, W, …)
    views = layers[0].shape[:2]
    return values[:, 0].unflatten(0, views), confidences[:, 0].unflatten(0, views)


def feature_maps_chunked(head: TrackHead, layers: list[Tensor], grid: tuple[int, int]) -> Tensor:
    """`TrackHead.feature_maps`, a few views at a time."""
    if not can_be_chunked(head.pyramid):
        return TrackHead.feature_maps(head, layers, grid)
    each = [x.flatten(0, 1)[:, None] for x in layers]  # four of (B · S, 1, P, 2C)
    chunks = view_chunks(each[0], grid[0] * grid[1] * head.patch_size**2)
    maps = torch.cat([TrackHead.feature_maps(head, [x[some] for x in each], grid) for some in chunks])
    return maps[:, 0].unflatten(0, layers[0].shape[:2])  # (B, S, track_dim, H / 2, W / 2)


def correlations_chunked(tracker: Tracker, pyramid: list[Tensor], features: Tensor, tracks: Tensor) -> Tensor:
    """`Tracker.correlations`, a few tracks at a time: what is read around all of them would be the tracker's
    largest tensor."""
    scenes, views, _, channels = features.shape
    most = GATHERED_PER_CHUNK if features.is_cpu else GATHERED_PER_CHUNK_ACCELERATOR
    read = scenes * views * (2 * tracker.radius + 2) ** 2 * channels  # numbers around one track of each scene
    parts = [
        Tracker.correlations(tracker, pyramid, features[:, :, some], tracks[:, :, some])
        for some in split_evenly(features.shape[2], most // read)
    ]
    return torch.cat(parts, dim=2)


def track_block_chunked(block: TrackBlock, x: Tensor, context: Tensor | None = None) -> Tensor:
    """`TrackBlock.forward`, a few sequences at a time."""
    if not can_be_chunked(*block.children()):
        return TrackBlock.forward(block, x, context)
    longest = max(x.shape[1], 0 if context is None else context.shape[1])
    parts = [
        TrackBlock.forward(block, x[some], None if context is None else context[some])
        for some in split_evenly(len(x), tokens_per_chunk(x) // longest)
    ]
    return torch.cat(parts)


CHUNKED_FORMS = {
    Block: {"forward": block_chunked},
    DenseHead: {"forward": dense_head_chunked},
    TrackHead: {"feature_maps": feature_maps_chunked},
    Tracker: {"correlations": correlations_chunked},
    TrackBlock: {"forward": track_block_chunked},
}
