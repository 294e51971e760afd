"""Reads the one kind of pickle that TAP-Vid is published as: dictionaries of arrays. Nothing is unpickled.

A pickle is a program for a small stack machine, and a full interpreter lets it call functions. This one
knows the opcodes that spell dictionaries, tuples, numbers, texts and NumPy arrays, and calls nothing: of an
array it notes type, shape and where in the file its bytes are. They are read when they are wanted.

Source: pickletools of the standard library, which documents every opcode.
"""

import math
import pickletools
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np

from vggt_lite.utils.reading import Schema, reading

MOST_OPCODES = 100_000  # TAP-Vid-DAVIS needs about 3,000
LONGEST_TEXT = 200  # bytes
NEEDED = "only what pickle.dump(…, protocol=4) writes for arrays is read"
LARGEST = 1 << 30  # bytes of an array; 104 frames of 1080 × 1920 are 0.65 · 10⁹
TYPES = ("u1", "b1", "f4", "f8")  # uint8, bool, float32, float64
KNOWN = set(
    "PROTO FRAME STOP MARK NONE NEWTRUE NEWFALSE EMPTY_DICT SETITEM SETITEMS EMPTY_TUPLE TUPLE1 TUPLE2 "
    "TUPLE3 TUPLE BININT BININT1 BININT2 BINUNICODE SHORT_BINUNICODE BINBYTES SHORT_BINBYTES BINBYTES8 "
    "MEMOIZE BINPUT LONG_BINPUT BINGET LONG_BINGET GLOBAL STACK_GLOBAL REDUCE BUILD".split()
)
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
SIDES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}  # how long these tuples are
LENGTHS = {  # how many bytes say how long an argument is
    pickletools.TAKEN_FROM_ARGUMENT1: 1, pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}  # fmt: skip
NDARRAY, DTYPE, RECONSTRUCT = object(), object(), object()  # stand for what a file may name
NAMES = {
    ("numpy", "ndarray"): NDARRAY, ("numpy", "dtype"): DTYPE,
    ("numpy.core.multiarray", "_reconstruct"): RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): RECONSTRUCT,
}  # fmt: skip


@dataclass(frozen=True)
class Stretch:
    """Bytes that are still in the file."""

    start: int
    length: int


class StoredArray:
    """An array that is still in its file. (No dataclass: msgspec would take a dictionary for one.)"""

    def __init__(self) -> None:
        self.dtype: np.dtype | None = None
        self.shape: tuple[int, ...] = ()
        self.order = "C"
        self.start = 0  # of its bytes in the file

    def read(self, file: Path) -> np.ndarray:
        """The array.

        Raises:
            ValueError: the file became shorter, or there is not enough memory.
        """
        with reading(file, f"an array of shape {self.shape}"):
            raw = np.dtype("u1") if self.dtype == bool else self.dtype  # of a bool only 0 and 1 are defined
            values = np.fromfile(file, raw, math.prod(self.shape), offset=self.start)
            return values.reshape(self.shape, order=self.order).astype(self.dtype, copy=False)


def read_arrays(file: Path, schema: type[Schema]) -> Schema:
    """What a pickle of arrays holds: `StoredArray`s in dictionaries, still unread.

    Raises:
        ValueError: naming the file, and what is broken, missing, or neither array nor dictionary.
    """
    with reading(file, "a pickle of arrays"):
        if file.exists() and not file.is_file():
            raise ValueError("it is no file")
        with file.open("rb") as stream:
            return msgspec.convert(_run(stream, file.stat().st_size), schema)


def _run(stream: BinaryIO, size: int) -> object:
    """What the opcodes of a stream of `size` bytes leave on the stack."""
    stack, marks, memo = [], [], {}
    for _ in range(MOST_OPCODES):
        name, argument = _next(stream, size)
        match name:
            case "PROTO" | "FRAME":
                pass
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                stack.append(CONSTANTS[name])
            case "EMPTY_DICT":
                stack.append({})
            case "MARK":
                marks.append(len(stack))
            case "EMPTY_TUPLE" | "TUPLE1" | "TUPLE2" | "TUPLE3" | "TUPLE":
                start = marks.pop() if name == "TUPLE" else len(stack) - SIDES[name]
                stack[start:] = [tuple(stack[start:])]
            case "SETITEM" | "SETITEMS":
                start = len(stack) - 2 if name == "SETITEM" else marks.pop()
                _fill(stack[start - 1], stack[start:])
                del stack[start:]
            case "MEMOIZE" | "BINPUT" | "LONG_BINPUT":
                memo[len(memo) if name == "MEMOIZE" else argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "GLOBAL":
                stack.append(_named(*argument))
            case "STACK_GLOBAL":
                stack.append(_named(stack.pop(-2), stack.pop()))
            case "REDUCE":
                stack.append(_made(stack.pop(-2), stack.pop()))
            case "BUILD":
                _build(stack[-2], stack.pop())
            case "STOP":
                return stack.pop()
            case _:  # numbers, texts, bytes
                stack.append(argument)
    raise ValueError(f"it has more than {MOST_OPCODES:,} opcodes")


def _next(stream: BinaryIO, size: int) -> tuple[str, object]:
    """Name and argument of the next opcode. Bytes are skipped: a `Stretch` stands for them."""
    opcode = pickletools.code2op.get(stream.read(1).decode("latin-1"))
    if opcode is None:
        raise ValueError("it ends early, or is no pickle")
    if opcode.name not in KNOWN:
        raise ValueError(f"its opcode is {opcode.name}; {NEEDED}")
    if opcode.name == "GLOBAL":
        return opcode.name, [stream.readline(LONGEST_TEXT).decode().strip() for _ in range(2)]
    length = opcode.arg.n if opcode.arg else 0
    if length in LENGTHS:
        length = int.from_bytes(stream.read(LENGTHS[length]), "little")
    if stream.tell() + length > size:
        raise ValueError("it ends early")
    if "BYTES" in opcode.name:
        place = Stretch(stream.tell(), length)
        stream.seek(length, 1)
        return opcode.name, place
    if length > LONGEST_TEXT:
        raise ValueError(f"a text in it has {length:,} bytes")
    argument = stream.read(length)
    if "UNICODE" in opcode.name:
        return opcode.name, argument.decode()
    return opcode.name, int.from_bytes(argument, "little", signed=opcode.name == "BININT")


def _fill(mapping: object, content: list) -> None:
    """Add keys and values, which take turns. Keys are texts: to compare deep tuples may take forever."""
    if not isinstance(mapping, dict):
        raise ValueError("it fills something other than a dictionary")
    for key, value in zip(content[::2], content[1::2], strict=True):
        if not isinstance(key, str):
            raise ValueError("a key is no text")
        if key in mapping:
            raise ValueError(f"{key!r} is there twice")
        mapping[key] = value


def _named(module: object, name: object) -> object:
    if not (isinstance(module, str) and isinstance(name, str)):
        raise ValueError("a function's name is no text")
    if (module, name) not in NAMES:
        raise ValueError(f"it asks for {module}.{name}; {NEEDED}")
    return NAMES[module, name]


def _made(function: object, arguments: object) -> object:
    """What a file calls a function for: an array whose content is to follow, or one of `TYPES`."""
    match arguments:
        case (kind, (0,), Stretch()) if function is RECONSTRUCT and kind is NDARRAY:
            return StoredArray()
        case (str(code), False, True) if function is DTYPE and code in TYPES:
            return np.dtype(f"<{code}")
    raise ValueError("it makes something other than an array of uint8, bool, float32 or float64")


def _build(target: object, state: object) -> None:
    """Give an array its content. A type is complete: its state may only say that bytes are in order."""
    match target, state:
        case np.dtype(), (3, "|" | "<", None, None, None, -1, -1, 0):
            pass
        case StoredArray(), (1, tuple(shape), np.dtype() as dtype, bool(fortran), Stretch(start, length)):
            if len(shape) > 4 or not all(type(side) is int and side >= 0 for side in shape):
                raise ValueError("an array has a shape other than up to four whole numbers")
            if math.prod(shape) * dtype.itemsize != length or length > LARGEST:
                raise ValueError(f"an array {dtype} {shape} has {length:,} bytes (at most {LARGEST:,})")
            target.dtype, target.shape = dtype, shape
            target.order, target.start = "F" if fortran else "C", start
        case _:
            raise ValueError("an array or its type has a state that TAP-Vid's never have")
