"""Files and folders that are written whole or not at all."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Write to the yielded temporary path; it takes its final name only if the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(folder: str | Path, kind: str, overwrite: bool = False) -> Iterator[Path]:
    """Fill the yielded temporary folder; it takes its final name only if the block succeeds.

    Args:
        folder: final name. An empty folder of that name is taken over.
        kind: what `format` in scene.json must say for an existing folder to be replaced, so that
            `overwrite=True` can never delete a folder this package did not write.
        overwrite: replace an earlier result.

    Raises:
        FileExistsError: something else is there, or an earlier result and overwrite is False.
    """
    folder = Path(folder).expanduser()
    check_target(folder, kind, overwrite)
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = {"prefix": f".{folder.name}.", "suffix": ".tmp", "dir": folder.parent}
    with tempfile.TemporaryDirectory(**beside, ignore_cleanup_errors=True) as holder:
        new, old = Path(holder, "new"), Path(holder, "old")
        new.mkdir()
        yield new
        if folder.exists():
            folder.rename(old)
        try:
            new.rename(folder)
        except OSError:  # leave the folder as it was
            if old.exists():
                old.rename(folder)
            raise


def folder_kind(folder: Path) -> str | None:
    """The `format` that scene.json in this folder states; None without one."""
    try:
        return json.loads((folder / "scene.json").read_text(encoding="utf-8")).get("format")
    except (OSError, ValueError, AttributeError):
        return None


def file_sha256(path: Path | str) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def check_target(folder: Path, kind: str, overwrite: bool) -> None:
    """Raise what `atomic_folder` would raise, before the work begins."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not folder.is_dir():
        raise FileExistsError(f"{folder} is a file: choose another folder name.")
    if folder_kind(folder) != kind:
        raise FileExistsError(f"{folder} holds other files: choose a new or empty folder.")
    if not overwrite:
        raise FileExistsError(f"{folder} holds an earlier result: pass overwrite=True (--overwrite).")
