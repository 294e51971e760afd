"""Will it fit? Memory of a forward pass, told from the sizes before anything is allocated.

    print(estimate_memory(VGGT_1B, views=8, height=392, width=518))
    views_that_fit(VGGT_1B, height=392, width=518, available=4e9)

The pass goes through stages (ViT, alternating attention, each dense head, tracking) and needs as much as the
greediest of them. The formulas count the tensors that are alive together at the worst moment of a stage, as
layers/lean.py and model/ are written; `benchmarks/memory.py` measures what they predict. They hold without
gradients: training also keeps what the backward pass needs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import torch

from vggt_lite.config import ModelConfig
from vggt_lite.inference import chunked
from vggt_lite.model.track_head import STRIDE
from vggt_lite.model.vggt import VGGT
from vggt_lite.pretrained.loading import linear_modules
from vggt_lite.pretrained.weight_files import skip_init

FLOAT = 4  # bytes: the stream of tokens, the heads and all that is kept are float32
LIBRARIES = 8_000_000  # bytes that libraries keep for themselves once they have worked


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes that a forward pass takes; printed, it is a sentence.

    Attributes:
        weights: of the network.
        stages: peak of each stage above the weights: input, outputs so far and everything in between.
    """

    weights: int
    stages: dict[str, int]

    @property
    def working(self) -> int:
        """Above the weights, when it is most."""
        return max(self.stages.values())

    @property
    def total(self) -> int:
        return self.weights + self.working

    def __str__(self) -> str:
        most = max(self.stages, key=self.stages.get)
        return (
            f"{gigabytes(self.total)}: weights {gigabytes(self.weights)}, and {gigabytes(self.working)} "
            f"while it runs, most in {most}"
        )


def gigabytes(count: float) -> str:
    """Bytes for people: "1.25 GB", "830 MB"."""
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def estimate_memory(
    config: ModelConfig,
    views: int,
    height: int,
    width: int,
    dtype: torch.dtype = torch.float32,
    heads: tuple[str, ...] | None = None,
    query_points: int = 0,
    *,
    device: torch.device | str = "cpu",
    stored: torch.dtype | None = None,
) -> MemoryEstimate:
    """Peak memory of one forward pass over a scene, without gradients.

    Args:
        config: of the network.
        views, height, width: of the scene; pixels of the network's input.
        dtype: of the aggregator's products: float32, or what autocast runs in.
        heads: those that were built; None takes `config.heads`.
        query_points: how many points are tracked.
        device: pieces are larger on a GPU.
        stored: of the aggregator's matrices; None takes `dtype`, as `from_pretrained(dtype=…)` stores them.

    Raises:
        ValueError: no views, or a size that is not a multiple of the patch.
    """
    if views < 1 or height % config.patch_size or width % config.patch_size or not height * width:
        raise ValueError(
            f"{views} views of {width}×{height} pixels: give at least one view, and sides that are multiples "
            f"of the patch size {config.patch_size}."
        )
    heads = config.heads if heads is None else heads
    matrices, others = count_weights(config.with_(heads=tuple(heads)))
    weights = matrices * (stored or dtype).itemsize + others * FLOAT
    scene = _Scene(config, views, height, width, dtype, torch.device(device))
    stages = {name: round(peak + LIBRARIES) for name, peak in scene.stages(heads, query_points)}
    return MemoryEstimate(weights, stages)


@cache
def count_weights(config: ModelConfig) -> tuple[int, int]:
    """How many numbers a network holds: in the matrices that may be stored rounded, and in all the rest."""
    with torch.device("meta"), skip_init():
        model = VGGT(config)
    matrices = sum(weight.numel() for module in linear_modules(model) for weight in module.parameters())
    return matrices, sum(weight.numel() for weight in model.parameters()) - matrices


def views_that_fit(config: ModelConfig, height: int, width: int, available: float, **options) -> int:
    """The most views whose forward pass needs no more than `available` bytes above the weights.

    Args:
        options: dtype, heads, query_points, device, as `estimate_memory` takes them.
    """

    def fits(views: int) -> bool:
        return estimate_memory(config, views, height, width, **options).working <= available

    low, high = 0, 1
    while fits(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


# --- while it runs --------------------------------------------------------------------------------


class _Scene:
    """Sizes of a scene in the network, and the peaks that follow from them. All in bytes."""

    def __init__(self, config, views, height, width, dtype, device) -> None:
        cpu = device.type == "cpu"
        self.config, self.views, self.dtype = config, views, dtype
        self.patches = (height // config.patch_size) * (width // config.patch_size)
        self.tokens = 1 + config.num_registers + self.patches
        self.pixels = height * width
        self.piece = chunked.TOKENS_PER_CHUNK if cpu else chunked.TOKENS_PER_CHUNK_ACCELERATOR
        self.decoded = chunked.PIXELS_PER_CHUNK if cpu else chunked.PIXELS_PER_CHUNK_ACCELERATOR
        self.touched_late = cpu  # a system hands out pages when they are written, a GPU's allocator at once
        self.stream = FLOAT * views * self.tokens * config.dim
        self.images = FLOAT * 3 * views * self.pixels

    def stages(self, heads: tuple[str, ...], queries: int) -> Iterator[tuple[str, float]]:
        config = self.config
        kept = sorted({*config.dense_layers, config.depth - 1})  # whose outputs, 2C wide, wait for the heads
        tables = self.stream / config.num_heads
        within = self.block(self.views, self.tokens)
        yield "the ViT", 2 * self.images + self.stream + max(3 * self.stream, within)
        across = max(within, self.block(1, self.views * self.tokens))
        before = self.images + tables + 2 * (len(kept) - 1) * self.stream
        yield "attention across views", before + self.stream + across

        held = self.images + 2 * len(kept) * self.stream  # and the outputs of every head that is done
        for name, channels in (("depth", 1), ("point", 3)):
            if name in heads:
                outputs = FLOAT * self.views * self.pixels * (channels + 1)
                fused = (config.dense_dim, config.dense_dim // 2)
                yield f"the {name} head", held + outputs + max(outputs, self.decode(*fused, 1, 32))
                held += outputs
        if "track" in heads and queries:
            maps = FLOAT * self.views * self.pixels / STRIDE**2 * config.track_dim
            fused = (config.track_fused, config.track_dim)
            yield "the tracker's maps", held + maps + max(maps, self.decode(*fused, STRIDE, 0))
            yield "the tracker", held + maps + max(2 * maps, 4 / 3 * maps + self.track(queries))

    def block(self, count: int, length: int) -> float:
        """A transformer block above its input: `count` sequences of `length` tokens."""
        group = _longest(count, self.piece // length)  # sequences that go together
        together = group * length * self.config.dim
        piece = FLOAT * group * _longest(length, self.piece // group) * self.config.dim
        half = self.dtype.itemsize  # queries, keys, values and what was read
        done = FLOAT * (count * length * self.config.dim - together * self.touched_late)
        return done + max(
            4 * half * together,  # attention itself
            3 * half * together + 9 * piece,  # the last piece is projected
            (half + FLOAT * self.touched_late) * together + 11 * piece,  # the last piece is in the perceptron
        )

    def decode(self, fused: int, out: int, stride: int, last: int) -> float:
        """A dense head (or the tracker's maps) for as many views as are decoded together."""
        seen = self.pixels / stride**2
        views = _longest(self.views, self.decoded // self.pixels)
        coarse, fine = 64 * self.patches, seen  # 8 × 8 per patch, before and after the last resize
        largest = max(
            fused * (64 + 2 * 16 + 21.25) * self.patches,  # in the last fusion; the four maps still wait
            (fused + out) * coarse,  # in the convolution after it
            out * (coarse + fine),  # in the resize
            (out + 2 * last) * fine,  # between the last two convolutions
        )
        # The largest convolution, of the coarsest map, has its weights rearranged twice; it runs early on.
        dims = self.config.dense_dims
        rearranged = 2 * 9 * dims[3] ** 2 + views * (16 * dims[0] + 4 * dims[1] + dims[2]) * self.patches
        return FLOAT * max(views * largest, rearranged)

    def track(self, queries: int) -> float:
        """An iteration of the tracker, above its maps."""
        config, points = self.config, self.views * queries
        window, around = (2 * config.track_radius + 1) ** 2, (2 * config.track_radius + 2) ** 2
        found = config.track_levels * window
        correlate = points * (2 * found + 9 * around)  # numbers so far, and indices and values of one level
        tokens = self.views * (queries + config.track_virtual) * config.track_hidden
        piece = min(self.piece * config.track_hidden, tokens)
        update = 6 * tokens + 11 * piece + points * 3 * config.track_dim
        return FLOAT * max(correlate, update)


def _longest(count: int, most: int) -> int:
    """Length of the longest of `chunked.split_evenly`."""
    return max(piece.stop - piece.start for piece in chunked.split_evenly(count, most))
