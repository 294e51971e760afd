"""A device as Apple's GPUs are: it has no float64, and does not mix its tensors with the CPU's.

    with refuses_float64() as device:
        model.to(device)

The numbers lie on the CPU; only what may be done with them is that device's. So lines that would fail there
for one of these reasons fail here, and what runs here has the CPU's results.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map_only

DEVICE = torch.device("mps", 0)
LONG = (torch.float64, torch.complex128)
aten = torch.ops.aten
MAY_MIX = (  # an index may lie on the CPU
    aten.copy_.default, aten._to_copy.default, aten.index.Tensor, aten.index_put.default,
    aten.index_put_.default, aten._index_put_impl_.default,
)  # fmt: skip


class OnDevice(Tensor):
    """A tensor that tells Python that it is on `DEVICE`, and holds its numbers on the CPU.

    torch's own code was compiled without that device; it is told that the tensor is on the CPU.
    """

    @staticmethod
    def __new__(cls, held: Tensor) -> "OnDevice":
        if held.dtype in LONG:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype: the MPS framework has no float64.")
        form = (held.shape, held.stride(), held.storage_offset())
        return Tensor._make_wrapper_subclass(cls, *form, dtype=held.dtype, device="cpu")

    def __init__(self, held: Tensor) -> None:
        self.held = held

    def __repr__(self, *, tensor_contents=None) -> str:
        return f"OnDevice({self.held!r})"

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func == Tensor.device.__get__:
            return DEVICE
        if func is Tensor.tolist:
            return args[0].held.tolist()
        with torch._C.DisableTorchFunctionSubclass():
            if func is Tensor.cpu:
                return aten._to_copy.default(args[0], device=torch.device("cpu"))
            if func is Tensor.new_tensor:
                return OnDevice(torch.tensor(*args[1:], **({"dtype": args[0].dtype} | kwargs)))
            if func is Tensor.to:
                return moved(*args, **kwargs)
            return func(*args, **kwargs)

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return computed(func, args, kwargs or {})


def place(x: Tensor) -> torch.device:
    return DEVICE if isinstance(x, OnDevice) else torch.device("cpu")


def moved(x: Tensor, *args, **kwargs) -> Tensor:
    """`x.to(…)`, where x or what it is told to be like is on the device."""
    if args and isinstance(args[0], Tensor):
        device, dtype = place(args[0]), args[0].dtype
    else:
        device, dtype, *_ = torch._C._nn._parse_to(*args, **kwargs)
    device = place(x) if device is None else device
    if device.type == place(x).type and dtype in (None, x.dtype):
        return x
    return aten._to_copy.default(x, dtype=dtype or x.dtype, device=device)


def computed(func, args: tuple, kwargs: dict):
    """A call, computed on the CPU; its results are on the device if it says so, or if its tensors are."""
    tensors = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, Tensor)]
    here = [x for x in tensors if isinstance(x, OnDevice)]
    if here and func not in MAY_MIX and any(x.ndim and not isinstance(x, OnDevice) for x in tensors):
        raise RuntimeError(f"Expected all tensors to be on the same device: {func} mixes cpu and mps.")
    target = kwargs.get("device")
    if target is not None and func is not aten._to_copy.default and torch._C._current_graph_task_id() >= 0:
        target = DEVICE  # in a backward pass torch's own code makes tensors where it believes to be
    inner = kwargs if target is None else kwargs | {"device": torch.device("cpu")}
    inner_args, inner = tree_map_only(OnDevice, lambda x: x.held, (args, inner))
    out = func(*inner_args, **inner)
    if not here if target is None else target.type != DEVICE.type:
        return out
    out = tree_map_only(Tensor, OnDevice, out)
    return return_and_correct_aliasing(func, args, kwargs, out) if here else out


class Made(TorchDispatchMode):
    """Tensors that are made on the device, or brought to it."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return computed(func, args, kwargs or {})


class Called(TorchFunctionMode):
    """Puts numbers of Python or NumPy on the device. In inference mode it works without gradients instead: a
    tensor of a class of ours has no such mode."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if torch.is_inference_mode_enabled():
            with torch.inference_mode(False), torch.no_grad():
                return self.__torch_function__(func, types, args, kwargs)
        kwargs = kwargs or {}
        device = kwargs.get("device")
        if func in (torch.tensor, torch.as_tensor) and device and torch.device(device).type == DEVICE.type:
            return func(*args, **(kwargs | {"device": "cpu"})).to(DEVICE)
        return func(*args, **kwargs)


@contextmanager
def refuses_float64() -> Iterator[torch.device]:
    """Inside, the device that it gives is such a one."""
    before = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(True)  # parameters become tensors of another class
    memory = {"recommended_max_memory": lambda: 2**34, "current_allocated_memory": lambda: 0}
    try:
        with Made(), Called(), patch.multiple(torch.mps, **memory):
            yield DEVICE
    finally:
        torch.__future__.set_swap_module_params_on_conversion(before)
