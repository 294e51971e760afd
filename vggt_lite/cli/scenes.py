"""`vggt-lite scenes`: generated scenes as one picture, as scene folders, or as data for training."""

import argparse

from vggt_lite.cli.options import FOLDER, PIXELS, SCENES, SEED, output, whole


def add_options(sub: argparse.ArgumentParser) -> None:
    add = sub.add_argument
    add("what", choices=("sheet", "folders", "ahead"),
        help="sheet: one picture of all scenes; folders: a scene folder each; ahead: shards for "
        "training")  # fmt: skip
    add("--out", required=True, metavar="PATH", help="a .png (sheet) or a folder")
    add("--seed", type=SEED, default=0, help="of the first scene; default: 0")
    add("--count", type=SCENES, default=4, metavar="N", help="number of scenes; default: 4")
    add("--views", type=whole(1, 16), default=4, metavar="S", help="of a scene; default: 4")
    add("--size", type=PIXELS, default=64, metavar="PIXELS", help="of a view's sides; default: 64")
    add("--varied", action="store_true",
        help="TINY's kind of scene, not NANO's: more lenses, paths and shapes; moving objects "
        "in sheets only")  # fmt: skip


def run(args: argparse.Namespace) -> None:
    from vggt_lite.config import VARIED_SCENES, SceneConfig
    from vggt_lite.data.scene_io import KIND, write_scene
    from vggt_lite.synthetic import generate_scenes
    from vggt_lite.synthetic.prerender import render_ahead
    from vggt_lite.utils.files import folder_target
    from vggt_lite.viz.contact_sheet import write_sheet

    out = (output(".png") if args.what == "sheet" else FOLDER)(args.out)
    config = VARIED_SCENES if args.varied else SceneConfig()
    if args.what != "sheet":  # training makes the tracks of stored scenes from depth, as if nothing moved
        config = config.with_(moving_objects=0)
    if args.what == "ahead":
        render_ahead(out, config, args.count, args.views, args.size, args.seed)
    elif args.what == "sheet":
        batch = generate_scenes(args.seed, args.count, args.views, args.size, args.size, config=config)
        write_sheet(batch, out, first_seed=args.seed)
    else:
        folders = {seed: out / f"scene_{seed:07d}" for seed in range(args.seed, args.seed + args.count)}
        for folder in folders.values():  # all of them before the first is written
            if folder.exists():
                folder_target(folder, KIND)
        for seed, folder in folders.items():
            batch = generate_scenes(seed, 1, args.views, args.size, args.size, num_tracks=64, config=config)
            source = f"vggt_lite.synthetic.generate_scenes(seed={seed}, …)"
            write_scene(folder, batch, units="metres", source=source, license="CC0-1.0")
    print(f"written: {out}")
