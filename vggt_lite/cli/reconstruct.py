"""`vggt-lite reconstruct`: photographs in; cameras, depth, a point cloud and a web page out."""

import argparse

from vggt_lite.cli.options import (
    FOLDER,
    PIXELS,
    add_device,
    add_precision,
    add_weights,
    number,
    whole,
)
from vggt_lite.config import DEFAULT_MODE, FRAMES_PER_SECOND, LENSES, MODES

DTYPES = ("float32", "bfloat16", "float16")


def add_options(sub: argparse.ArgumentParser) -> None:
    add = sub.add_argument
    add("photographs", nargs="*", metavar="FOLDER", help="a folder, picture files in order, or a video")
    add("--list", metavar="FILE",
        help="many scenes instead: each line of FILE is a folder of photographs and gets a result folder "
        "below DIR; results that are there are skipped, torchrun shares the others among "
        "processes")  # fmt: skip
    add("--out", required=True, metavar="DIR", help="folder for the result")
    add("--overwrite", action="store_true", help="replace an earlier result in DIR")
    add_weights(sub)
    add("--mode", default=DEFAULT_MODE, choices=MODES,
        help="how photographs are fitted to the network's size: crop cuts what is taller than wide, pad and "
        f"square fill up to a square with white or black; default: {DEFAULT_MODE}")  # fmt: skip
    add("--size", type=PIXELS, metavar="PIXELS",
        help="width (crop) or longer side of the network's input; default: that "
        "of the weights")  # fmt: skip
    add("--query", type=point, nargs="+", metavar="X,Y", help="track these pixels of the first photograph")
    add("--points-from", choices=("depth", "point_map"),
        help="whose points points.ply holds and the page shows first; default: depth + cameras")  # fmt: skip
    add("--confidence", type=whole(0, 95), default=0, metavar="PERCENT",
        help="leave this share of the points out of points.ply and hide it in the page, the least trusted "
        "first: 0 to 95; default: 0")  # fmt: skip
    add("--refine", action="store_true",
        help="make the cameras precise with points of the photographs (needs pycolmap)")  # fmt: skip
    add("--lens", choices=LENSES,
        help="with --refine: which focal lengths are free; default: that of each view, but none with "
        "numbers for --intrinsics")  # fmt: skip
    add("--intrinsics", type=lens, metavar="FX,FY,CX,CY|exif",
        help="the lens of all photographs, in their own pixels; exif: the focal length each picture's file "
        "names")  # fmt: skip
    add("--masks", metavar="FOLDER",
        help="pictures, each called as its photograph and .png; their black is left out")  # fmt: skip
    add("--frames-per-second", type=number(0.001, 1000), default=FRAMES_PER_SECOND, metavar="N",
        help="of a video: the sharpest frame of each 1/N seconds is taken; default: "
        f"{FRAMES_PER_SECOND:g}")  # fmt: skip
    add("--chunk", type=whole(3, 1000), metavar="VIEWS",
        help="for many photographs in order: so many pass the network at a time, and the parts are joined; "
        "default: all at once")  # fmt: skip
    add("--overlap", type=whole(2, 999), default=3, metavar="VIEWS",
        help="with --chunk: photographs that two parts share; default: 3")  # fmt: skip
    add("--no-loops", action="store_true",
        help="with --chunk: do not look for places that the path comes back to")  # fmt: skip
    add("--resume", type=FOLDER, metavar="FOLDER",
        help="with --chunk: keep finished parts here; after an interruption the same command goes "
        "on")  # fmt: skip
    add_device(sub)
    add("--dtype", choices=DTYPES, help="of the matrix products; default: bfloat16 on a GPU that has it")
    add_precision(sub)


def run(args: argparse.Namespace) -> int | None:
    """Reconstruct and save. A folder that cannot be written is refused before the network runs."""
    from vggt_lite.inference.saving import KIND
    from vggt_lite.utils.files import folder_target, kept

    check_options(args)
    if args.list:
        from vggt_lite.cli.reconstruct_list import run_list

        return run_list(args, lambda: load(args), lambda *what: reconstructed(args, *what))
    out = folder_target(args.out, KIND, args.overwrite)
    model, device = load(args)
    source = args.photographs[0] if len(args.photographs) == 1 else args.photographs
    scene = reconstructed(args, model, source, device)
    kept(lambda folder: scene.save(folder, args.overwrite, args.points_from, args.confidence), out)
    print(scene)
    page = out / "index.html"
    print(f"written: {f'{page} (open it in a browser)' if page.is_file() else f'{out}, no point to draw'}")


def check_options(args: argparse.Namespace) -> None:
    """Raises: ValueError: options that do not go together."""
    if bool(args.list) == bool(args.photographs):
        raise ValueError("give one FOLDER of photographs, or a --list of many.")
    if args.list and (args.query or args.masks or args.resume):
        raise ValueError(
            "--query, --masks and --resume belong to one scene: leave out --list. A list goes on by itself."
        )
    if args.chunk and (args.query or args.points_from == "point_map" or args.intrinsics or args.masks):
        raise ValueError(
            "--query, --points-from point_map, --intrinsics and --masks need all views in one pass: leave "
            "out --chunk."
        )
    if args.resume and not args.chunk:
        raise ValueError("--resume keeps the parts of --chunk: give --chunk, such as --chunk 8.")


def load(args: argparse.Namespace) -> tuple:
    """The model and the device that the options name."""
    from vggt_lite.inference import VGGT
    from vggt_lite.utils.runtime import pick_device

    device = pick_device(args.device)
    model = VGGT.from_pretrained(args.weights)
    heads = {"depth": {"depth", "camera"}, "point_map": {"point"}}.get(args.points_from, set())
    if lacking := heads - set(model.config.heads):
        raise ValueError(f"--points-from {args.points_from}: these weights lack the head {lacking.pop()!r}.")
    return model, device


def reconstructed(args: argparse.Namespace, model, source, device):
    """The `Reconstruction` of one scene; what a refinement or the joining of chunks reports is printed."""
    import torch

    from vggt_lite.inference import reconstruct_sequence

    options = {
        "mode": args.mode, "size": args.size, "device": device, "frames_per_second": args.frames_per_second,
        "dtype": args.dtype and getattr(torch, args.dtype), "precision": args.precision,
    }  # fmt: skip
    free = args.lens or ("kept" if isinstance(args.intrinsics, list) else "each")
    if args.chunk:
        parts = (args.chunk, args.overlap, args.resume, not args.no_loops, args.refine, free)
        scene, report = reconstruct_sequence(model, source, *parts, **options)
        print(report)
        return scene
    scene = model.reconstruct(
        source, query_points=args.query, known_intrinsics=args.intrinsics, masks=args.masks, **options
    )
    if args.refine:
        scene = scene.refine(lens=free)
        print(scene.refinement)
    return scene


def lens(text: str) -> str | list[list[float]]:
    """ "exif" as it is; "600,600,320,240" → a matrix (3, 3)."""
    if text == "exif":
        return text
    fx, fy, cx, cy = map(float, text.split(","))
    return [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]


def point(text: str) -> tuple[float, float]:
    """ "120,80" → (120.0, 80.0)."""
    x, y = text.split(",")
    return float(x), float(y)
