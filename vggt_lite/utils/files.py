"""Where files and folders may be written, and writing them whole or not at all."""

import ctypes
import hashlib
import os
import platform
import re
import shutil
import stat
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from vggt_lite.utils.reading import read_json, read_text

SUMS = "SHA256SUMS"  # what a folder holds as it was written; `sha256sum -c` reads it
ROOM = 1 << 20  # bytes that must be free where something is to be written
LONGEST = 255  # bytes of one name: the limit of most file systems
DAY = 86400  # seconds after which a temporary file is nobody's
HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:6]
TEMPORARY = re.compile(r"\..*\.([0-9a-f]{6})-(\d{1,9})-[0-9a-f]{8}\.tmp", re.DOTALL)


def file_target(path: str | Path, suffix: str = "") -> Path:
    """The path, `~` expanded, of a file that can be written now; a file that is there will be replaced.

    Args:
        path: As the user gave it.
        suffix: How its name must end, such as ".html".

    Raises:
        ValueError: no such file can be named. OSError: nothing can be written there.
    """
    path = _file(path)
    if suffix and path.suffix.lower() != suffix:
        raise ValueError(f"{path} does not end in {suffix}: give a name that does.")
    _probe(path)
    return path


def folder_target(folder: str | Path, kind: str, overwrite: bool = False) -> Path:
    """The path, `~` expanded, of a folder that `atomic_folder`, of the same arguments, can write now."""
    folder = _named(folder)
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file: choose another folder name.")
    if not folder.exists() or _is_empty(folder):
        _probe(folder / SUMS if _stays(folder) else folder)
        return folder
    if folder_kind(folder) != kind:
        raise FileExistsError(f"{folder} holds other files: choose a new or empty folder.")
    if not overwrite:
        raise FileExistsError(f"{folder} holds an earlier result: pass overwrite=True (--overwrite).")
    if _stays(folder):
        raise FileExistsError(f"{folder} cannot be replaced where it is: choose a folder inside it.")
    if foreign := foreign_file(folder):
        raise FileExistsError(
            f"{folder / foreign} was put there or changed since the result was written, and overwriting "
            "would delete it: move it away, or choose another folder."
        )
    _probe(folder.resolve())
    return folder


class Kind(msgspec.Struct):
    """What scene.json must state."""

    format: str


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Write to the yielded temporary path; it takes its final name only if the block succeeds.

    `~` is expanded. What a link leads to is replaced, not the link, and permissions stay. Temporary files of
    processes that were killed are removed.

    Raises:
        ValueError, OSError: nothing can be written there.
    """
    path = _file(path).resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path.parent)
    temporary = _beside(path)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())  # on the disk before the name leads to it: power may fail
        if _file(path).exists():
            shutil.copymode(path, temporary)
        os.replace(temporary, path)
    except OSError as error:
        if error.errno is None or error.filename:
            raise
        raise OSError(f"{path} could not be written ({error}): make room, then try again.") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file whole or not at all: UTF-8, lines end as they do in the text. See `atomic_write`."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def atomic_folder(folder: str | Path, kind: str, overwrite: bool = False) -> Iterator[Path]:
    """Fill the yielded temporary folder; it takes its final name only if the block succeeds.

    Killed at any point, it leaves the old folder or the new one (where the system cannot swap two folders at
    once: or the old one as NAME.earlier-…).

    Args:
        folder: Final name. An empty folder of that name is taken over.
        kind: What `format` in scene.json says.
        overwrite: Replace an earlier result of that kind, if each of its files is as it was written.

    Raises:
        FileExistsError: something else is there, or an earlier result and overwrite is False.
        ValueError, OSError: nothing can be written there.
    """
    folder = folder_target(folder, kind, overwrite).resolve()
    inside = _stays(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(folder if inside else folder.parent)
    holder = _beside(folder / "result" if inside else folder)
    new = holder / "new"
    new.mkdir(parents=True)
    try:
        yield new
        sums = {_name(path, new): file_sha256(path) for path in sorted(new.rglob("*")) if path.is_file()}
        text = "".join(f"{digest}  {name}\n" for name, digest in sums.items())
        (new / SUMS).write_text(text, encoding="utf-8")
        if inside:
            if not _is_empty(folder):
                raise FileExistsError(f"{folder} is no longer empty: choose another folder.")
            for path in sorted(new.iterdir(), key=lambda path: path.name == "scene.json"):
                path.rename(folder / path.name)  # what says that the folder is complete comes last
        else:
            _place(new, folder, kind, overwrite)
    finally:
        shutil.rmtree(holder, ignore_errors=True)


def kept(save: Callable[[Path], object], path: Path) -> None:
    """Call `save(path)`; if that is not possible, save elsewhere, so that what took long to make is not lost.

    Raises:
        OSError: saying where it is now.
    """
    try:
        save(path)
    except OSError as error:
        other = Path(tempfile.mkdtemp(prefix="vggt_lite_")) / f"result{path.suffix}"
        save(other)
        raise OSError(f"{path} could not be written ({error}): the result is in {other}.") from error


def folder_kind(folder: Path) -> str | None:
    """The `format` that scene.json in this folder states; None without one."""
    try:
        return read_json(folder / "scene.json", Kind).format
    except ValueError:
        return None


def foreign_file(folder: Path) -> str | None:
    """A file in a folder of `atomic_folder` that it did not write, or that was changed since; None: none."""
    before = _identity(folder)
    try:
        lines = read_text(folder / SUMS).splitlines()
    except ValueError:
        lines = []
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    try:
        paths = sorted(folder.rglob("*"))
    except FileNotFoundError:  # replaced while it was looked at
        return foreign_file(folder)
    for path in paths:
        name, linked = _name(path, folder), path.is_symlink()
        if name == SUMS or (path.is_dir() and not linked):
            continue
        try:
            ours = path.is_file() and not linked and sums.get(name) == file_sha256(path)
        except FileNotFoundError:
            ours = False
        if not ours:
            return name if _identity(folder) == before else foreign_file(folder)
    return None


def file_sha256(path: Path | str) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def _identity(folder: Path) -> tuple[int, int]:
    """Another one for a folder that took this one's place, even if it took its number, too."""
    status = folder.stat()
    return status.st_ino, status.st_ctime_ns


def _named(path: str | Path) -> Path:
    """The path, `~` expanded, if a file or folder can have that name."""
    text = os.fspath(path)
    if not text or "\0" in text:
        raise ValueError(f"{text!r} is no name of a file or folder: give one.")
    if any(len(os.fsencode(part)) > LONGEST for part in Path(text).parts):
        raise ValueError(f"{text[:100]!r} … has a part of more than {LONGEST} bytes: give a shorter name.")
    try:
        path = Path(text).expanduser()
        os.lstat(path.resolve())
    except FileNotFoundError:
        pass
    except (OSError, RuntimeError) as error:  # below a file, too long, links in a circle, nobody's ~name
        why = getattr(error, "strerror", None) or error
        raise ValueError(f"{text[:100]!r} can be no file or folder ({why}): give another name.") from error
    return path


def _file(path: str | Path) -> Path:
    """The path, `~` expanded, if a file can have that name and one that is there may be replaced."""
    path = _named(path)
    if path.exists():
        if not path.is_file():
            raise FileExistsError(
                f"{path} is {'a folder' if path.is_dir() else 'no file'}: give a file's name."
            )
        if not path.stat().st_mode & 0o222:
            raise PermissionError(f"{path} is write-protected: choose another name.")
    return path


def _probe(path: Path) -> None:
    """Raise an OSError that says why nothing can be written to `path`; leaves nothing behind."""
    path = path.resolve()
    near = next(folder for folder in path.parents if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=near) as file:
            file.write(bytes(ROOM))
    except OSError as error:
        why = error.strerror or error
        raise type(error)(
            f"{path} cannot be written ({why}): choose another folder, or make room."
        ) from error


def _is_empty(folder: Path) -> bool:
    return all(TEMPORARY.fullmatch(path.name) for path in folder.iterdir())


def _stays(folder: Path) -> bool:
    """Whether a folder that is there cannot be renamed, or should not, so that it is filled from within."""
    if not folder.exists():
        return False
    here = folder.samefile(os.curdir) or os.path.ismount(folder)
    return here or not os.access(folder.resolve().parent, os.W_OK)


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _beside(path: Path) -> Path:
    """A name for what will become `path`: no other call's, and short enough."""
    return path.with_name(f".{path.name[:40]}.{HOST}-{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")


def _remove_leftovers(folder: Path) -> None:
    """Remove temporary files and folders of processes that are gone."""
    for path in folder.iterdir():
        if found := TEMPORARY.fullmatch(path.name):
            try:
                gone = time.time() - path.stat().st_mtime > DAY or _is_gone(*found.groups())
                if gone and path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                elif gone:
                    path.unlink()
            except OSError:  # another process was quicker, or it is another user's
                pass


def _is_gone(host: str, process: str) -> bool:
    if host != HOST or os.name != "posix":  # nobody here knows
        return False
    try:
        os.kill(int(process), 0)  # only asks
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        pass
    return False


def _place(new: Path, folder: Path, kind: str, overwrite: bool) -> None:
    """Give a filled folder its final name, though others may do the same at this moment."""
    while True:
        if folder.exists():
            new.chmod(stat.S_IMODE(folder.stat().st_mode))
        try:
            if os.name == "nt" and folder.exists():
                folder.rmdir()  # which an empty folder allows
            return new.rename(folder)
        except OSError:
            if not folder.exists() or _is_empty(folder):
                raise
        folder_target(folder, kind, overwrite)
        if _swap(new, folder):
            if not foreign_file(new):
                return None
            _swap(new, folder)  # somebody put a file there meanwhile: the next round says so
        else:
            earlier = folder.with_name(f"{folder.name[:40]}.earlier-{uuid.uuid4().hex[:8]}")
            folder.rename(earlier)
            try:
                new.rename(folder)
            except OSError:  # leave the folder as it was
                earlier.rename(folder)
                raise
            shutil.rmtree(earlier, ignore_errors=True)
            return None


def _swap(one: Path, other: Path) -> bool:
    """Exchange two paths in one step; False where the system cannot."""
    paths = os.fsencode(one), os.fsencode(other)
    try:
        library = ctypes.CDLL(None)
        if sys.platform == "darwin":
            return library.renamex_np(*paths, 2) == 0  # RENAME_SWAP
        return library.renameat2(-100, paths[0], -100, paths[1], 2) == 0  # AT_FDCWD, RENAME_EXCHANGE
    except (OSError, TypeError, AttributeError):
        return False
