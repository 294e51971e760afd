"""`vggt-lite export`: a saved reconstruction in the files of other programs."""

import argparse
from pathlib import Path

from vggt_lite.cli.options import whole

KIND = "vggt_lite.export"
FILES = {
    "colmap": "colmap", "nerfstudio": "nerfstudio", "glb": "scene.glb", "tum": "trajectory.txt",
    "ply": "points.ply",
}  # fmt: skip


def add_options(sub: argparse.ArgumentParser) -> None:
    add = sub.add_argument
    add("result", metavar="RESULT", help="a folder written by `reconstruct` or by scene.save")
    add("--to", required=True, type=formats, metavar="FORMAT,…", help=f"which of {', '.join(FILES)}")
    add("--out", required=True, metavar="DIR", help="a new or empty folder; each format has its place in it: "
        f"{', '.join(FILES.values())}")  # fmt: skip
    add("--text", action="store_true", help="COLMAP's text files instead of its binary ones")
    add("--confidence", type=whole(0, 95), default=0, metavar="PERCENT",
        help="leave this share of the points out, the least trusted first: 0 to 95; default: 0")  # fmt: skip
    add("--mask-edges", action="store_true",
        help="leave out points at steps of the depth and on surfaces seen at a grazing angle")  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Write all formats, or none. A folder that cannot be written is refused before anything is read."""
    from vggt_lite.inference import Reconstruction
    from vggt_lite.utils.files import atomic_folder, folder_target

    out = folder_target(args.out, KIND)
    if args.text and "colmap" not in args.to:
        raise ValueError("--text changes nothing without --to colmap: leave it out.")
    scene = Reconstruction.load(args.result)
    if args.mask_edges:
        scene = scene.without_edges()
    with atomic_folder(out, KIND) as folder:
        write_formats(scene, folder, args.to, args.confidence, args.text)
    for name in args.to:
        print(f"written: {out / FILES[name]}")


def write_formats(scene, folder: Path, names: list[str], confidence: int = 0, text: bool = False) -> None:
    """Write a `Reconstruction` into a folder in formats of `FILES`; the other arguments as the options."""
    share = {"confidence_percentile": confidence}
    options = {"colmap": {"binary": not text, **share}, "tum": {}}
    for name in names:
        getattr(scene, f"to_{name}")(folder / FILES[name], **options.get(name, share))


def formats(text: str) -> list[str]:
    """ "colmap,ply" → ["colmap", "ply"]."""
    names = list(dict.fromkeys(text.split(",")))
    if unknown := [name for name in names if name not in FILES]:
        raise argparse.ArgumentTypeError(f"{unknown[0][:40]!r} is none of {', '.join(FILES)}")
    return names
