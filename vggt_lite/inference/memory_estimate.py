"""Will it fit? The memory of a forward pass, told before anything is allocated.

    print(estimate_memory(VGGT_1B, views=8, height=392, width=518))
    views_that_fit(VGGT_1B, height=392, width=518, available=4e9)

No formula stands here: the network itself runs, chunked as `reconstruct` runs it, on torch's fake tensors,
which have shapes and no memory, and what is alive at once is counted. All blocks of a kind are alike, so one
of each kind runs. Beyond some views every stage grows by the same amount with each view, so two runs tell the
rest. `benchmarks/memory.py` measures what this predicts. It holds without gradients; training is estimated in
`research/training_memory.py`.
"""

import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from vggt_lite.config import ModelConfig
from vggt_lite.inference.chunked import chunk_sizes, chunked
from vggt_lite.model import VGGT
from vggt_lite.pretrained.int8 import to_int8
from vggt_lite.pretrained.loading import cast_linear_weights, linear_modules
from vggt_lite.pretrained.weight_files import skip_init
from vggt_lite.utils.live_memory import LiveMemory
from vggt_lite.utils.runtime import available_memory

LIBRARIES = 8_000_000  # bytes that libraries keep for themselves once they have worked
# How allocators say it where they raise a plain RuntimeError: torch on the CPU and MPS, oneDNN, cuBLAS.
COMPLAINTS = ("allocate memory", "could not allocate", "out of memory", "not enough memory", "alloc_failed")

# A bound that no measured forward pass came near (benchmarks/memory.py): bytes of work, for every byte of the
# pictures, and for every point in every view.
FIXED, PER_BYTE, PER_SIGHTING = 200_000_000, 100, 40_000


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
    """Peak memory of one forward pass over a scene, chunked, without gradients.

    Args:
        config: of the network.
        views, height, width: of the scene; pixels of the network's input.
        dtype: of the aggregator's products: float32, or what autocast runs in.
        heads: those that were built; None takes `config.heads`.
        query_points: how many points are tracked.
        device: chunks are larger on a GPU.
        stored: of the aggregator's matrices; None takes `dtype`, as `from_pretrained(dtype=…)` stores them.
            torch.int8: as a file of `convert` has them, those of the heads, too.

    Raises:
        ValueError: no views, or a size that is not a multiple of the patch.
    """
    if views < 1 or height % config.patch_size or width % config.patch_size or not height * width:
        raise ValueError(
            f"{views} views of {width}×{height} pixels: give at least one view, and sides that are multiples "
            f"of the patch size {config.patch_size}."
        )
    config = config.with_(heads=config.heads if heads is None else tuple(heads))
    stored = stored or dtype
    weights = _weights(config, stored)
    stages = _stages(config, height, width, dtype, stored, query_points, torch.device(device).type)(views)
    return MemoryEstimate(weights, stages)


@cache
def _weights(config: ModelConfig, stored: torch.dtype) -> int:
    """Bytes of a network whose matrices are stored so."""
    return sum(value.nbytes for value in _meta_model(config, stored).state_dict().values())


def _meta_model(config: ModelConfig, stored: torch.dtype) -> VGGT:
    with torch.device("meta"), skip_init():
        model = VGGT(config)
        if stored == torch.int8:
            to_int8(model)
        else:
            cast_linear_weights(model, stored)
    return model


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


# --- do these photographs fit? ----------------------------------------------------------------------


def ran_out_of_memory(error: BaseException) -> bool:
    """Is this error an allocation that failed?"""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in COMPLAINTS)


def memory_advice(
    model, images, device: torch.device, dtype: torch.dtype, query_points: int, failed: bool = False
) -> str:
    """What `model` needs for images (S, 3, H, W), what is free and what would fit; "" where the scene fits.

    Weights count where they have yet to be brought to the device. The estimate takes seconds, so a generous
    bound stands in for it where that fits, unless the scene `failed` already.
    """
    views, _, height, width = images.shape
    weights = sum(x.nbytes for x in model.state_dict().values() if x.device.type != device.type)
    available = available_memory(device)
    bound = FIXED + PER_BYTE * images.nbytes + PER_SIGHTING * views * query_points
    if bound + weights <= available and not failed:
        return ""
    options = {"dtype": dtype, "query_points": query_points, "device": device}
    needed = weights + estimate_memory(model.config, views, height, width, **options).working
    if needed <= available and not failed:
        return ""
    most = views_that_fit(model.config, height, width, available - weights, **options)
    text = (
        f"{views} view{'s' * (views != 1)} of {width}×{height} pixels need about {gigabytes(needed)} of "
        f"memory beside what is loaded, and {gigabytes(available)} are free on {device}."
    )
    if most >= views:
        return f"{text} That should do, by estimate: something else must have taken it meanwhile."
    if most:
        return f"{text} {most} would fit: give fewer photographs, or a smaller size=."
    return f"{text} Not even one would fit: give a smaller size=, or close other programs."


# --- the fake run ---------------------------------------------------------------------------------


@cache
def _stages(config, height, width, dtype, stored, query_points, device: str):
    """A function from a number of views to the peak of each stage, in bytes."""
    model = fake_model(_one_of_each_kind(config), stored)

    @cache
    def run(views: int) -> dict[str, int]:
        return _run(model, views, height, width, dtype, query_points, device)

    tokens, pixels = chunk_sizes(device)[:2]
    per_view = 1 + config.num_registers + height * width // config.patch_size**2
    full = 1 + max(math.ceil(tokens / per_view), pixels // (height * width))  # views that fill every chunk

    def peaks(views: int) -> dict[str, int]:
        if views <= full:
            return run(views)
        one, two = run(full), run(2 * full)
        return {name: one[name] + (two[name] - one[name]) * (views - full) // full for name in one}

    return peaks


def _one_of_each_kind(config: ModelConfig) -> ModelConfig:
    """As few blocks and rounds as show every kind of tensor: as many pairs of blocks as the heads read."""
    kept = sorted({*config.dense_layers, config.depth - 1})
    dense_layers = tuple(kept.index(layer) for layer in config.dense_layers)
    single = ("vit_depth", "camera_depth", "camera_iterations", "track_depth", "track_iterations")
    changes = dict.fromkeys(single, 1) | {"depth": len(kept), "dense_layers": dense_layers}
    return config.with_(**changes, register_attention=())


def fake_model(config: ModelConfig, stored: torch.dtype = torch.float32) -> VGGT:
    """A network whose parameters are fake: shapes and types, no memory. Use it inside its `fake_mode`."""
    model = _meta_model(config, stored)
    model.fake_mode = FakeTensorMode()
    with model.fake_mode:
        for module in model.modules():
            for name, weight in module._parameters.items():
                if weight is not None:
                    module._parameters[name] = nn.Parameter(torch.empty(weight.shape, dtype=weight.dtype))
            for name, weight in module._buffers.items():
                module._buffers[name] = torch.empty(weight.shape, dtype=weight.dtype)
        model.aggregator.register_constants()
    return model.eval()


def _run(model: VGGT, views, height, width, dtype, query_points, device) -> dict[str, int]:
    parts = {
        "the ViT": model.aggregator.patch_embed,
        "attention across views": model.aggregator.frame_blocks[0],
        "the camera head": model.camera_head,
        "the depth head": model.depth_head,
        "the point head": model.point_head,
        "the tracker": model.track_head,
    }
    rounds = model.aggregator.matrix_dtype == torch.float32 != dtype  # autocast rounds as it goes
    with model.fake_mode, _Peaks([*model.parameters(), *model.buffers()]) as memory:
        hooks = [
            part.register_forward_pre_hook(lambda *_, name=name: memory.stage(name))
            for name, part in parts.items()
            if part is not None
        ]
        images = torch.empty(1, views, 3, height, width)
        points = torch.empty(1, query_points, 2) if query_points and model.track_head else None
        with chunked(model, device), torch.autocast("cpu", dtype, enabled=rounds, cache_enabled=False):
            model.forward_unchecked(images, points)
        for hook in hooks:
            hook.remove()
    return {name: peak + LIBRARIES for name, peak in memory.stages.items()}


class _Peaks(LiveMemory):
    """Counts the work space of convolutions too: their weights are rearranged twice."""

    def work_space(self, operation, args) -> int:
        is_convolution = operation is torch.ops.aten.convolution.default
        return 2 * args[1].untyped_storage().nbytes() if is_convolution else 0
