"""Options that several commands share, and the ranges within which their numbers make sense."""

import argparse
import math
from collections.abc import Callable
from pathlib import Path

from vggt_lite.config import DEFAULT_WEIGHTS, PRECISIONS
from vggt_lite.utils.files import file_target

FORMATS = "COLMAP, nerfstudio, CO3Dv2 or Virtual KITTI 2"
WEIGHTS = '"tiny" or "nano" (bundled), a weight file or folder, or a hub repository such as facebook/VGGT-1B'


def add_weights(sub: argparse.ArgumentParser) -> None:
    """`--weights`, as for `VGGT.from_pretrained`."""
    sub.add_argument("--weights", default=DEFAULT_WEIGHTS, help=f"{WEIGHTS}; default: {DEFAULT_WEIGHTS}")


def add_device(sub: argparse.ArgumentParser) -> None:
    """`--device`, for `pick_device`."""
    sub.add_argument("--device", metavar="D", help="cpu, cuda, cuda:1, mps; default: the best there is")


def add_precision(sub: argparse.ArgumentParser) -> None:
    """`--precision`, for `pick_precision`."""
    sub.add_argument(
        "--precision", choices=PRECISIONS, default="exact",
        help="fast: bfloat16 on a processor that multiplies it, too, and in dense heads; default: exact"
    )  # fmt: skip


def number(low: float, high: float, kind: type = float) -> Callable[[str], float]:
    """For `type=` of an option: its text as a number from `low` to `high`, which NaN is not."""

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except (ValueError, OverflowError):
            value = math.nan
        if not low <= value <= high:
            what = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"{text[:40]!r} is not {what} from {low:,} to {high:,}")
        return value

    return parse


def whole(low: int, high: int) -> Callable[[str], int]:
    """For `type=` of an option: a whole number from `low` to `high`."""
    return number(low, high, int)


def output(suffix: str = "", folder: bool = False) -> Callable[[str], Path]:
    """For `type=` of an option: where a file, its name ending in `suffix`, can be written now.

    Args:
        folder: The option names a folder for files.
    """

    def parse(text: str) -> Path:
        try:
            return file_target(Path(text, "_")).parent if folder and text else file_target(text, suffix)
        except (ValueError, OSError) as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return parse


PIXELS = whole(1, 4096)  # of a picture's side
VIEWS = whole(2, 1000)  # of which poses are judged in pairs
SCENES = whole(1, 1_000_000)
STEPS = whole(1, 1_000_000_000)
SEED = whole(0, 2**31 - 1)
MINUTES = number(0, 1_000_000)
DISTANCE = number(1e-9, 10**9)
FILE, PAGE, FOLDER = output(), output(".html"), output(folder=True)
