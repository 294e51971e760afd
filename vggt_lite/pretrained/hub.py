"""Fetch weights from the Hugging Face hub once; from then on they are found without a network.

The hub's own client asks, and finds files in its own cache (`~/.cache/huggingface/hub` unless HF_HOME
says otherwise). Only the bytes are brought here: the client (2.4) begins a broken download of 5 GB anew.

A class shares one copy: VGGT_LITE_WEIGHTS_DIR names a folder that holds OWNER/NAME/model.safetensors. It is
looked at first, and never written to.
"""

import os
import re
import shutil
from pathlib import Path

import huggingface_hub as client
from filelock import FileLock
from huggingface_hub import constants, errors

from vggt_lite.pretrained.releases import SITE, release_of
from vggt_lite.utils.files import file_sha256, write_text
from vggt_lite.utils.runtime import progress

SHARED = "VGGT_LITE_WEIGHTS_DIR"
COMMIT = "[0-9a-f]{40}"
REVISION = r"(?!.*\.\.)[\w.+-][\w./+-]*"  # becomes a path in the cache
SHA256 = "[0-9a-f]{64}"  # the hub's ETag of a weight file
announced: set[str] = set()  # repositories whose licence this process has printed


def fetch(repository: str, revision: str | None = None, cache: str | Path | None = None) -> Path:
    """The weight file of a hub repository: shared, from the cache if it is the current one, or downloaded.

    A download that broke off goes on where it stopped. Without a network the cached file is used. The
    licence is printed once per process. Access to gated repositories comes from HF_TOKEN or
    `hf auth login`.

    Args:
        repository: "owner/name", such as "facebook/VGGT-1B".
        revision: A branch, a tag, or a whole commit (which, once cached, needs no network); "main" if None.
            With one, the shared folder is not looked at: its files bear no revision.
        cache: Folder of the cache; the hub's default if None.

    Raises:
        ConnectionError: the hub cannot be reached or broke off, and nothing is in the cache.
        PermissionError: gated, and no token of an account that was granted access.
        FileNotFoundError: no such repository or revision, or no weight file in it or in the shared folder.
        OSError: not enough space; says how much is needed and how much is free.
        ValueError: what arrived is not what the hub announced; it has been deleted.
    """
    if not re.fullmatch(REVISION, revision or "main"):
        raise FileNotFoundError(f"revision={revision!r} names no branch, tag or commit; None is the newest.")
    try:
        pinned = re.fullmatch(COMMIT, revision or "") and find_cached(repository, revision, cache)
        path = pinned or (None if revision else find_shared(repository, required=True))
        path = path or _current_file(repository, revision, cache)
    except errors.HFValidationError as error:
        raise _explained(error, repository, "") from error
    if repository not in announced:
        announced.add(repository)
        print(f"{repository}: licence {release_of(repository).licence}. {SITE}/{repository}", flush=True)
    return path


def find_cached(repository: str, revision: str | None = None, cache: str | Path | None = None) -> Path | None:
    """The weight file of a repository if it is shared or cached, else None; never asks the network."""
    if revision is None and (shared := find_shared(repository)):
        return shared
    for name in release_of(repository).files:
        found = client.try_to_load_from_cache(repository, name, cache_dir=cache, revision=revision)
        if isinstance(found, str):
            return Path(found)
    return None


def find_shared(repository: str, required: bool = False) -> Path | None:
    """The weight file of a repository in the folder that VGGT_LITE_WEIGHTS_DIR names; None without one.

    Raises:
        FileNotFoundError: `required`, the variable is set, and the folder lacks the file.
    """
    if not (root := os.environ.get(SHARED)):
        return None
    folder, names = Path(root).expanduser() / repository, release_of(repository).files
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    if required and found is None:
        raise FileNotFoundError(
            f"{SHARED}={root} holds no weights of {repository}: copy {' or '.join(names)} into {folder}, "
            f"or unset {SHARED} to take them from the hub."
        )
    return found


def discard_if_damaged(path: Path) -> bool:
    """Delete a cached file whose bytes are not (or cannot be shown to be) those the hub sent.

    Cached files bear their hash as a name. Returns False, and deletes nothing, if it is intact or shared.
    """
    if (root := os.environ.get(SHARED)) and path.is_relative_to(Path(root).expanduser()):
        return False
    blob = path.resolve()
    if blob.is_file() and file_sha256(blob) == blob.name:
        return False
    path.unlink()
    blob.unlink(missing_ok=True)
    return True


def _current_file(repository: str, revision: str | None, cache: str | Path | None) -> Path:
    """Ask the hub which file the revision has, and bring it into the cache."""
    for name in release_of(repository).files:
        url = client.hf_hub_url(repository, name, revision=revision)
        try:
            remote = client.get_hf_file_metadata(url)
            # Hash and commit become names in the cache: no hub may lead out of it.
            named = re.fullmatch(SHA256, remote.etag or "") and re.fullmatch(COMMIT, remote.commit_hash or "")
            if not named or (remote.size or 0) <= 0:
                raise ConnectionError("the answer lacks hash, commit or size: a login page or foreign hub?")
        except errors.RevisionNotFoundError as error:
            raise FileNotFoundError(
                f"{repository} has no revision {revision!r}: give a branch, tag or commit of "
                f"{SITE}/{repository}/commits/main, or None for the newest."
            ) from error
        except errors.EntryNotFoundError:
            continue
        except Exception as error:  # the client's network errors change class from version to version
            if cached := find_cached(repository, revision, cache):
                return cached
            raise _explained(error, repository, "the hub cannot be reached") from error
        return _into_cache(repository, name, revision, cache, remote)
    raise FileNotFoundError(f"{repository} holds none of {release_of(repository).files}.")


def _into_cache(repository: str, name: str, revision: str | None, cache, remote) -> Path:
    """Lay the file into the cache under its hash, and link name and revision to it, as the client does.

    (The client would ask once more, and believe another answer.)
    """
    folder = Path(cache or constants.HF_HUB_CACHE).expanduser() / f"models--{repository.replace('/', '--')}"
    blob, path = folder / "blobs" / remote.etag, folder / "snapshots" / remote.commit_hash / name
    if not path.exists():
        url = client.hf_hub_url(repository, name, revision=remote.commit_hash)
        _download(url, blob, remote.size, repository)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # a link that leads nowhere
        try:
            path.symlink_to(os.path.relpath(blob, path.parent))
        except OSError:  # a system without links
            os.replace(blob, path)
    if revision != remote.commit_hash:
        write_text(folder / "refs" / (revision or "main"), remote.commit_hash)
    return path


def _download(url: str, blob: Path, size: int, repository: str) -> None:
    """Bring `size` bytes to `blob`, beginning where an earlier call left off; all of them or no blob."""
    part = blob.with_name(f".{blob.name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(blob.parent.parent / "download.lock"):
        if blob.exists():  # another process was faster
            return
        have, before, failure = part.stat().st_size if part.exists() else 0, -1, None
        if (free := shutil.disk_usage(part.parent).free) < size - have:
            raise OSError(
                f"no space for the weights: {_gb(size - have)} are needed, {_gb(free)} are free in "
                f"{part.parent}. Make room, or name a folder on another disk: cache=… (or HF_HOME)."
            )
        part.touch()
        while before < have < size:  # as long as every try brings some bytes
            try:
                _append(url, part, have, size, repository)
            except OSError:  # the disk is full, for example: the message says so
                part.unlink()
                raise
            except Exception as error:
                failure = error
            before, have = have, part.stat().st_size
        if failure and have < size:
            kept = f"the download broke off; {_gb(have)} of {_gb(size)} are kept"
            raise _explained(failure, repository, kept) from failure
        if file_sha256(part) != blob.name:
            part.unlink()
            raise ValueError(f"The download of {repository} was damaged. It has been deleted; try again.")
        os.replace(part, blob)


def _append(url: str, part: Path, have: int, size: int, repository: str) -> None:
    """Ask for the bytes that `part` lacks, and write what arrives."""
    headers = client.utils.build_hf_headers() | {"Range": f"bytes={have}-", "Accept-Encoding": "identity"}
    options = {"headers": headers, "timeout": 30, "follow_redirects": True}
    with client.get_session().stream("GET", url, **options) as answer:
        answer.raise_for_status()
        have = have if answer.status_code == 206 else 0  # 200: the whole file, from its beginning
        with (
            part.open("ab" if have else "wb") as file,
            progress(desc=repository, total=size, initial=have, unit="B", unit_scale=True) as bar,
        ):
            for block in answer.iter_bytes():
                file.write(block)
                bar.update(len(block))
                if file.tell() > size:  # more than announced: not what was asked for
                    break


def _explained(error: Exception, repository: str, what: str) -> OSError:
    """An error of the hub's client as one of Python's own, in words that say what to do."""
    if isinstance(error, errors.GatedRepoError):
        has_token = client.get_token()
        how = "the account of your access token has no access yet" if has_token else "then set HF_TOKEN"
        return PermissionError(f"{repository} is gated: accept its licence at {SITE}/{repository}; {how}.")
    if isinstance(error, (errors.RepositoryNotFoundError, errors.HFValidationError)):
        return FileNotFoundError(
            f"there is no file or folder {repository!r} here, and the hub has no repository of that name "
            "(or it is private: set HF_TOKEN). Check the spelling."
        )
    if isinstance(error, errors.HfHubHTTPError) and error.response.status_code in (401, 403):
        return PermissionError(f"the hub refused the access token for {repository}: renew or unset HF_TOKEN.")
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return ConnectionError(
        f"{repository} is not in the cache, and {what} ({reason}). Try again with a network: a broken "
        "download goes on where it stopped. Or pass the path of a downloaded file."
    )


def _gb(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e7 else f"{size:,} bytes"
