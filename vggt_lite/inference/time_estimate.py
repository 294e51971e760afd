"""How long will it take? Told before the work, and shown while it goes on.

Operations are counted from the sizes of the network and of the scene. How many of them a second are done here
is measured first, on few tokens: in one frame block of the model itself, in attention, and in one of its
dense heads. Not counted: reading the weights from the disk, where they have not been used before.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import nn

from vggt_lite.inference.chunked import chunked
from vggt_lite.model import VGGT
from vggt_lite.model.layers import rotary_tables
from vggt_lite.utils.runtime import progress

LONG = 10.0  # seconds; a shorter run passes without a word
FEW = 2e10  # operations in matrices that take no machine so long: nothing is measured for them
TOKENS, READ, PATCHES = (
    512,
    1024,
    8,
)  # most of a measurement: in a block, in attention, along a dense head's side
ENOUGH = 0.3  # seconds for which a measurement is repeated
measured: WeakKeyDictionary[nn.Module, dict] = WeakKeyDictionary()  # speeds that were measured before


@dataclass(frozen=True)
class TimeEstimate:
    """Seconds of one forward pass.

    Attributes:
        parts: of each block and head, by its name in the model.
    """

    parts: dict[str, float]

    @property
    def seconds(self) -> float:
        return sum(self.parts.values())

    def __str__(self) -> str:
        return duration(self.seconds)


def duration(seconds: float) -> str:
    """ "40 seconds", "3 minutes", "2.5 hours"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} second{'s' * (round(seconds) > 1)}"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


@torch.no_grad()
def estimate_time(model: VGGT, views: int, height: int, width: int, query_points: int = 0) -> TimeEstimate:
    """Seconds of one forward pass over a scene, chunked, on the device where the model is.

    Under autocast it is the time under autocast. It takes about a second for VGGT-1B on a CPU.

    Args:
        views, height, width: of the scene; pixels of the network's input, multiples of the patch.
        query_points: how many points are tracked.
    """
    config, patch = model.config, model.config.patch_size
    grid = (height // patch, width // patch)
    patches = grid[0] * grid[1]
    tokens = 1 + config.num_registers + patches
    device = next(model.parameters()).device
    autocast = torch.is_autocast_enabled(device.type) and torch.get_autocast_dtype(device.type)
    speeds, case = measured.setdefault(model, {}), (device, autocast, views, grid)
    if case not in speeds:
        with chunked(model):
            speeds[case] = _speeds(model, tokens, views, grid)
    matrix, attention, map_ = speeds[case]
    parts = {}
    for name, module in _blocks(model):
        length = views * tokens if "global" in name else tokens  # of a sequence
        operations = 4 * views * tokens * length * config.dim  # of attention: two products
        parts[name] = matrix * 2 * views * tokens * matrices(module) + attention * operations
    if model.camera_head is not None:  # a product with few tokens takes as long as one with 16
        count = 2 * max(views, 16) * config.camera_iterations * matrices(model.camera_head)
        parts["camera_head"] = matrix * count
    for name in ("depth_head", "point_head"):
        if getattr(model, name) is not None:
            parts[name] = map_ * views * patches
    if query_points and model.track_head is not None:
        rounds = views * query_points * config.track_iterations
        parts["track_head"] = map_ * views * patches
        parts["track_head"] += matrix * 2 * rounds * matrices(model.track_head.tracker)
    return TimeEstimate(parts)


def long_run(model: nn.Module, images, query_points: int) -> TimeEstimate | None:
    """The estimate for images (S, 3, H, W) where it is long enough to be told; else None."""
    if not isinstance(model, VGGT):
        return None
    views, _, height, width = images.shape
    tokens = views * (height // model.config.patch_size) * (width // model.config.patch_size)
    if 2 * tokens * sum(matrices(block) for _, block in _blocks(model)) < FEW:
        return None
    estimate = estimate_time(model, views, height, width, query_points)
    return estimate if estimate.seconds > LONG else None


@contextmanager
def shown(model: nn.Module, estimate: TimeEstimate | None) -> Iterator[None]:
    """Inside, a forward pass moves a bar, by the estimated time of each block and head that is done."""
    if estimate is None:
        yield
        return
    layout = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
    hooks = []
    with progress(desc="network", total=estimate.seconds, bar_format=layout, leave=False) as bar:
        try:
            for name, seconds in estimate.parts.items():

                def advance(*_, seconds=seconds) -> None:  # what a hook returns would become the output
                    bar.update(seconds)

                hooks.append(model.get_submodule(name).register_forward_hook(advance))
            yield
        finally:
            for hook in hooks:
                hook.remove()


def matrices(module: nn.Module) -> int:
    """How many numbers the matrices of a module have, whatever they are stored as."""
    return sum(value.numel() for value in module.state_dict().values() if value.ndim == 2)


def _blocks(model: VGGT) -> list[tuple[str, nn.Module]]:
    lists = {
        "patch_embed.blocks": getattr(model.aggregator.patch_embed, "blocks", ()),
        "frame_blocks": model.aggregator.frame_blocks,
        "global_blocks": model.aggregator.global_blocks,
    }
    return [
        (f"aggregator.{name}.{i}", block) for name, found in lists.items() for i, block in enumerate(found)
    ]


def _speeds(model: VGGT, tokens: int, views: int, grid: tuple[int, int]) -> tuple[float, float, float]:
    """Seconds of an operation in a block's matrices, of one in attention, and of a patch in a dense head."""
    config = model.config
    device, stored = next(model.parameters()).device, model.aggregator.matrix_dtype
    new = {"device": device}
    length, head_dim = min(tokens, TOKENS), config.dim // config.num_heads
    together = min(views, max(1, TOKENS // tokens))  # sequences
    x = torch.randn(together, length, config.dim, **new)
    rotary = rotary_tables(torch.zeros(length, 2, **new), head_dim, config.rope_base)
    block = model.aggregator.frame_blocks[0]
    q = torch.randn(1, config.num_heads, min(views * tokens, READ), head_dim, **new)
    rounds = stored != torch.float32 or torch.is_autocast_enabled(device.type)
    with torch.autocast(device.type, stored if stored != torch.float32 else None, enabled=rounds):
        matrix = _timed(lambda: block(x, rotary), device) / (2 * together * length * matrices(block))
        attention = _timed(lambda: F.scaled_dot_product_attention(q, q, q), device)
        attention /= 4 * q.shape[2] ** 2 * config.dim
    head = next((head for head in (model.depth_head, model.point_head) if head is not None), None)
    head = head or (model.track_head and model.track_head.feature_maps)
    if head is None:
        return matrix, attention, 0.0
    few = (min(grid[0], PATCHES), min(grid[1], PATCHES))
    layers = [torch.randn(1, 1, few[0] * few[1], 2 * config.dim, **new)] * 4
    with torch.autocast(device.type, enabled=False):
        return matrix, attention, _timed(lambda: head(layers, few), device) / (few[0] * few[1])


def _timed(run: Callable[[], object], device: torch.device) -> float:
    """Seconds of a call, on average, after one that loads what is loaded only once."""
    run()
    start, calls = time.perf_counter(), 0
    while not calls or time.perf_counter() - start < ENOUGH:
        run()
        if device.type != "cpu":
            torch.accelerator.synchronize(device)
        calls += 1
    return (time.perf_counter() - start) / calls
