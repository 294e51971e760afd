"""Contexts in which a step of training costs less."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


def draw_views(images: Tensor, count: int) -> Tensor | None:
    """Some views of each scene, (B, count); None if there are no more than `count`, or it is 0."""
    num_scenes, num_views = images.shape[:2]
    if not 0 < count < num_views:
        return None
    return torch.rand(num_scenes, num_views).argsort(1)[:, :count].to(images.device)


@contextmanager
def decode_views(model: nn.Module, views: Tensor | None) -> Iterator[None]:
    """Within it, a model's depth and point heads decode only these views, (B, k), of each scene; None: all.

    A view's maps are decoded from its own tokens alone, so they stay what they are. Cameras, matches and
    tracks are still learned from all views.
    """

    def keep(head: nn.Module, args: tuple) -> tuple:
        layers, grid = args  # four of (B, S, P, 2C)
        scenes = torch.arange(len(views), device=views.device)[:, None]
        return [x[scenes, views] for x in layers], grid  # four of (B, k, P, 2C)

    heads = [] if views is None else [model.depth_head, model.point_head]
    handles = [head.register_forward_pre_hook(keep) for head in heads if head is not None]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class Float32Attention(TorchFunctionMode):
    """Within it, attention computes in float32, also under autocast.

    On a CPU the fused kernel's backward pass takes longer in bfloat16 than in float32, and what autocast
    gains in the other products would be lost.
    """

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if func is not F.scaled_dot_product_attention:
            return func(*args, **kwargs)
        q, k, v, *rest = args  # (B, n, L, d), (B, n, M, d), (B, n, M, d)
        with torch.autocast(q.device.type, enabled=False):
            return func(q.float(), k.float(), v.float(), *rest, **kwargs)
