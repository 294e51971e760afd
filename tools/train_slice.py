"""Train for a few minutes on a machine that is only lent, and carry the state away in small files.

    python tools/train_slice.py tiny-gpu --state pieces --minutes 8

Call it again, on the same machine or with `pieces` copied to another, until it says "finished". Scenes are
generated on the device that trains. Killed at any moment, it loses the steps since the last checkpoint.
"""

import argparse
import sys
from pathlib import Path

from vggt_lite.research.presets import PRESETS, held_out_scores, train_preset
from vggt_lite.research.split_run import INDEX, pack, unpack
from vggt_lite.utils.runtime import pick_device


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
    result = train_preset(args.preset, run, max_seconds=60 * args.minutes, watch=held_out_scores)
    pieces = pack(run, args.out or args.state)
    where = f"step {result.step} of {result.checkpoint.parent.name} on {pick_device()}"
    print(f"{'finished' if result.finished else 'to be continued'}: {where}; {len(pieces)} pieces")
    return 0 if result.finished else 3


if __name__ == "__main__":
    sys.exit(main())
