"""Fetch weights from the Hugging Face hub once: resumed, checked, and from then on found offline.

The cache is the hub's own (`~/.cache/huggingface/hub` unless HF_HOME says otherwise), shared with every
other program. Only the bytes are fetched here, into a `.part` beside them: the hub's client would begin a
broken download of 5 GB anew. A `.part` becomes part of the cache when its size and hash are those the hub
states; then the client links it in and finds it again without a network.
"""

import contextlib
import errno
import hashlib
import os
import re
import shutil
from pathlib import Path

from huggingface_hub import (
    constants,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import http_get, repo_folder_name
from huggingface_hub.utils import (
    WeakFileLock,
    are_progress_bars_disabled,
    build_hf_headers,
    disable_progress_bars,
    enable_progress_bars,
    get_token,
    validate_repo_id,
)

from vggt_lite.pretrained.releases import SITE, release_of

announced: set[str] = set()  # repositories whose licence this process has printed


def fetch(repository: str, revision: str | None = None, cache: str | Path | None = None) -> Path:
    """The weight file of a hub repository: from the cache if it is the current one, else downloaded.

    A download that broke off goes on where it stopped. Without a network the cached file is used. The
    licence is printed once per process. Access to gated repositories comes from HF_TOKEN or
    `hf auth login`.

    Args:
        repository: "owner/name", such as "facebook/VGGT-1B".
        revision: A branch, a tag, or a whole commit (which, once cached, needs no network); "main" if None.
        cache: Folder of the cache; the hub's default if None.

    Raises:
        ConnectionError: the hub cannot be reached or broke off, and nothing is in the cache.
        PermissionError: gated, and no token of an account that was granted access.
        FileNotFoundError: no such repository or revision, or no weight file in it.
        OSError: not enough space; says how much is needed and how much is free.
        ValueError: what arrived is not what the hub announced; it has been deleted.
    """
    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise _explained(error, repository, "") from error
    path = None
    if revision and re.fullmatch("[0-9a-f]{40}", revision):
        path = find_cached(repository, revision, cache)
    path = path or _current_file(repository, revision, cache)
    if repository not in announced:
        announced.add(repository)
        print(f"{repository}: licence {release_of(repository).licence}. {SITE}/{repository}", flush=True)
    return path


def find_cached(repository: str, revision: str | None = None, cache: str | Path | None = None) -> Path | None:
    """The weight file of a repository if the cache has it, else None; never asks the network."""
    for name in release_of(repository).files:
        found = try_to_load_from_cache(repository, name, cache_dir=cache, revision=revision)
        if isinstance(found, str):
            return Path(found)
    return None


def discard_if_damaged(path: Path) -> bool:
    """Delete a cached file whose bytes are not (or cannot be shown to be) those the hub sent.

    Cached files bear their hash as a name. Returns False, and deletes nothing, if it is intact.
    """
    blob = path.resolve()
    if _digest(blob, blob.name) == blob.name:
        return False
    path.unlink(missing_ok=True)
    blob.unlink(missing_ok=True)
    return True


def _current_file(repository: str, revision: str | None, cache: str | Path | None) -> Path:
    """Ask the hub which file the revision has, and bring it into the cache."""
    for name in release_of(repository).files:
        try:
            url = hf_hub_url(repository, name, revision=revision)
            remote = get_hf_file_metadata(url)
            if not remote.etag or not remote.size or not remote.commit_hash:
                raise ConnectionError("the answer lacks the file's hash or size: a proxy or a login page?")
        except RevisionNotFoundError as error:
            raise FileNotFoundError(
                f"{repository} has no revision {revision!r}: give a branch, tag or commit of "
                f"{SITE}/{repository}/commits/main, or None for the newest."
            ) from error
        except EntryNotFoundError:
            continue
        except Exception as error:  # the client's network errors change class from version to version
            if cached := find_cached(repository, revision, cache):
                return cached
            raise _explained(error, repository, "the hub cannot be reached") from error
        return _into_cache(repository, name, revision, cache, url, remote)
    raise FileNotFoundError(f"{repository} holds none of {release_of(repository).files}.")


def _into_cache(repository: str, name: str, revision: str | None, cache, url: str, remote) -> Path:
    """Lay the file into the cache as the hub's client would have done, and let it make the links."""
    cache = Path(cache or constants.HF_HUB_CACHE).expanduser()
    folder = repo_folder_name(repo_id=repository, repo_type="model")
    blob = cache / folder / "blobs" / remote.etag
    if blob.is_file() and blob.stat().st_size != remote.size:  # some other program was cut short
        blob.unlink()
    if not isinstance(try_to_load_from_cache(repository, name, cache, remote.commit_hash), str):
        _download(url, blob, remote.size, repository, lock=cache / ".locks" / folder / f"{blob.name}.lock")
    try:
        path = Path(hf_hub_download(repository, name, revision=revision, cache_dir=cache))
    except Exception as error:
        raise _explained(error, repository, "the hub cannot be reached") from error
    if not path.is_symlink():  # a system without links: the client has made a copy
        blob.unlink(missing_ok=True)
    return path


def _download(url: str, blob: Path, size: int, repository: str, lock: Path) -> None:
    """Bring `size` bytes to `blob`, beginning where an earlier call left off; all of them or no blob."""
    for folder in (blob.parent, lock.parent):
        folder.mkdir(parents=True, exist_ok=True)
    part = blob.with_name(f".{blob.name}.part")
    headers = build_hf_headers() | {"Accept-Encoding": "identity"}
    with WeakFileLock(lock):
        if blob.exists():  # another process was faster
            return
        have = part.stat().st_size if part.exists() else 0
        if have > size:
            part.unlink()
            have = 0
        _check_space(size - have, part.parent)
        try:
            if have < size:
                with part.open("ab") as file, _progress_bar():
                    http_get(url, file, resume_size=have, headers=headers, displayed_filename=repository)
        except Exception as error:
            if getattr(error, "errno", None) == errno.ENOSPC:
                part.unlink()  # do not leave a full disk behind
                _check_space(size, part.parent, full=True)
            if getattr(error, "errno", None):  # the file could not be written; the message names it
                raise
            kept = f"the download broke off; {_gb(part.stat().st_size)} of {_gb(size)} are kept"
            raise _explained(error, repository, kept) from error
        if problem := _fault(part, blob.name, size):
            part.unlink()
            raise ValueError(f"The download of {repository} {problem}. It has been deleted; try again.")
        os.replace(part, blob)


def _check_space(needed: int, folder: Path, full: bool = False) -> None:
    free = shutil.disk_usage(folder).free
    if full or free < needed:
        raise OSError(
            f"no space for the weights: {_gb(needed)} are needed, {_gb(free)} are free in {folder}. Make "
            "room, or name a folder on another disk: cache=… (or the environment variable HF_HOME)."
        )


def _fault(path: Path, etag: str, size: int) -> str:
    """What is wrong with a downloaded file; empty if nothing is."""
    if (have := path.stat().st_size) != size:
        return f"has {have} bytes, the hub announced {size}"
    return "" if _digest(path, etag) in ("", etag) else "is damaged: the hub announced another hash"


def _digest(path: Path, etag: str) -> str:
    """The file's hash, of the kind that this ETag is: SHA-256 of a large file, Git's SHA-1 of a small one.

    Empty if the ETag is no hash.
    """
    if not re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", etag) or not path.is_file():
        return ""
    digest = hashlib.sha256() if len(etag) == 64 else hashlib.sha1(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def _explained(error: Exception, repository: str, what: str) -> OSError:
    """An error of the hub's client as one of Python's own, in words that say what to do."""
    if isinstance(error, GatedRepoError):
        how = "the account of your access token has no access yet" if get_token() else "then set HF_TOKEN"
        return PermissionError(f"{repository} is gated: accept its licence at {SITE}/{repository}; {how}.")
    if isinstance(error, (RepositoryNotFoundError, HFValidationError)):
        return FileNotFoundError(
            f"there is no file or folder {repository!r} here, and the hub has no repository of that name "
            "(or it is private: set HF_TOKEN). Check the spelling."
        )
    if isinstance(error, HfHubHTTPError) and error.response.status_code in (401, 403):
        return PermissionError(f"the hub refused the access token for {repository}: renew or unset HF_TOKEN.")
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return ConnectionError(
        f"{repository} is not in the cache, and {what} ({reason}). Try again with a network: a broken "
        "download goes on where it stopped. Or pass the path of a downloaded file."
    )


@contextlib.contextmanager
def _progress_bar():
    """The client's bar, unless VGGT_LITE_QUIET is set."""
    silence = bool(os.environ.get("VGGT_LITE_QUIET")) and not are_progress_bars_disabled()
    if silence:
        disable_progress_bars()
    try:
        yield
    finally:
        if silence:
            enable_progress_bars()


def _gb(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e7 else f"{size:,} bytes"
