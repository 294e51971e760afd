"""`vggt-lite verify`: this network against the official one, stage by stage."""

import argparse

from vggt_lite.cli.options import FILE, WEIGHTS, add_device


def add_options(sub: argparse.ArgumentParser) -> None:
    add = sub.add_argument
    add("--full", action="store_true", help="also VGGT-1B itself: 7 GB of memory, minutes")
    add("--weights", help=f"{WEIGHTS}; default: VGGT-1B if it was downloaded before")
    add("--images", metavar="FOLDER", help="photographs; default: the Motorcycle pair")
    add_device(sub)
    add("--dtype", default="bfloat16", choices=("bfloat16", "float16"))
    add("--out", type=FILE, metavar="FILE", help="also write everything as JSON")


def run(args: argparse.Namespace) -> int:
    """Exit code 1 if a stage differs."""
    import torch

    from vggt_lite.parity.verify import verify
    from vggt_lite.utils.files import kept

    done = verify(args.full, args.weights, args.images, args.device, getattr(torch, args.dtype))
    if args.out:
        kept(done.save, args.out)
        print(f"written: {args.out}")
    return int(done.first_failure is not None)
