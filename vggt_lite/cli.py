"""The command line, `vggt-lite`: reconstruct · train · evaluate · verify · scenes · import · check-data."""

import argparse
import sys
import warnings
from pathlib import Path

WEIGHTS = '"nano" (bundled), a weight file or folder, or a hub repository such as facebook/VGGT-1B'
FORMATS = "COLMAP, nerfstudio, CO3Dv2 or Virtual KITTI 2"
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
    sub.add_argument("--weights", default="nano", help=WEIGHTS)
    sub.add_argument(
        "--mode", default="pad", choices=("pad", "crop"), help="fit pictures to the network's size"
    )
    sub.add_argument("--overwrite", action="store_true", help="replace an earlier result in DIR")

    sub = command("train", train, "train a model with its recipe; killed and called again, it goes on")
    sub.add_argument("preset", nargs="?", default="nano", help='recipe, as in training/presets.py: "nano"')
    sub.add_argument("--out", metavar="DIR", help="checkpoints and logs; default runs/PRESET")
    sub.add_argument("--data", metavar="DIR", help="scenes rendered ahead; default: in --out")
    sub.add_argument("--max-minutes", type=float, metavar="M", help="stop cleanly after so long")
    sub.add_argument(
        "--weights-out", metavar="FILE", help="write the finished model to this .safetensors file"
    )

    sub = command("evaluate", evaluate, "score a model on generated scenes kept out of training")
    sub.add_argument("--weights", default="nano", help=WEIGHTS)
    sub.add_argument("--scenes", type=int, default=200, metavar="N")
    sub.add_argument("--views", type=int, default=4, metavar="S")
    sub.add_argument("--size", type=int, metavar="PIXELS", help="default: the size the model was made for")
    sub.add_argument("--out", metavar="FILE", help="also write the report as JSON")

    sub = command("verify", verify, "compare the network with the official one, stage by stage")
    sub.add_argument("--full", action="store_true", help="also VGGT-1B itself: 7 GB of memory, minutes")
    sub.add_argument("--weights", help=f"{WEIGHTS}; default: VGGT-1B if it was fetched before")
    sub.add_argument("--images", metavar="FOLDER", help="photographs; default: the Motorcycle pair")
    sub.add_argument("--device", metavar="D", help="cpu, cuda, mps; default: the best at hand")
    sub.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float16"))
    sub.add_argument("--out", metavar="FILE", help="also write everything as JSON")

    sub = command("scenes", scenes, "generate scenes: a contact sheet, scene folders, or shards for training")
    sub.add_argument("what", choices=("sheet", "folders", "ahead"))
    sub.add_argument("--out", required=True, metavar="PATH", help="a .png (sheet) or a folder")
    sub.add_argument("--seed", type=int, default=0, help="of the first scene")
    sub.add_argument("--count", type=int, default=4, metavar="N", help="number of scenes")
    sub.add_argument("--views", type=int, default=4, metavar="S")
    sub.add_argument("--size", type=int, default=64, metavar="PIXELS")
    sub.add_argument("--varied", action="store_true", help="all lenses and paths, not only NANO's domain")

    sub = command("import", import_data, f"write a scene of {FORMATS} as a scene folder")
    sub.add_argument("source", metavar="SOURCE", help="the folder of one scene, or a transforms.json")
    sub.add_argument("--out", required=True, metavar="FOLDER", help="folder for the scene")
    sub.add_argument("--size", type=pixels, metavar="HxW", help="224, or 168x224; default: as they are")
    sub.add_argument("--views", type=which, metavar="N", help="so many, evenly spaced, or FIRST:END[:STEP]")
    sub.add_argument("--overwrite", action="store_true", help="replace an earlier scene in FOLDER")

    sub = command("check-data", check_data, "say what is wrong with a scene, and how to mend it")
    sub.add_argument("folder", metavar="FOLDER", help=f"a scene folder, a folder of them, or {FORMATS}")
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


def train(args) -> None:
    """`vggt-lite train`."""
    from vggt_lite.training.presets import held_out_scores, train_preset

    out = Path(args.out or f"runs/{args.preset}")
    seconds = None if args.max_minutes is None else 60 * args.max_minutes
    result = train_preset(args.preset, out, args.data, seconds, watch=held_out_scores)
    if not result.finished:
        print(f"stopped at step {result.step}; the same command goes on from {result.checkpoint}")
        return
    print(f"finished: {result.checkpoint}, log {result.log}")
    if args.weights_out:
        print(f"written: {export(result.checkpoint, args.preset, args.weights_out)}")


def export(checkpoint: Path, preset: str, path: str) -> str:
    """Write the averaged weights of a finished preset as a half-size file for `VGGT.from_pretrained`."""
    import torch

    from vggt_lite.model import VGGT
    from vggt_lite.training.checkpoint import load_checkpoint
    from vggt_lite.training.presets import PRESETS
    from vggt_lite.weights import load_into, save_weights

    state = load_checkpoint(checkpoint)
    model = VGGT(PRESETS[preset].model)
    load_into(model, {**state["model"], **state["average"]}, str(checkpoint))
    training = f"vggt-lite train {preset}, {state['step']} steps in the last stage"
    save_weights(model, path, torch.float16, training=training)
    return path


def evaluate(args) -> None:
    """`vggt-lite evaluate`."""
    from vggt_lite.evaluation.protocols import evaluate
    from vggt_lite.model import VGGT
    from vggt_lite.runtime import pick_device

    model = VGGT.from_pretrained(args.weights)
    size = args.size or model.config.image_size
    report = evaluate(model, args.scenes, num_views=args.views, size=size, device=pick_device())
    print(report)
    if args.out:
        print(f"written: {report.save(args.out)}")


def verify(args) -> int:
    """`vggt-lite verify`: exit code 1 if a stage is off."""
    import torch

    from vggt_lite.parity.command import verify

    done = verify(args.full, args.weights, args.images, args.device, getattr(torch, args.dtype))
    if args.out:
        print(f"written: {done.save(args.out)}")
    return int(done.first_failure is not None)


def scenes(args) -> None:
    """`vggt-lite scenes`."""
    from vggt_lite.config import VARIED_SCENES, SceneConfig
    from vggt_lite.scenes import generate_scenes, write_scene
    from vggt_lite.scenes.ahead import render_ahead
    from vggt_lite.viz.sheet import write_sheet

    config = VARIED_SCENES if args.varied else SceneConfig()
    if args.what == "ahead":
        render_ahead(args.out, config, args.count, args.views, args.size, args.seed)
    elif args.what == "sheet":
        batch = generate_scenes(args.seed, args.count, args.views, args.size, args.size, config=config)
        write_sheet(batch, args.out, first_seed=args.seed)
    else:
        for seed in range(args.seed, args.seed + args.count):
            batch = generate_scenes(seed, 1, args.views, args.size, args.size, num_tracks=64, config=config)
            source = f"vggt_lite.scenes.generate_scenes(seed={seed}, …)"
            folder = Path(args.out) / f"scene_{seed:07d}"
            write_scene(folder, batch, units="metres", source=source, license="CC0-1.0")
    print(f"written: {args.out}")


def import_data(args) -> None:
    """`vggt-lite import`."""
    from vggt_lite.scenes.readers import import_scene

    out = import_scene(args.source, args.out, args.size, args.views, args.overwrite)
    print(f"written: {out} (vggt-lite check-data {out} looks at it closely)")


def pixels(text: str) -> int | tuple[int, int]:
    """224 → 224, 168x224 → (168, 224): a square's side, or height and width."""
    sides = [int(side) for side in text.lower().split("x")]
    if len(sides) > 2 or min(sides) < 1:
        raise ValueError(text)
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])


def which(text: str) -> int | slice:
    """8 → 8, 0:40:5 → slice(0, 40, 5)."""
    parts = [int(part) if part else None for part in text.split(":")]
    return parts[0] if len(parts) == 1 else slice(*parts)


def check_data(args) -> int:
    """`vggt-lite check-data`: exit code 1 if anything is wrong."""
    from vggt_lite.scenes import check_scene
    from vggt_lite.scenes.readers import MAX_CHECKED, check_views, is_known, open_scene

    folder = Path(args.folder)
    if is_known(folder):
        views = open_scene(folder)
        problems = check_views(views)
        looked = f"; looked at {MAX_CHECKED} of them" if len(views) > MAX_CHECKED else ""
        print("\n".join(problems) or f"nothing wrong with {views}{looked}.")
        return int(bool(problems))
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder} is not a folder: give a scene (images/, cameras.npz) or a folder of them."
        )
    inner = sorted(p for p in folder.iterdir() if (p / "images").is_dir())
    folders = inner if inner and not (folder / "images").is_dir() else [folder]
    problems = [problem for one in folders for problem in check_scene(one)]
    print("\n".join(problems) or f"nothing wrong with {len(folders)} scene{'s' * (len(folders) != 1)}.")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
