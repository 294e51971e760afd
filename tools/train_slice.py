"""Train for a few minutes on a machine that is only lent, and carry the state away in small files.

    python tools/train_slice.py tiny-gpu --state pieces --minutes 8

Call it again, on the same machine or with `pieces` copied to another, until it says "finished". Scenes are
generated on the device that trains. Killed at any moment, it loses the steps since the last checkpoint.
Checkpoints have some hundred megabytes, more than some places take in one file: so pieces of at most 16 MB.
"""

import argparse
import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path

from vggt_lite.data.parse import below
from vggt_lite.research.presets import PRESETS, held_out_scores, train_preset
from vggt_lite.training.checkpoint import list_checkpoints
from vggt_lite.utils.files import atomic_write, write_text
from vggt_lite.utils.reading import read_json, reading
from vggt_lite.utils.runtime import pick_device

MOST_BYTES = 16 * 10**6  # of a piece
INDEX = "pieces.json"


def pack(run: Path, out: Path, most_bytes: int = MOST_BYTES) -> list[Path]:
    """Write the newest checkpoint and the log of every stage of a run as pieces, in order.

    Args:
        run: Folder of a preset's run: a folder for each stage.
        out: Gets `pieces.json` and the pieces; those of an earlier call go once the new ones are complete.

    Raises:
        FileNotFoundError: `run` holds no checkpoint.
    """
    stages = sorted(path for path in run.glob("*") if path.is_dir())
    if not any(map(list_checkpoints, stages)):
        raise FileNotFoundError(f"{run} holds no checkpoint of any stage: there is nothing to pack.")
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for stage in stages:
            for path in (*list_checkpoints(stage)[-1:], *stage.glob("log.jsonl")):
                tar.add(path, path.relative_to(run).as_posix())
    data, paths = stream.getvalue(), []
    for start in range(0, len(data), most_bytes):
        piece = data[start : start + most_bytes]
        paths.append(out / f"piece_{digest(piece)}.bin")
        with atomic_write(paths[-1]) as temporary:
            temporary.write_bytes(piece)
    write_text(out / INDEX, json.dumps([path.name for path in paths]))
    for old in set(out.glob("piece_*.bin")) - set(paths):
        old.unlink()
    return paths


def unpack(pieces: Path, run: Path) -> None:
    """Put a packed run back together in the folder `run`.

    Raises:
        FileNotFoundError: a piece, or the index, is missing.
        ValueError: a piece was damaged on its way, or would be written elsewhere. Nothing is written then.
    """
    if not (pieces / INDEX).exists():
        raise FileNotFoundError(f"{pieces} has no {INDEX}: not a folder of pieces that `pack` wrote.")
    paths = [below(pieces, name, INDEX) for name in read_json(pieces / INDEX, list[str])]
    if missing := [path.name for path in paths if not path.exists()]:
        raise FileNotFoundError(f"{pieces} lacks {len(missing)} pieces ({missing[0]} …): copy them again.")
    data = [path.read_bytes() for path in paths]
    for path, piece in zip(paths, data, strict=True):
        if digest(piece) not in path.name:
            raise ValueError(f"{path} is damaged: copy the pieces again.")
    with reading(pieces, "pieces"), tarfile.open(fileobj=io.BytesIO(b"".join(data)), mode="r:") as tar:
        files = {below(run, member.name, INDEX): member for member in tar}
        if others := [member.name for member in files.values() if not member.isfile()]:
            raise ValueError(f"{others[0]} is no file")
        for path, member in files.items():
            with atomic_write(path) as temporary:
                temporary.write_bytes(tar.extractfile(member).read())


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]


def main(arguments: list[str] | None = None) -> int:
    """One slice; the exit code is 0 when the preset is finished and 3 when there is more to do."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("preset", choices=sorted(PRESETS))
    parser.add_argument("--state", type=Path, required=True, help="folder of pieces to go on from, if any")
    parser.add_argument("--out", type=Path, help="folder for the new pieces; default: --state")
    parser.add_argument("--work", type=Path, default=Path("runs/slices"), help="folder of the run itself")
    parser.add_argument("--minutes", type=float, default=8.0)
    args = parser.parse_args(arguments)
    run = args.work / args.preset
    if (args.state / INDEX).exists():
        unpack(args.state, run)
    result = train_preset(args.preset, run, max_seconds=60 * args.minutes, eval_fn=held_out_scores)
    pieces = pack(run, args.out or args.state)
    where = f"step {result.step} of {result.checkpoint.parent.name} on {pick_device()}"
    print(f"{'finished' if result.finished else 'to be continued'}: {where}; {len(pieces)} pieces")
    return 0 if result.finished else 3


if __name__ == "__main__":
    sys.exit(main())
