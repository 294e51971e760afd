"""`vggt-lite import`: a scene of another program, written as a scene folder."""

import argparse

from vggt_lite.cli.options import FORMATS, whole

SIDE, COUNT = whole(1, 20_000), whole(1, 1_000_000)  # pixels; views


def add_options(sub: argparse.ArgumentParser) -> None:
    add = sub.add_argument
    add("source", metavar="SOURCE", help=f"the folder of one scene of {FORMATS}, or a transforms.json")
    add("--out", required=True, metavar="FOLDER", help="folder for the scene")
    add("--overwrite", action="store_true", help="replace an earlier scene in FOLDER")
    add("--size", type=pixels, metavar="HxW", help="224, or 168x224; default: as they are")
    add("--views", type=which, metavar="N", help="how many, evenly spaced, or FIRST:END[:STEP]; default: all")


def run(args: argparse.Namespace) -> None:
    from vggt_lite.data.readers import import_scene

    out = import_scene(args.source, args.out, args.size, args.views, args.overwrite)
    print(f"written: {out} (vggt-lite check-data {out} looks at it closely)")


def pixels(text: str) -> int | tuple[int, int]:
    """224 → 224, 168x224 → (168, 224): a square's side, or height and width."""
    sides = [SIDE(side) for side in text.lower().split("x")]
    if len(sides) > 2:
        raise ValueError(text)
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])


def which(text: str) -> int | slice:
    """8 → 8, 0:40:5 → slice(0, 40, 5)."""
    if ":" not in text:
        return COUNT(text)
    parts = [int(part) if part else None for part in text.split(":")]
    if len(parts) > 3 or 0 in parts[2:]:
        raise ValueError(text)
    return parts[0] if len(parts) == 1 else slice(*parts)
