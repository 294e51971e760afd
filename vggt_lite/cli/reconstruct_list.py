"""`vggt-lite reconstruct --list`: many scenes, shared among the processes that torchrun started.

A result is written whole or not at all, and says what it was made of. So nothing else is kept: the same
command, called again, skips the results that are there, whichever process made them and however it ended.
"""

import argparse
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from vggt_lite.cli.main import said
from vggt_lite.inference import Reconstruction
from vggt_lite.inference.chunk_store import made_by
from vggt_lite.inference.saving import KIND
from vggt_lite.inference.scene_list import found_result, photographs_in, read_list
from vggt_lite.research import distributed
from vggt_lite.training.workers import Alone
from vggt_lite.utils.files import folder_target

PATIENCE = timedelta(days=7)  # for which a process that found nothing more to do waits for the others
OPTIONS = (
    "mode", "points_from", "confidence", "refine", "lens", "intrinsics", "frames_per_second", "chunk",
    "overlap", "no_loops", "dtype", "precision",
)  # fmt: skip


def run_list(args: argparse.Namespace, load: Callable, reconstruct: Callable) -> int:
    """Reconstruct the scenes of a list.

    Args:
        load: () → model, device. reconstruct: (model, source, device) → `Reconstruction`.

    Returns:
        1 if some scene could not be made, else 0. Each is told with its reason when all others are done.

    Raises:
        ValueError: results are there that were made otherwise, and --overwrite was not given; nothing was
            made then.
        OSError: another process ended before its work was done.
    """
    scenes, out = read_list(args.list), Path(args.out).expanduser()
    with distributed.init(timeout=PATIENCE) as workers:
        model, device = load()
        options = {f"--{name.replace('_', '-')}": str(getattr(args, name)) for name in OPTIONS}
        options["--size"] = str(args.size or model.config.image_size)
        identity = made_by(model, **options)

        found, failed = {}, {}
        for name in workers.take(list(scenes)):
            try:
                found[name] = found_result(out / name, identity, scenes[name])
            except (OSError, ValueError):  # of these photographs, or this result: told when it is their turn
                found[name] = None
        found = together(workers, found, scenes)
        refuse_otherwise({out / name: differ for name, differ in found.items() if differ}, args.overwrite)
        missing = [name for name, differ in found.items() if differ != []]
        if workers.rank == 0:
            print(f"{len(scenes)} scenes, {len(scenes) - len(missing)} of them done before", flush=True)

        for name in workers.take(missing):
            try:
                folder_target(out / name, KIND, args.overwrite)  # refused before the network runs
                made = identity | {"photographs": photographs_in(scenes[name])}
                scene: Reconstruction = reconstruct(model, scenes[name], device)
                scene.made |= made
                scene.save(out / name, args.overwrite, args.points_from, args.confidence)
                print(f"{name}: {str(scene).splitlines()[0]}", flush=True)
            except Exception as error:  # whatever it is, the other scenes are done
                failed[name] = said(error)
        failed = together(workers, failed, scenes)
        if workers.rank == 0:
            for name, reason in failed.items():
                print(f"not made: {name}: {reason}", flush=True)
        workers.gather(None)  # torchrun stops all processes when the first one ends with an exit code
    return int(bool(failed))


def together(workers: Alone, mine: dict, order: dict) -> dict:
    """What all processes found, by the names of scenes, in the order of the list.

    Raises:
        OSError: one of them is gone.
    """
    try:
        parts = workers.gather(mine)
    except RuntimeError as error:
        raise OSError(
            "another process was killed or ended early. Results that are written are whole: give the same "
            "command again, and the other scenes are done."
        ) from error
    found = {name: value for part in parts for name, value in part.items()}
    return {name: found[name] for name in order if name in found}


def refuse_otherwise(results: dict[Path, list[str]], overwrite: bool) -> None:
    """Raises: ValueError: results are there that are not those asked for."""
    if results and not overwrite:
        folder, differ = next(iter(results.items()))
        more = f", and {len(results) - 1} more were too" if len(results) > 1 else ""
        raise ValueError(
            f"{folder} was made otherwise ({'; '.join(differ)[:300]}){more}: give another --out, or "
            "--overwrite to make such results anew."
        )
