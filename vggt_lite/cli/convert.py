"""`vggt-lite convert`: weights in a smaller file."""

import argparse

from vggt_lite.cli.options import WEIGHTS, output
from vggt_lite.config import HEADS


def add_options(sub: argparse.ArgumentParser) -> None:
    add = sub.add_argument
    add("weights", metavar="WEIGHTS", help=WEIGHTS)
    add("--dtype", required=True, choices=("bfloat16", "int8"),
        help="bfloat16: half the file of float32. int8: a quarter, and a quarter of the memory "
        "when used")  # fmt: skip
    add("--heads", type=lambda text: text.split(","), metavar="HEAD,…",
        help=f"keep only these of {', '.join(HEADS)}; default: all there are")  # fmt: skip
    add("--out", required=True, type=output(".safetensors"), metavar="FILE", help="a new .safetensors file")


def run(args: argparse.Namespace) -> None:
    from vggt_lite.inference.memory_estimate import gigabytes
    from vggt_lite.pretrained.convert import convert

    notes = convert(args.weights, args.out, args.dtype, args.heads)
    if notes["heads_left_out"]:
        print(f"left out: {notes['heads_left_out']}")
    print(f"source: {notes['source']}, SHA-256 {notes['source_sha256']}")
    print(f"licence: {notes['licence']}")
    print(f"written: {args.out}, {gigabytes(args.out.stat().st_size)}")
