"""Chunked inference: the same results with less memory, without gradients.

    with chunked(model):
        pred = model(images)

The lesson's modules compute all tokens, views and tracks at once. But norms, projections and the MLP
treat each token by itself, dense heads each view, correlations each track. So these can be computed for a few
at a time, and what lies in between (four times the tokens in the MLP, three times in the projection)
never exists for all of them. `benchmarks/inference.py` measures what that saves.

Inside the `with`, modules have a chunked method as an instance attribute; afterwards it is gone. Only modules
that run the code of this package get one, and it is used only while the modules inside them do so as well and
carry no hooks. Otherwise they compute what they compute anywhere else, on all tokens at once. So a replaced
attention, norm, MLP or head has its effect, and hooks are called as often as without chunks.
"""

import hashlib
import inspect
import textwrap
import tokenize
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from types import CodeType, MethodType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vggt_lite.config import PRECISIONS, check_choice
from vggt_lite.model.dense_head import DenseHead, DPTDecoder, FusionBlock, ResidualUnit, activate
from vggt_lite.model.layers import Attention, Block, LayerScale, Mlp, Rotary
from vggt_lite.model.track_head import TrackBlock, Tracker, TrackHead
from vggt_lite.pretrained.int8 import STORED, Int8Linear
from vggt_lite.utils.source import canonical

# A CPU is fastest while its cache holds what it works on; a large device idles on small chunks.
TOKENS_PER_CHUNK, TOKENS_PER_CHUNK_ACCELERATOR = 1_536, 32_768
PIXELS_PER_CHUNK, PIXELS_PER_CHUNK_ACCELERATOR = 518 * 518, 8 * 518 * 518
GATHERED_PER_CHUNK, GATHERED_PER_CHUNK_ACCELERATOR = 2**20, 2**26  # numbers read around tracks

# The methods that chunks rely on, each with a digest of the source for which they were tested. Where one was
# edited or replaced, and in classes that are not listed, nothing is chunked. After an edit: make sure that
# each token (view, track) is still treated by itself, adapt the chunked method, and write down the new
# digest, which tests/model/test_chunked.py prints.
KNOWN = {
    Block: {"forward": "a9c37d7e"},
    Attention: {"forward": "c32358c0", "queries_keys_values": "9d2642d0", "split_heads": "1f0484bb"},
    Mlp: {"forward": "28e2f03c"},
    LayerScale: {"forward": "808bf2a9"},
    DenseHead: {"forward": "632fe327", "decode": "6b64c4fa"},
    DPTDecoder: {"forward": "e3aedaea", "maps": "53b5ee5f"},
    FusionBlock: {"forward": "160fbbca"},
    ResidualUnit: {"forward": "4e529f19"},
    TrackHead: {"feature_maps": "9f4f3b92"},
    Tracker: {"correlations": "8b79fc47"},
    TrackBlock: {"forward": "255cebb6"},
}
LAYERS = (nn.Linear, Int8Linear, *STORED, *STORED.values(), nn.LayerNorm, nn.Identity, nn.ReLU)
TORCH = {kind: kind.forward for kind in (*LAYERS, nn.Sequential, nn.ModuleList)}


@contextmanager
def chunked(model: nn.Module, device: str | None = None, precision: str = "exact") -> Iterator[None]:
    """Inside, `model` computes in chunks, without gradients.

    Args:
        model: A `VGGT`, or any module with such modules inside.
        device: Chunks as large as on this kind of device ("cpu", "cuda" …); None takes where tensors are.
        precision: With "fast" dense heads multiply in bfloat16; see `decode_fast`. What else does so is up to
            the autocast around the call.
    """
    check_choice("precision", precision, PRECISIONS)
    given = [
        (module, name, method)
        for module in model.modules()
        if is_own(module)
        for methods in (CHUNKED, FAST if precision == "fast" else {})
        for name, method in methods.get(type(module), {}).items()
    ]
    before = _device_kind.set(device)
    try:
        for module, name, method in given:
            vars(module)[name] = MethodType(method, module)
        with torch.no_grad():
            yield
    finally:
        _device_kind.reset(before)
        for module, name, _ in given:
            del vars(module)[name]


def is_own(module: nn.Module) -> bool:
    """Whether a module runs the code for which chunks were tested, and no other."""
    kind = type(module)
    if kind in TORCH:
        return "forward" not in vars(module) and kind.forward is TORCH[kind]
    return kind in KNOWN and all(
        name not in vars(module) and digest(getattr(getattr(kind, name), "__code__", None)) == tested
        for name, tested in KNOWN[kind].items()
    )


@cache
def digest(code: CodeType | None) -> str:
    """Eight hexadecimal digits of a function's source; comments, docstring and line breaks do not count."""
    try:
        words = canonical(textwrap.dedent(inspect.getsource(code)))
    except (OSError, TypeError, SyntaxError, tokenize.TokenError):  # no source, or not that of a `def`
        return ""
    return hashlib.sha256(words.encode()).hexdigest()[:8]


def can_be_chunked(*parts: nn.Module) -> bool:
    """Whether all modules inside are own ones, and no hook would be called once for each chunk."""
    if nn.modules.module._has_any_global_hook():
        return False
    modules = [module for part in parts for module in part.modules()]
    return all(is_own(m) and not m._forward_hooks and not m._forward_pre_hooks for m in modules)


# --- how many at a time ---------------------------------------------------------------------------

_device_kind: ContextVar[str | None] = ContextVar("device kind", default=None)  # `device` of `chunked`


def chunk_sizes(device: str) -> tuple[int, int, int]:
    """Tokens, pixels and gathered numbers processed at once on a kind of device ("cpu", "cuda" …)."""
    if device == "cpu":
        return TOKENS_PER_CHUNK, PIXELS_PER_CHUNK, GATHERED_PER_CHUNK
    return TOKENS_PER_CHUNK_ACCELERATOR, PIXELS_PER_CHUNK_ACCELERATOR, GATHERED_PER_CHUNK_ACCELERATOR


def sizes_for(x: Tensor) -> tuple[int, int, int]:
    """`chunk_sizes` where `x` is."""
    return chunk_sizes(_device_kind.get() or x.device.type)


def tokens_per_chunk(x: Tensor) -> int:
    """How many tokens a block processes at once on the device of `x`."""
    return sizes_for(x)[0]


def view_chunks(tokens: Tensor, pixels: int) -> list[slice]:
    """Which views a dense head decodes together.

    Args:
        tokens: (M, …) of M views.
        pixels: Of one view.
    """
    return split_evenly(len(tokens), sizes_for(tokens)[1] // pixels)


def split_evenly(count: int, most: int) -> list[slice]:
    """Cut `count` things into as few nearly equal slices as possible, none longer than `most`."""
    number = max(1, -(-count // max(1, most)))
    ends = [count * i // number for i in range(number + 1)]
    return [slice(start, end) for start, end in zip(ends, ends[1:], strict=False)]


# --- the chunked methods --------------------------------------------------------------------------


@contextmanager
def rounded_once() -> Iterator[None]:
    """Under autocast, keep the rounded matrices of one block until all its chunks are done."""
    before = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(True)
    try:
        yield
    finally:
        torch.clear_autocast_cache()
        torch.set_autocast_cache_enabled(before)


@rounded_once()
def block_chunked(
    block: Block, x: Tensor, rotary: Rotary | None = None, mask: Tensor | None = None
) -> Tensor:
    """`Block.forward`; arguments and result are the same, and the input is left as it is."""
    if can_be_chunked(block.norm1, block.attn, block.ls1):
        out = torch.empty_like(x, memory_format=torch.contiguous_format)
        for some in split_evenly(len(x), tokens_per_chunk(x) // x.shape[1]):  # sequences are independent
            by_sequence = mask is not None and mask.ndim == 4 and len(mask) > 1
            _attend(block, x[some], rotary, mask[some] if by_sequence else mask, out[some])
    else:
        out = (x + block.ls1(block.attn(block.norm1(x), rotary=rotary, mask=mask))).contiguous()
    if not can_be_chunked(block.norm2, block.mlp, block.ls2):
        return out + block.ls2(block.mlp(block.norm2(out)))
    tokens = out.view(-1, out.shape[-1])  # (B · L, C): each passes the MLP alone
    for some in split_evenly(len(tokens), tokens_per_chunk(x)):
        tokens[some] += block.ls2(block.mlp(block.norm2(tokens[some])))
    return out


def _attend(block: Block, x: Tensor, rotary: Rotary | None, mask: Tensor | None, out: Tensor) -> None:
    """Write x + γ₁ · Attention(LN x) of some sequences x (B, L, C) into `out`."""
    (count, length, dim), heads = x.shape, block.attn.num_heads
    chunks = split_evenly(length, tokens_per_chunk(x) // count)
    # Under autocast the fused kernel rounds its inputs; storing them rounded changes nothing.
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


def decode_fast(head: DenseHead, layers: list[Tensor], grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """`DenseHead.decode` with products in bfloat16, all but those of the last convolution: nothing follows
    it that could average, and a depth rounded to bfloat16 is off by up to 0.4 %."""
    height, width = grid[0] * head.patch_size, grid[1] * head.patch_size
    device = layers[0].device.type
    with torch.autocast(device, torch.bfloat16, cache_enabled=False):
        x = head.pyramid(layers, grid, aspect=width / height, size=(height, width))
        x = head.output[:-1](x)  # (M, 32, H, W)
    with torch.autocast(device, enabled=False):
        return activate(head.output[-1](x.float()), head.activation)


def feature_maps_chunked(head: TrackHead, layers: list[Tensor], grid: tuple[int, int]) -> Tensor:
    """`TrackHead.feature_maps`, a few views at a time."""
    if not can_be_chunked(head.pyramid):
        return TrackHead.feature_maps(head, layers, grid)
    each = [x.flatten(0, 1)[:, None] for x in layers]  # four of (B · S, 1, P, 2C)
    chunks = view_chunks(each[0], grid[0] * grid[1] * head.patch_size**2)
    maps = torch.cat([TrackHead.feature_maps(head, [x[some] for x in each], grid) for some in chunks])
    return maps[:, 0].unflatten(0, layers[0].shape[:2])  # (B, S, track_dim, H / 2, W / 2)


def correlations_chunked(tracker: Tracker, pyramid: list[Tensor], features: Tensor, tracks: Tensor) -> Tensor:
    """`Tracker.correlations`, a few tracks at a time: the features around all of them would be the tracker's
    largest tensor."""
    scenes, views, _, channels = features.shape
    read = scenes * views * (2 * tracker.radius + 2) ** 2 * channels  # numbers around one track of each scene
    parts = [
        Tracker.correlations(tracker, pyramid, features[:, :, some], tracks[:, :, some])
        for some in split_evenly(features.shape[2], sizes_for(features)[2] // read)
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


CHUNKED = {
    Block: {"forward": block_chunked},
    DenseHead: {"forward": dense_head_chunked},
    TrackHead: {"feature_maps": feature_maps_chunked},
    Tracker: {"correlations": correlations_chunked},
    TrackBlock: {"forward": track_block_chunked},
}
FAST = {DenseHead: {"decode": decode_fast}}
