"""`vggt-lite`: reconstruct · train · fine-tune · evaluate · report · verify · scenes · import · check-data"""

import argparse
import sys
import warnings

from vggt_lite.evaluation.command import evaluate_options, report_options, run_evaluate, run_report
from vggt_lite.scenes.command import (
    FORMATS,
    check_data_options,
    import_options,
    run_check_data,
    run_import,
    run_scenes,
    scenes_options,
)
from vggt_lite.training.command import run_train, train_options
from vggt_lite.training.fine_tune_command import fine_tune_options, run_fine_tune

WEIGHTS = '"tiny" or "nano" (bundled), a weight file or folder, or a hub repository such as facebook/VGGT-1B'
# each carries a sentence that says what to do
WRONG_USE = (ValueError, OSError, MemoryError, FloatingPointError)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 = done, 1 = there are faults, 2 = it could not be done (one line says why)."""
    args = parser().parse_args(arguments)
    warnings.formatwarning = lambda message, *_: f"note: {message}\n"
    try:
        return args.run(args) or 0
    except WRONG_USE as error:
        print(f"vggt-lite {args.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(prog="vggt-lite", description="Photographs in, a 3-D scene out.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        return sub

    sub = command("reconstruct", reconstruct, "photographs → cameras, depth, point cloud, a page to turn")
    sub.add_argument("photographs", nargs="+", metavar="FOLDER", help="a folder, or picture files in order")
    sub.add_argument("--out", required=True, metavar="DIR", help="folder for the result")
    sub.add_argument("--weights", default="tiny", help=WEIGHTS)
    sub.add_argument(
        "--mode", default="pad", choices=("pad", "crop"), help="fit pictures to the network's size"
    )
    sub.add_argument("--overwrite", action="store_true", help="replace an earlier result in DIR")

    sub = command("train", run_train, "train a model with its recipe; killed and called again, it goes on")
    train_options(sub)

    sub = command("fine-tune", run_fine_tune, "train a model further on your own scenes")
    fine_tune_options(sub, WEIGHTS)

    sub = command("evaluate", run_evaluate, "score a model on scenes kept out of training, or on a data set")
    evaluate_options(sub, WEIGHTS)
    sub = command("report", run_report, "draw one page from several reports of `evaluate`, side by side")
    report_options(sub)

    sub = command("verify", verify, "compare the network with the official one, stage by stage")
    sub.add_argument("--full", action="store_true", help="also VGGT-1B itself: 7 GB of memory, minutes")
    sub.add_argument("--weights", help=f"{WEIGHTS}; default: VGGT-1B if it was fetched before")
    sub.add_argument("--images", metavar="FOLDER", help="photographs; default: the Motorcycle pair")
    sub.add_argument("--device", metavar="D", help="cpu, cuda, mps; default: the best at hand")
    sub.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float16"))
    sub.add_argument("--out", metavar="FILE", help="also write everything as JSON")

    sub = command("scenes", run_scenes, "generate scenes: a sheet, scene folders, or shards for training")
    scenes_options(sub)
    sub = command("import", run_import, f"write a scene of {FORMATS} as a scene folder")
    import_options(sub)
    sub = command("check-data", run_check_data, "say what is wrong with a scene, show it, say how to mend it")
    check_data_options(sub)
    return top


def reconstruct(args) -> None:
    """`vggt-lite reconstruct`."""
    from vggt_lite.model import VGGT
    from vggt_lite.runtime import pick_device

    source = args.photographs[0] if len(args.photographs) == 1 else args.photographs
    model = VGGT.from_pretrained(args.weights)
    scene = model.reconstruct(source, mode=args.mode, device=pick_device())
    out = scene.save(args.out, overwrite=args.overwrite)
    print(scene)
    print(f"written: {out / 'index.html'} (open it in a browser), points.ply, arrays.npz")


def verify(args) -> int:
    """`vggt-lite verify`: exit code 1 if a stage is off."""
    import torch

    from vggt_lite.parity.command import verify

    done = verify(args.full, args.weights, args.images, args.device, getattr(torch, args.dtype))
    if args.out:
        print(f"written: {done.save(args.out)}")
    return int(done.first_failure is not None)


if __name__ == "__main__":
    sys.exit(main())
