"""`vggt-lite check-data`: what is wrong with scenes, and how to mend it."""

import argparse

from vggt_lite.cli.options import FORMATS


def add_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("folder", metavar="FOLDER", help=f"a scene folder, a folder of scenes, or {FORMATS}")
    sub.add_argument("--out", metavar="PAGE", help="also draw the scenes, as a page such as check.html")


def run(args: argparse.Namespace) -> int:
    """Exit code 1 if anything is wrong; what could not be told is no fault."""
    from vggt_lite.data.readers import find_scenes
    from vggt_lite.data.scene_check import RawScene, examine
    from vggt_lite.viz.check_page import MOST_SCENES, Checked, check_name, write_check_page

    found, kept = find_scenes(args.folder), []
    if args.out:
        check_name(args.out)
    problems, notes, measured, said = [], [], [], f"{len(found)} scene{'s' * (len(found) != 1)}"
    for folder in found:
        raw = RawScene.of(folder)
        said = raw.text if len(found) == 1 else said
        result = examine(raw)
        problems, notes = problems + result.problems, notes + [f"note: {note}" for note in result.notes]
        where = f"{folder.name}: " if len(found) > 1 else ""
        measured += [f"note: {where}{text}" for text in result.measured]
        if args.out and (result.problems or len(kept) < MOST_SCENES):  # maps of all would not fit into memory
            kept.append(Checked(folder, raw, result))
            kept = sorted(kept, key=lambda one: not one.result.problems)[:MOST_SCENES]
    nothing = f"nothing wrong with {said}" + (", as far as it could be told:" if notes else ".")
    print("\n".join((problems or [nothing]) + notes + measured))
    if args.out:
        print(f"written: {write_check_page(args.out, kept, len(found))} (open it in a browser)")
    return int(bool(problems))
