"""`vggt-lite`: reconstruct · train · fine-tune · evaluate · report · verify · scenes · import · check-data"""

import argparse
import sys
import warnings

WEIGHTS = '"tiny" or "nano" (bundled), a weight file or folder, or a hub repository such as facebook/VGGT-1B'
FORMATS = "COLMAP, nerfstudio, CO3Dv2 or Virtual KITTI 2"
# each carries a sentence that says what to do
WRONG_USE = (ValueError, OSError, ImportError, MemoryError, FloatingPointError)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 = done, 1 = there are faults, 2 = it could not be done (one line says why)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    args = parser(arguments).parse_args(arguments)
    warnings.formatwarning = lambda message, *_: f"note: {message}\n"
    try:
        return args.run(args) or 0
    except WRONG_USE as error:
        print(f"vggt-lite {args.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def parser(arguments: list[str]) -> argparse.ArgumentParser:
    """All commands, and the options of the one that the arguments name.

    Only that command's module is imported: most need torch, which takes seconds.
    """
    top = argparse.ArgumentParser(prog="vggt-lite", description="Photographs in, a 3-D scene out.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def named(command: str, text: str) -> argparse.ArgumentParser | None:
        sub = commands.add_parser(command, help=text, description=text)
        return sub if command in arguments else None

    if sub := named("reconstruct", "photographs → cameras, depth, point cloud, a page to turn"):
        sub.set_defaults(run=reconstruct)
        sub.add_argument(
            "photographs", nargs="+", metavar="FOLDER", help="a folder, or picture files in order"
        )
        sub.add_argument("--out", required=True, metavar="DIR", help="folder for the result")
        sub.add_argument("--weights", default="tiny", help=WEIGHTS)
        sub.add_argument(
            "--mode", default="pad", choices=("pad", "crop"), help="fit pictures to the network's size"
        )
        sub.add_argument("--overwrite", action="store_true", help="replace an earlier result in DIR")

    if sub := named("train", "train a model with its recipe; killed and called again, it goes on"):
        from vggt_lite.cli.train import run_train, train_options

        sub.set_defaults(run=run_train)
        train_options(sub)

    if sub := named("fine-tune", "train a model further on your own scenes"):
        from vggt_lite.cli.fine_tune import fine_tune_options, run_fine_tune

        sub.set_defaults(run=run_fine_tune)
        fine_tune_options(sub, WEIGHTS)

    if sub := named("evaluate", "score a model on scenes kept out of training, or on a data set"):
        from vggt_lite.cli.evaluate import evaluate_options, run_evaluate

        sub.set_defaults(run=run_evaluate)
        evaluate_options(sub, WEIGHTS)

    if sub := named("report", "draw one page from several reports of `evaluate`, side by side"):
        from vggt_lite.cli.evaluate import report_options, run_report

        sub.set_defaults(run=run_report)
        report_options(sub)

    if sub := named("verify", "compare the network with the official one, stage by stage"):
        sub.set_defaults(run=verify)
        sub.add_argument("--full", action="store_true", help="also VGGT-1B itself: 7 GB of memory, minutes")
        sub.add_argument("--weights", help=f"{WEIGHTS}; default: VGGT-1B if it was fetched before")
        sub.add_argument("--images", metavar="FOLDER", help="photographs; default: the Motorcycle pair")
        sub.add_argument("--device", metavar="D", help="cpu, cuda, mps; default: the best at hand")
        sub.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float16"))
        sub.add_argument("--out", metavar="FILE", help="also write everything as JSON")

    if sub := named("scenes", "generate scenes: a sheet, scene folders, or shards for training"):
        from vggt_lite.cli.data import run_scenes, scenes_options

        sub.set_defaults(run=run_scenes)
        scenes_options(sub)

    if sub := named("import", f"write a scene of {FORMATS} as a scene folder"):
        from vggt_lite.cli.data import import_options, run_import

        sub.set_defaults(run=run_import)
        import_options(sub)

    if sub := named("check-data", "say what is wrong with a scene, show it, say how to mend it"):
        from vggt_lite.cli.data import check_data_options, run_check_data

        sub.set_defaults(run=run_check_data)
        check_data_options(sub, FORMATS)
    return top


def reconstruct(args) -> None:
    """`vggt-lite reconstruct`."""
    from vggt_lite.model import VGGT
    from vggt_lite.utils.runtime import pick_device

    source = args.photographs[0] if len(args.photographs) == 1 else args.photographs
    model = VGGT.from_pretrained(args.weights)
    scene = model.reconstruct(source, mode=args.mode, device=pick_device())
    out = scene.save(args.out, overwrite=args.overwrite)
    print(scene)
    print(f"written: {out / 'index.html'} (open it in a browser), points.ply, arrays.npz")


def verify(args) -> int:
    """`vggt-lite verify`: exit code 1 if a stage is off."""
    import torch

    from vggt_lite.parity.verify import verify

    done = verify(args.full, args.weights, args.images, args.device, getattr(torch, args.dtype))
    if args.out:
        print(f"written: {done.save(args.out)}")
    return int(done.first_failure is not None)


if __name__ == "__main__":
    sys.exit(main())
