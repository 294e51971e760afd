"""`vggt-lite fine-tune`: the memory it will take, the run, and what it changed."""

import argparse
import warnings

from vggt_lite.cli.options import FOLDER, MINUTES, PIXELS, SEED, STEPS, add_device, add_weights, number, whole


def add_options(sub: argparse.ArgumentParser) -> None:
    add = sub.add_argument
    add("folders", nargs="+", metavar="FOLDER", help="scenes of any format, or folders of scenes")
    add("--out", type=FOLDER, required=True, metavar="DIR", help="checkpoints, log, model.safetensors")
    add_weights(sub)
    add("--adapters", type=whole(0, 4096), default=0, metavar="RANK", help="8, say; the aggregator freezes")
    add("--freeze", nargs="+", default=[], metavar="PART", help="aggregator, heads, depth_head, …")
    add("--heads", nargs="+", metavar="HEAD", help="build only these: camera depth point track")
    add("--rehearse", nargs="+", default=[], metavar="FOLDER", help="old scenes to mix in")
    add("--rehearsal", type=number(0.001, 0.999), metavar="SHARE", help="of the steps; default 1/3")
    add("--held-out", nargs="+", default=[], metavar="FOLDER", help="scenes to score before and after")
    add("--steps", type=STEPS, default=600)
    add("--learning-rate", type=number(1e-12, 1), metavar="RATE", help="peak; default 1e-4, adapters 2e-4")
    add("--views", type=whole(1, 1000), nargs=2, default=(2, 4), metavar=("FEWEST", "MOST"))
    add("--images", type=whole(1, 10_000), default=12, metavar="N", help="in a batch")
    add("--size", type=PIXELS, metavar="PIXELS", help="longer side; default: what the model is for")
    add("--aspects", type=number(0.01, 100), nargs=2, default=(0.5, 1.0), metavar=("LOWEST", "HIGHEST"))
    add("--accumulation", type=whole(1, 10_000), default=1, metavar="PARTS", help="of a batch, one at a time")
    add("--checkpointing", action="store_true", help="recompute blocks: less memory, a third slower")
    add("--half", action="store_true", help="hold the frozen aggregator's matrices in bfloat16")
    add("--seed", type=SEED, default=0)
    add("--max-minutes", type=MINUTES, metavar="M", help="stop cleanly after so long")
    add_device(sub)


def run(args: argparse.Namespace) -> None:
    """Fine-tune, or go on; scenes named by `--held-out` are scored before and after."""
    from vggt_lite.research import distributed
    from vggt_lite.research.fine_tune import FINE_TUNING, RATES, FineTuneOptions

    if args.rehearsal is not None and not args.rehearse:
        raise ValueError("--rehearsal changes nothing without old scenes to mix in: add --rehearse FOLDER.")
    options = FineTuneOptions(
        adapters=args.adapters, freeze=tuple(args.freeze), rehearse=tuple(args.rehearse),
        rehearsal=args.rehearsal or FineTuneOptions.rehearsal,
    )  # fmt: skip
    if args.half and not (args.adapters or "aggregator" in args.freeze):
        raise ValueError("--half holds matrices that do not move: add --adapters 8 or --freeze aggregator.")
    config = FINE_TUNING.with_(
        steps=args.steps, seed=args.seed, views=tuple(args.views), max_images=args.images,
        aspects=tuple(args.aspects), accumulation=args.accumulation,
        gradient_checkpointing=args.checkpointing,
        learning_rate=args.learning_rate or RATES["adapters" if args.adapters else "weights"],
    )  # fmt: skip
    with distributed.init() as workers:
        lines = run_joined(args, options, config, workers)
    if workers.rank == 0:
        print(*lines, sep="\n")


def run_joined(args: argparse.Namespace, options, config, workers) -> list[str]:
    """What each of the processes does that train together; returns what is to be said about it."""
    import torch

    from vggt_lite.evaluation.own_scenes import evaluate_own
    from vggt_lite.inference import VGGT
    from vggt_lite.inference.memory_estimate import gigabytes
    from vggt_lite.research.fine_tune import changes, fine_tune
    from vggt_lite.research.training_memory import estimate_training
    from vggt_lite.utils.runtime import available_memory, pick_device, pick_dtype

    device, stored = pick_device(args.device), torch.bfloat16 if args.half else torch.float32
    model = VGGT.from_pretrained(args.weights, heads=args.heads, dtype=stored if args.half else None)
    size, views = args.size or model.config.image_size, max(args.views[1], 2)
    if workers.rank == 0:
        images = -(-config.max_images // (config.accumulation * workers.world_size))
        dtype = pick_dtype(device)
        needs = estimate_training(
            model.config, config.views[1], size, size, scenes=-(-images // config.views[1]), options=options,
            query_points=config.num_tracks, checkpointing=args.checkpointing, stored=stored,
            autocast=None if dtype == torch.float32 else dtype,
        )  # fmt: skip
        print(f"memory, about: {needs}")
        free = available_memory(device)
        if needs.total > 2 * free:  # an estimate is not as far off
            raise MemoryError(f"{gigabytes(free)} are free: see docs/fine_tuning.md for what takes less.")
        if needs.total > free:
            warnings.warn("more than is free: see docs/fine_tuning.md for what takes less.", stacklevel=1)

    def scored(weights):  # as `evaluate` would load them, whatever --half rounds while training
        model = VGGT.from_pretrained(weights, heads=args.heads)
        return evaluate_own(model, args.held_out, num_views=views, size=size, device=device, workers=workers)

    before = scored(args.weights) if args.held_out else None
    seconds = None if args.max_minutes is None else 60 * args.max_minutes
    result = fine_tune(
        model, args.folders, args.out, options, config, size, device=device, max_seconds=seconds,
        workers=workers, base=str(args.weights),
    )  # fmt: skip
    if not result.finished:
        return [f"stopped at step {result.step}; the same command goes on from {result.checkpoint}"]
    lines = [changes(before, scored(args.out))] if before else []
    return [*lines, f"written: {args.out}/model.safetensors (vggt-lite reconstruct --weights {args.out} …)"]
