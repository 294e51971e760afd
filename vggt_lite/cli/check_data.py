"""`vggt-lite check-data`: what is wrong with scenes, and how to mend it."""

import argparse

from vggt_lite.cli.options import FORMATS, PAGE


def add_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("folder", metavar="FOLDER", help=f"a scene folder, a folder of scenes, or {FORMATS}")
    sub.add_argument("--out", type=PAGE, metavar="PAGE", help="also draw the scenes, such as check.html")


def run(args: argparse.Namespace) -> int:
    """Exit code 1 if anything is wrong; what could not be told is no fault."""
    from vggt_lite.data.readers import find_scenes
    from vggt_lite.data.scene_check import RawScene, examine
    from vggt_lite.utils.files import kept
    from vggt_lite.viz.check_page import MOST_SCENES, Checked, write_check_page

    found, drawn = find_scenes(args.folder), []
    problems, notes, measured, said = [], [], [], f"{len(found)} scene{'s' * (len(found) != 1)}"
    for folder in found:
        raw = RawScene.of(folder)
        said = raw.text if len(found) == 1 else said
        result = examine(raw)
        problems, notes = problems + result.problems, notes + [f"note: {note}" for note in result.notes]
        where = f"{folder.name}: " if len(found) > 1 else ""
        measured += [f"note: {where}{text}" for text in result.measured]
        if args.out and (result.problems or len(drawn) < MOST_SCENES):  # maps of all would not fit
            drawn.append(Checked(folder, raw, result))
            drawn = sorted(drawn, key=lambda one: not one.result.problems)[:MOST_SCENES]
    nothing = f"nothing wrong with {said}" + (", as far as it could be told:" if notes else ".")
    try:
        if args.out:
            kept(lambda page: write_check_page(page, drawn, len(found)), args.out)
    finally:
        print("\n".join((problems or [nothing]) + notes + measured))
    if args.out:
        print(f"written: {args.out} (open it in a browser)")
    return int(bool(problems))
