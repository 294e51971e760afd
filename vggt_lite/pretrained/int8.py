"""Matrices of eight-bit integers: a quarter of the memory, and nearly the same numbers.

A row of a matrix is stored as integers from −127 to 127 and one float, its scale (symmetric, a scale per
output channel). A product makes the matrix of its layer anew and forgets it: only one matrix at a time is
there in float32, or in bfloat16 where products are to be so. The weights alone are rounded; products are what
they were. Convolutions of dense heads are treated alike, stored as bfloat16.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vggt_lite.model.dense_head import DPTDecoder

INT8 = "int8"
SMALL = 10_000  # numbers; a smaller matrix stays as it is: there is nothing to gain


class Int8Linear(nn.Module):
    """A `nn.Linear` whose matrix is stored as integers. It can compute, and cannot be trained.

    Attributes:
        weight: (out, in) int8. scale: (out,) float32. bias: (out,), or None.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach()
        if weight.is_meta:  # a place to load into; computing there would import torch's compiler
            integers, scale = torch.empty_like(weight, dtype=torch.int8), weight.new_empty(len(weight))
        else:
            scale = scales(weight)
            integers = rounded(weight, scale)
        self.register_buffer("weight", integers)
        self.register_buffer("scale", scale)
        self.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:
        device, scale = x.device.type, self.scale
        if torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device) == torch.bfloat16:
            scale = scale.bfloat16()  # at once what autocast would make of the float32 matrix
        return F.linear(x, self.weight * scale[:, None], self.bias)

    def extra_repr(self) -> str:
        rows, columns = self.weight.shape
        return f"in_features={columns}, out_features={rows}, matrix stored as int8"


class StoredConv2d(nn.Conv2d):
    """A convolution whose weight is bfloat16 in memory, and float32 while it computes."""

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.weight.to(x.dtype), self.bias)


class StoredConvTranspose2d(nn.ConvTranspose2d):
    """The same of a transposed convolution without padding."""

    def forward(self, x: Tensor) -> Tensor:
        return F.conv_transpose2d(x, self.weight.to(x.dtype), self.bias, self.stride)


STORED = {nn.Conv2d: StoredConv2d, nn.ConvTranspose2d: StoredConvTranspose2d}


def scales(weight: Tensor) -> Tensor:
    """(out, in) → (out,): a step of each row's integers, 1/127 of its largest number; 1 of a row of zeros.

    A step is a number that bfloat16 has: then an integer times it is rounded only once in bfloat16.
    """
    largest = weight.float().abs().amax(1)
    return torch.where(largest > 0, largest / 127, 1.0).bfloat16().float()


def rounded(weight: Tensor, scale: Tensor) -> Tensor:
    """(out, in) → the same in int8, in steps of `scale` (out,)."""
    return (weight.float() / scale[:, None]).round_().to(torch.int8)


@torch.no_grad()
def to_int8(model: nn.Module) -> nn.Module:
    """Put an `Int8Linear` in the place of every large `nn.Linear` of a model; returns the model.

    Large convolutions of dense heads (`DPTDecoder`) get bfloat16 weights. A layer of another class, such as
    an adapter, is left alone. Works on the meta device, too.
    """
    for decoder in [module for module in model.modules() if isinstance(module, DPTDecoder)]:
        for layer in decoder.modules():
            if type(layer) in STORED and layer.weight.numel() >= SMALL:
                layer.__class__ = STORED[type(layer)]  # the same attributes, another `forward`
                layer.weight = nn.Parameter(layer.weight.to(torch.bfloat16))
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.Linear and child.weight.numel() >= SMALL:
                setattr(module, name, Int8Linear(child))
    return model


def is_int8(model: nn.Module) -> bool:
    """Whether a model holds matrices of integers."""
    return any(isinstance(module, Int8Linear) for module in model.modules())
