"""`vggt-lite COMMAND …`: finds the command, and turns an error into one line and an exit code."""

import argparse
import errno
import os
import sys
import traceback
import warnings
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from vggt_lite import __version__

COMMANDS = {  # name: (its file in this folder, what it does)
    "reconstruct": ("reconstruct", "photographs in; cameras, depth, a point cloud and a web page out"),
    "app": ("app", "the same in the browser: drop photographs, turn the scene, take the files"),
    "export": ("export", "a saved reconstruction as files for COLMAP, gsplat, nerfstudio, Blender, evo"),
    "demo": ("demo", "reconstruct two examples whose truth is known, and draw them in a web page"),
    "train": ("train", "train a model by its recipe; after an interruption the same command goes on"),
    "fine-tune": ("fine_tune", "train a model further on your own scenes"),
    "evaluate": ("evaluate", "score a model on scenes kept out of training, or on a data set"),
    "report": ("report", "draw one page from several reports of `evaluate`, side by side"),
    "convert": ("convert", "weights in a smaller file: bfloat16 or int8"),
    "verify": ("verify", "compare the network with the official one, stage by stage"),
    "scenes": ("scenes", "generate scenes: one picture of many, scene folders, or training data"),
    "import": ("import_scene", "write a scene of another program as a scene folder"),
    "grade": ("grade", "mark exercises that learners hand in, on hidden inputs"),
    "check-data": ("check_data", "say what is wrong with a scene, show it, and say how to mend it"),
}
# Each carries a sentence that says what to do; anything else is a fault of this package.
WRONG_USE = (
    ValueError, OSError, ImportError, MemoryError, FloatingPointError, argparse.ArgumentTypeError
)  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Returns:
        0: done. 1: done, and faults were found. 2: it could not be done; one line says why.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # where there is no "→" or "×" print "?", do not stop
            stream.reconfigure(errors="replace")
    # Read when torch is imported, by the next line. Threads that spin while they wait are 25 times slower and
    # more where others use the cores, too.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    args = parser(arguments).parse_args(arguments)
    warnings.formatwarning = lambda message, *_: f"note: {message}\n"
    try:
        code = args.run(args) or 0
        print(end="", flush=True)  # what cannot be printed is noticed here, not by the interpreter
        return code
    except KeyboardInterrupt as stop:
        print(str(stop) or "stopped", file=sys.stderr)
        return 130
    except Exception as error:
        if os.environ.get("VGGT_LITE_TRACEBACK"):
            raise
        print(f"vggt-lite {args.command}: {said(error)}", file=sys.stderr)
        if isinstance(error, OSError) and error.errno in (errno.EPIPE, errno.ENOSPC):  # of standard output
            sys.stdout = None
        return 2


def said(error: Exception) -> str:
    """What went wrong in one line, never an empty one."""
    text = " ".join(str(error).split()) or type(error).__name__
    if text == "MemoryError" or "allocat" in text or "out of memory" in text:
        return f"memory ran out ({text[:200]}): take smaller pictures, fewer views or fewer scenes at once."
    if isinstance(error, WRONG_USE):
        return text
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(last.filename).name}:{last.lineno}"
    return f"{type(error).__name__}: {text[:500]} ({place}). VGGT_LITE_TRACEBACK=1 shows where it came from."


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with an option."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} ({self.prog} --help lists what there is)\n")


def parser(arguments: list[str]) -> Parser:
    """All commands, and the options of the one that `arguments` name.

    Only that command's file is imported, so that `--help` does not wait for torch. Each file has
    `add_options(parser)` and `run(args)`.
    """
    named = next((word for word in arguments if not word.startswith("-")), None)
    top = Parser(prog="vggt-lite", description="Photographs in, a 3-D scene out.")
    top.add_argument("--version", action="version", version=f"vggt-lite {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command, (file, text) in COMMANDS.items():
        sub = commands.add_parser(command, help=text, description=text)
        if command == named:
            module = import_module(f"vggt_lite.cli.{file}")
            module.add_options(sub)
            sub.set_defaults(run=module.run)
    return top
