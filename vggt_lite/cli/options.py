"""Options that several commands share."""

import argparse

from vggt_lite.config import DEFAULT_WEIGHTS

FORMATS = "COLMAP, nerfstudio, CO3Dv2 or Virtual KITTI 2"
WEIGHTS = '"tiny" or "nano" (bundled), a weight file or folder, or a hub repository such as facebook/VGGT-1B'


def add_weights(sub: argparse.ArgumentParser) -> None:
    """`--weights`, as for `VGGT.from_pretrained`."""
    sub.add_argument("--weights", default=DEFAULT_WEIGHTS, help=f"{WEIGHTS}; default: {DEFAULT_WEIGHTS}")


def add_device(sub: argparse.ArgumentParser) -> None:
    """`--device`, for `pick_device`."""
    sub.add_argument("--device", metavar="D", help="cpu, cuda, cuda:1, mps; default: the best there is")
