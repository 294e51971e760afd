"""What a learner's function returned, as text that another process can read without running anything."""

import dataclasses
from collections.abc import Mapping
from numbers import Number

import torch
from torch import Tensor

from vggt_lite.course.checks.check import Failed
from vggt_lite.course.checks.compare import described

MOST_NUMBERS = 1_000_000  # of one tensor
DTYPES = {
    str(kind): kind
    for kind in (
        torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64,
        torch.float16, torch.bfloat16, torch.float32, torch.float64,
    )
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Other:
    """Stands for a value that no right answer holds."""

    text: str


def encoded(value):
    """A result as lists, dictionaries, numbers and text: what `json.dumps` takes."""
    if isinstance(value, Failed):
        return {"failed": [value.kind, value.text]}
    if isinstance(value, Tensor):
        return encoded_tensor(value.detach().cpu())
    if value is None or isinstance(value, bool | int | float | str):
        return {"plain": value}
    if isinstance(value, complex):
        return encoded(torch.tensor(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {"parts": {str(key): encoded(part) for key, part in value.items()}}
    if isinstance(value, list | tuple):
        return {"list" if isinstance(value, list) else "tuple": [encoded(part) for part in value]}
    if isinstance(value, Number):  # of NumPy
        return {"plain": value.item()} if hasattr(value, "item") else {"other": described(value)}
    return {"other": described(value)}


def encoded_tensor(value: Tensor):
    if value.numel() > MOST_NUMBERS:
        return {"other": f"a tensor of {value.numel():,} numbers"}
    complex_numbers = value.is_complex()
    flat = torch.view_as_real(value.resolve_conj()) if complex_numbers else value
    return {
        "tensor": flat.flatten().tolist(),
        "shape": list(flat.shape),
        "dtype": str(flat.dtype),
        "complex": complex_numbers,
    }


def decoded(data):
    """The value again. Anything that `encoded` does not write becomes an `Other`."""
    try:
        return read(data)
    except Exception as error:  # written by a learner's process: it may hold anything
        return Other(f"a result that cannot be read ({type(error).__name__})")


def read(data):
    kind = next(iter(data))
    if kind == "tensor":
        value = torch.tensor(data["tensor"], dtype=DTYPES[data["dtype"]]).reshape(data["shape"])
        return torch.view_as_complex(value) if data["complex"] else value
    if kind == "failed":
        name, text = data["failed"]
        return Failed(str(name), str(text)[:1000])
    if kind == "parts":
        return {name: read(part) for name, part in data["parts"].items()}
    if kind in ("list", "tuple"):
        return (list if kind == "list" else tuple)(read(part) for part in data[kind])
    return data["plain"] if kind == "plain" else Other(str(data["other"])[:200])
