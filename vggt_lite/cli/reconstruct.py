"""`vggt-lite reconstruct`: photographs in; cameras, depth, a point cloud and a web page out."""

import argparse

from vggt_lite.cli.options import PIXELS, add_device, add_weights, whole
from vggt_lite.config import DEFAULT_MODE, LENSES, MODES

DTYPES = ("float32", "bfloat16", "float16")


def add_options(sub: argparse.ArgumentParser) -> None:
    add = sub.add_argument
    add("photographs", nargs="+", metavar="FOLDER", help="a folder, or picture files in order")
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
    add_device(sub)
    add("--dtype", choices=DTYPES, help="of the matrix products; default: bfloat16 on a GPU that has it")


def run(args: argparse.Namespace) -> None:
    """Reconstruct and save. A folder that cannot be written is refused before the network runs."""
    import torch

    from vggt_lite.inference import VGGT
    from vggt_lite.inference.saving import KIND
    from vggt_lite.utils.files import folder_target, kept
    from vggt_lite.utils.runtime import pick_device

    out = folder_target(args.out, KIND, args.overwrite)
    device = pick_device(args.device)
    source = args.photographs[0] if len(args.photographs) == 1 else args.photographs
    model = VGGT.from_pretrained(args.weights)
    heads = {"depth": {"depth", "camera"}, "point_map": {"point"}}.get(args.points_from, set())
    if lacking := heads - set(model.config.heads):
        raise ValueError(f"--points-from {args.points_from}: these weights lack the head {lacking.pop()!r}.")
    scene = model.reconstruct(
        source, mode=args.mode, size=args.size, query_points=args.query, device=device,
        dtype=args.dtype and getattr(torch, args.dtype), known_intrinsics=args.intrinsics, masks=args.masks,
    )  # fmt: skip
    if args.refine:
        known = isinstance(args.intrinsics, list)
        scene = scene.refine(lens=args.lens or ("kept" if known else "each"))
        print(scene.refinement)
    kept(lambda folder: scene.save(folder, args.overwrite, args.points_from, args.confidence), out)
    print(scene)
    page = out / "index.html"
    print(f"written: {f'{page} (open it in a browser)' if page.is_file() else f'{out}, no point to draw'}")


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
