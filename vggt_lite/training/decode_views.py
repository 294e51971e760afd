"""Train the dense heads on some views of each scene.

Depth and points of a view are decoded from its own tokens, so a step may leave views out: the maps of the
others stay what they are. Cameras, matches and tracks are still learned from all views.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import nn

from vggt_lite.model import DenseHead


@contextmanager
def decode_views(model: nn.Module, views: Sequence[int] | None) -> Iterator[None]:
    """Within it, a model's dense heads decode only these views of each scene; None: all of them.

    Their outputs are (B, len(views), …), in the order of `views`.
    """

    def keep(head: DenseHead, args: tuple) -> tuple:
        layers, grid = args
        return [x[:, views] for x in layers], grid  # each (B, S, P, 2C) → (B, len(views), P, 2C)

    heads = [] if views is None else [m for m in model.children() if isinstance(m, DenseHead)]
    handles = [head.register_forward_pre_hook(keep) for head in heads]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
