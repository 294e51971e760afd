"""`vggt-lite train`, alone or under torchrun."""

import argparse
from pathlib import Path

import torch

from vggt_lite.cli.options import FOLDER, MINUTES, output
from vggt_lite.config import PRECISIONS
from vggt_lite.model import VGGT
from vggt_lite.pretrained.loading import TrainedOn, load_into, save_weights
from vggt_lite.research import distributed
from vggt_lite.research.presets import PRESETS, held_out_scores, train_preset
from vggt_lite.training.checkpoint import load_checkpoint
from vggt_lite.utils.files import kept


def add_options(sub: argparse.ArgumentParser) -> None:
    add = sub.add_argument
    add("preset", nargs="?", default="nano", help='recipe, as in research/presets.py: "nano", "tiny"')
    add("--out", type=FOLDER, metavar="DIR", help="checkpoints and logs; default runs/PRESET")
    add("--data", metavar="DIR", help="scenes rendered ahead; default: in --out")
    add("--max-minutes", type=MINUTES, metavar="M", help="stop cleanly after so long")
    add("--weights-out", type=output(".safetensors"), metavar="FILE",
        help="write the finished model to this .safetensors file")  # fmt: skip
    add("--precision", choices=PRECISIONS, default="exact",
        help="fast: compiled blocks, for which it needs a C++ compiler, and bfloat16 on a processor that "
        "multiplies it; default: exact")  # fmt: skip
    add("--shard", action="store_true", help="under torchrun: divide the model among the processes (FSDP2)")


def run(args: argparse.Namespace) -> None:
    """Train or go on; of several processes the first says what happened."""
    out = args.out or Path(f"runs/{args.preset}")
    seconds = None if args.max_minutes is None else 60 * args.max_minutes
    with distributed.init(args.shard) as workers:
        result = train_preset(
            args.preset,
            out,
            args.data,
            seconds,
            eval_fn=held_out_scores,
            workers=workers,
            precision=args.precision,
        )
    if workers.rank:
        return
    if not result.finished:
        print(f"stopped at step {result.step}; the same command goes on from {result.checkpoint}")
        return
    print(f"finished: {result.checkpoint}, log {result.log}")
    if args.weights_out:
        kept(lambda path: export(result.checkpoint, args.preset, path), args.weights_out)
        print(f"written: {args.weights_out}")


def export(checkpoint: Path, preset: str, path: Path) -> None:
    """Write the averaged weights of a finished preset as a half-size file for `VGGT.from_pretrained`."""
    state = load_checkpoint(checkpoint)
    model = VGGT(PRESETS[preset].model)
    load_into(model, {**state["model"], **state["average"]}, str(checkpoint))
    stages = PRESETS[preset].stages.values()
    sizes, views = [stage.size for stage in stages], [n for stage in stages for n in stage.config.views]
    model.trained_on = TrainedOn((min(sizes), max(sizes)), (min(views), max(views)))
    training = f"vggt-lite train {preset}, {state['step']} steps in the last stage"
    save_weights(model, path, torch.float16, training=training)
