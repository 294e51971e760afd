"""A run cut into small files, for machines that are only lent: carry the pieces away, and go on elsewhere.

A run folder holds checkpoints of some hundred megabytes, more than some places take in one file. `pack` cuts
what is needed to go on into pieces of at most 16 MB beside an index with checksums; `unpack` puts it back.
"""

import hashlib
import json
from pathlib import Path

from vggt_lite.training.checkpoint import list_checkpoints
from vggt_lite.utils.files import atomic_write

MOST_BYTES = 16 * 10**6  # of a piece
INDEX = "pieces.json"


def pack(run: Path | str, out: Path | str, most_bytes: int = MOST_BYTES) -> list[Path]:
    """Write the newest checkpoint and the log of every stage of a run as pieces.

    Args:
        run: Folder of a preset's run: a folder for each stage.
        out: Gets `pieces.json` and the pieces; those of an earlier call are replaced once the new ones are
            complete.

    Returns:
        The pieces' paths, in order.

    Raises:
        FileNotFoundError: `run` holds no checkpoint.
    """
    run, out = Path(run), Path(out)
    files = []
    for stage in sorted(p for p in run.iterdir() if p.is_dir()) if run.is_dir() else []:
        files += list_checkpoints(stage)[-1:] + sorted(stage.glob("log.jsonl"))
    if not any(path.suffix == ".pt" for path in files):
        raise FileNotFoundError(f"{run} holds no checkpoint of any stage: there is nothing to pack.")
    contents = [path.read_bytes() for path in files]
    stream = b"".join(contents)
    cut = [stream[i : i + most_bytes] for i in range(0, len(stream), most_bytes)]
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / f"piece_{digest(data)[:12]}.bin" for data in cut]
    for path, data in zip(paths, cut, strict=True):
        with atomic_write(path) as temporary:
            temporary.write_bytes(data)
    index = {
        "files": [
            {"path": path.relative_to(run).as_posix(), "bytes": len(data), "sha256": digest(data)}
            for path, data in zip(files, contents, strict=True)
        ],
        "pieces": [path.name for path in paths],
    }
    with atomic_write(out / INDEX) as temporary:
        temporary.write_text(json.dumps(index, indent=1), encoding="utf-8")
    for old in set(out.glob("piece_*.bin")) - set(paths):
        old.unlink()
    return paths


def unpack(pieces: Path | str, run: Path | str) -> None:
    """Put a packed run back together in the folder `run`, unless it is there already.

    Raises:
        FileNotFoundError: a piece, or the index, is missing.
        ValueError: a piece was damaged on its way. Nothing is written then.
    """
    pieces, run = Path(pieces), Path(run)
    if not (pieces / INDEX).exists():
        raise FileNotFoundError(f"{pieces} has no {INDEX}: not a folder of pieces that `pack` wrote.")
    index = json.loads((pieces / INDEX).read_text(encoding="utf-8"))
    if missing := [name for name in index["pieces"] if not (pieces / name).exists()]:
        raise FileNotFoundError(f"{pieces} lacks {len(missing)} pieces ({missing[0]} …): copy them again.")
    stream, at, contents = b"".join((pieces / name).read_bytes() for name in index["pieces"]), 0, {}
    for file in index["files"]:
        contents[file["path"]] = stream[at : at + file["bytes"]]
        at += file["bytes"]
        if digest(contents[file["path"]]) != file["sha256"]:
            raise ValueError(f"{file['path']} in {pieces} is damaged: copy the pieces again.")
    for path, data in contents.items():
        with atomic_write(run / path) as temporary:
            temporary.write_bytes(data)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
