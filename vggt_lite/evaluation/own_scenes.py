"""`evaluate_own`: your own scenes, of any format that is read here, with the figures of generated ones."""

import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from vggt_lite.config import TrainConfig
from vggt_lite.config_fields import check_multiple
from vggt_lite.data.batches import step_generator
from vggt_lite.data.readers import find_scenes
from vggt_lite.data.scene_folders import SceneFolders, near_views, references
from vggt_lite.evaluation import protocols
from vggt_lite.evaluation.constant import BlindPredictor
from vggt_lite.evaluation.metric_table import OWN
from vggt_lite.evaluation.report import Report
from vggt_lite.evaluation.scores import SURFACE_POINTS, Scores, share_of
from vggt_lite.losses.scene_batch import SceneBatch
from vggt_lite.training.workers import Alone
from vggt_lite.utils.runtime import pick_device, pick_precision, progress

NUM_TRACKS = 32
TEXT = (
    "{num_scenes} scenes of {root}, at most {num_views} views each that see much of the same (seed {seed}), "
    "cut to {size} × {size} pixels. Truth: the scenes' own cameras and depth; where there is no depth, the "
    f"points of the sparse model. {protocols.MEASURED} The constant answer never saw a scene: not turned, a "
    "step to the right, everything equally far."
)


def evaluate_own(
    model: nn.Module, root: Path | str | Sequence[Path | str], num_scenes: int | None = None,
    num_views: int = 4, size: int | None = None, seed: int = 0, device: torch.device | str | None = None,
    icp_distance: float | None = None, workers: Alone | None = None, precision: str = "exact",
) -> Report:  # fmt: skip
    """Score a model on scenes that lie in a folder.

    Args:
        model: A `VGGT`; heads that it lacks are left out of the report.
        root: A scene, a folder of them (see `find_scenes`), or several of these.
        num_scenes: Only so many, in order; None: all.
        num_views: Of a scene, at least 2; scenes with fewer show all that they have.
        size: Pixels; None: what the model was made for.
        seed: For the choice of views and tracks.
        device: Where to compute; None is the best at hand.
        icp_distance: Refine surfaces by ICP within this share of the scene's scale; None does not.
        workers, precision: As for `evaluate`.

    Raises:
        ValueError, FileNotFoundError: naming the folder and what it lacks.
    """
    started, workers = time.monotonic(), workers or Alone()
    size = model.config.image_size if size is None else size
    protocols.check_counts(num_scenes, num_views)
    check_multiple("size", size, model.config.patch_size)
    device = pick_device(device)
    precision = pick_precision(device, precision)
    predictors = {"model": model.to(device).eval(), "constant": BlindPredictor(num_views, size, device)}
    scores = {name: Scores(True, icp_distance, upright=False) for name in predictors}
    roots = [Path(root)] if isinstance(root, (str, Path)) else list(map(Path, root))
    folders = [folder for root in roots for folder in find_scenes(root)]
    seen = []
    for folder in progress(share_of(folders[:num_scenes], workers), desc=OWN, unit="scene"):
        scene, shown = chosen_views(folder, num_views, size, model.config.patch_size, seed)
        protocols.collect(predictors, [scene.to(device)], model.config.patch_size, scores, precision)
        seen.append({"name": folder.name, "group": "", "frames": shown})
    seen = [scene for share in workers.gather(seen) for scene in share]
    numbers = {
        "num_scenes": len(seen), "num_views": num_views, "size": size, "seed": seed,
        "num_tracks": NUM_TRACKS, "surface_points": SURFACE_POINTS,
    }  # fmt: skip
    said = {
        "root": ", ".join(root.expanduser().name for root in roots),
        "icp": protocols.said_of_icp(icp_distance),
    }
    protocol = {"text": TEXT.format(**numbers, **said), "data": OWN, **numbers, "icp": icp_distance}
    return protocols.summed_up(scores, seen, protocol, device, started, workers, precision)


def chosen_views(
    folder: Path, num_views: int, size: int, patch_size: int, seed: int
) -> tuple[SceneBatch, list[str]]:
    """Some views of a scene as one batch (B = 1) of square pictures, and their names.

    Raises:
        ValueError: the scene is broken, has no depth at all, or a single view.
    """
    config = TrainConfig(
        views=(num_views, num_views), max_images=num_views, num_tracks=NUM_TRACKS, augment=0.0
    )
    source = SceneFolders([folder], config, size, patch_size, zooms=(1.0, 1.0))
    (views,) = source.scenes
    if len(views) < 2:
        raise ValueError(f"{folder} has a single view: poses are judged in pairs. Leave this scene out.")
    count = min(num_views, len(views))
    scene = source.scene(0, count, (size, size), 1.0, step_generator(seed, 0))
    # The same draw as in `scene`, which does not say what it took
    which = near_views(source.overlaps[0], references(views), count, 1.0, step_generator(seed, 0))
    return scene, [str(views.names[index]) for index in which]
