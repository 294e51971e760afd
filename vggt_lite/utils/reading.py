"""The door for files that others wrote: within limits, typed, and every mistake named with its file."""

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

Schema = TypeVar("Schema")

MOST_BYTES = 1 << 29  # of a file, or of what it unpacks to
MOST_PACKED = 100  # how many times its size a file may unpack to; text of numbers shrinks to a tenth
MOST_LOOSE = 1 << 25  # bytes of a JSON file with NaN in it, which is read before its types are looked at


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Whatever goes wrong with a file inside the block is a ValueError that names it."""
    try:
        yield
    except FileNotFoundError as error:
        raise ValueError(f"{path} is missing: copy it, too.") from error
    except MemoryError as error:
        raise ValueError(f"{path} does not fit into memory: give a smaller one.") from error
    except Exception as error:  # a broken file can raise almost anything
        raise ValueError(f"{path} cannot be read as {kind} ({error}): write or copy it again.") from error


def check_file(path: Path) -> int:
    """The bytes of a file.

    Raises:
        ValueError: it is a folder, a pipe or a device, which may never end, or too large.
    """
    size = path.stat().st_size
    if not path.is_file():
        raise ValueError("it is a folder" if path.is_dir() else "it is a pipe or a device")
    if size > MOST_BYTES:
        raise ValueError(f"it has {size:,} bytes, of which at most {MOST_BYTES:,} are read")
    return size


def read_bytes(path: Path) -> bytes:
    """A file's content; one that ends in gz is unpacked.

    Raises:
        ValueError: it is no file, or too large.
    """
    size = check_file(path)
    if path.suffix not in (".gz", ".jgz"):
        return path.read_bytes()
    most = min(MOST_BYTES, MOST_PACKED * size)
    with gzip.open(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"its {size:,} bytes unpack to more than {most:,}")
    return content


def read_json(path: Path, schema: type[Schema]) -> Schema:
    """What a JSON file holds; one that ends in gz is unpacked first.

    Values are made as `schema` says, so what it does not ask for takes no memory.

    Raises:
        ValueError: naming the file and the field that is missing or has not the type `schema` says.
    """
    with reading(path, "JSON"):
        content = read_bytes(path)
        try:
            return msgspec.json.decode(content, type=schema)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            if len(content) > MOST_LOOSE:
                raise
        return msgspec.convert(json.loads(content), schema)  # others write NaN, or UTF-16


def read_text(path: Path) -> str:
    """A text file in UTF-8.

    Raises:
        ValueError: it is none, or too large.
    """
    with reading(path, "text"):
        return read_bytes(path).decode("utf-8")
