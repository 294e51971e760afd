"""`vggt-lite scenes`, `import` and `check-data`: their options, and what they do."""

import argparse
from pathlib import Path


def scenes_options(sub: argparse.ArgumentParser) -> None:
    """What `vggt-lite scenes` takes."""
    sub.add_argument("what", choices=("sheet", "folders", "ahead"))
    sub.add_argument("--out", required=True, metavar="PATH", help="a .png (sheet) or a folder")
    sub.add_argument("--seed", type=int, default=0, help="of the first scene")
    sub.add_argument("--count", type=int, default=4, metavar="N", help="number of scenes")
    sub.add_argument("--views", type=int, default=4, metavar="S")
    sub.add_argument("--size", type=int, default=64, metavar="PIXELS")
    sub.add_argument(
        "--varied",
        action="store_true",
        help="TINY's domain, not NANO's: all lenses, paths and shapes; only a sheet shows what flies past",
    )


def import_options(sub: argparse.ArgumentParser) -> None:
    """What `vggt-lite import` takes."""
    sub.add_argument("source", metavar="SOURCE", help="the folder of one scene, or a transforms.json")
    sub.add_argument("--out", required=True, metavar="FOLDER", help="folder for the scene")
    sub.add_argument("--size", type=pixels, metavar="HxW", help="224, or 168x224; default: as they are")
    sub.add_argument("--views", type=which, metavar="N", help="so many, evenly spaced, or FIRST:END[:STEP]")
    sub.add_argument("--overwrite", action="store_true", help="replace an earlier scene in FOLDER")


def check_data_options(sub: argparse.ArgumentParser, formats: str) -> None:
    """What `vggt-lite check-data` takes; `formats` names those of other programs."""
    sub.add_argument("folder", metavar="FOLDER", help=f"a scene folder, a folder of scenes, or {formats}")
    sub.add_argument("--out", metavar="PAGE", help="also draw the scenes, as a page such as check.html")


def run_scenes(args) -> None:
    """`vggt-lite scenes`."""
    from vggt_lite.config import VARIED_SCENES, SceneConfig
    from vggt_lite.data import write_scene
    from vggt_lite.synthetic import generate_scenes
    from vggt_lite.synthetic.prerender import render_ahead
    from vggt_lite.viz.contact_sheet import write_sheet

    config = VARIED_SCENES if args.varied else SceneConfig()
    if args.what != "sheet":  # training makes the tracks of stored scenes from depth, as if nothing moved
        config = config.with_(moving_objects=0)
    if args.what == "ahead":
        render_ahead(args.out, config, args.count, args.views, args.size, args.seed)
    elif args.what == "sheet":
        batch = generate_scenes(args.seed, args.count, args.views, args.size, args.size, config=config)
        write_sheet(batch, args.out, first_seed=args.seed)
    else:
        for seed in range(args.seed, args.seed + args.count):
            batch = generate_scenes(seed, 1, args.views, args.size, args.size, num_tracks=64, config=config)
            source = f"vggt_lite.scenes.generate_scenes(seed={seed}, …)"
            folder = Path(args.out) / f"scene_{seed:07d}"
            write_scene(folder, batch, units="metres", source=source, license="CC0-1.0")
    print(f"written: {args.out}")


def run_import(args) -> None:
    """`vggt-lite import`."""
    from vggt_lite.data.readers import import_scene

    out = import_scene(args.source, args.out, args.size, args.views, args.overwrite)
    print(f"written: {out} (vggt-lite check-data {out} looks at it closely)")


def pixels(text: str) -> int | tuple[int, int]:
    """224 → 224, 168x224 → (168, 224): a square's side, or height and width."""
    sides = [int(side) for side in text.lower().split("x")]
    if len(sides) > 2 or min(sides) < 1:
        raise ValueError(text)
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])


def which(text: str) -> int | slice:
    """8 → 8, 0:40:5 → slice(0, 40, 5)."""
    parts = [int(part) if part else None for part in text.split(":")]
    return parts[0] if len(parts) == 1 else slice(*parts)


def run_check_data(args) -> int:
    """`vggt-lite check-data`: exit code 1 if anything is wrong; what could not be told is no fault."""
    from vggt_lite.data.readers import MAX_CHECKED, find_scenes, is_known, open_scene, readings_of_views
    from vggt_lite.data.scene_check import Readings, examine
    from vggt_lite.viz.check_page import MOST_SCENES, Checked, check_name, write_check_page

    found, kept = find_scenes(args.folder), []
    if args.out:
        check_name(args.out)
    problems, notes, said = [], [], f"{len(found)} scene{'s' * (len(found) != 1)}"
    for folder in found:
        if is_known(folder):
            views = open_scene(folder)
            readings = readings_of_views(views)
            looked = f"; looked at {MAX_CHECKED} of them" if len(views) > MAX_CHECKED else ""
            said = f"{views}{looked}" if len(found) == 1 else said
        else:
            readings = Readings.of_folder(folder)
        wrong, untold = examine(readings)
        problems, notes = problems + wrong, notes + [f"note: {note}" for note in untold]
        if args.out and (wrong or len(kept) < MOST_SCENES):  # maps of all would not fit into memory
            kept.append(Checked(folder, readings, wrong, untold))
            kept = sorted(kept, key=lambda one: not one.problems)[:MOST_SCENES]
    nothing = f"nothing wrong with {said}" + (", as far as it could be told:" if notes else ".")
    print("\n".join((problems or [nothing]) + notes))
    if args.out:
        print(f"written: {write_check_page(args.out, kept, len(found))} (open it in a browser)")
    return int(bool(problems))
