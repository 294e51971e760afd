"""bfloat16 for all products but those inside the attention."""

from typing import Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode


class Float32Attention(TorchFunctionMode):
    """Within it, attention computes in float32, also under autocast.

    On a CPU the fused kernel's backward pass is slower in bfloat16 than in float32, up to five times
    (`benchmarks/training.py`), and what autocast gains in the other products would be lost.
    """

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if func is not F.scaled_dot_product_attention:
            return func(*args, **kwargs)
        q, k, v, *rest = args  # (B, n, L, d), (B, n, M, d), (B, n, M, d)
        with torch.autocast(q.device.type, enabled=False):
            return func(q.float(), k.float(), v.float(), *rest, **kwargs)
