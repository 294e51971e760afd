"""Refinement and the classical road, on the same pictures: `vggt-lite evaluate --refine --classical`.

Scenes are rendered larger than the network sees them, as photographs are. Nobody is told the lenses but
"SIFT + E", which gets the true ones.
"""

import time
import warnings
from collections.abc import Sequence

import torch
import torch.nn.functional as F

from vggt_lite.config import SceneConfig
from vggt_lite.config_fields import check_multiple
from vggt_lite.evaluation.classical import essential_matrix_errors, mapped_cameras
from vggt_lite.evaluation.constant import ConstantPredictor
from vggt_lite.evaluation.protocols import check_counts, kind_of, summed_up
from vggt_lite.evaluation.report import Report, figure_rows
from vggt_lite.evaluation.scores import Scores
from vggt_lite.export.pinholes import Pinholes
from vggt_lite.geometry import unproject_depth
from vggt_lite.inference.correspondences import find_tracks
from vggt_lite.losses.scene_batch import SceneBatch
from vggt_lite.model.predictions import Predictions
from vggt_lite.synthetic import generate_scenes
from vggt_lite.training.workers import Alone
from vggt_lite.utils.runtime import pick_precision, progress
from vggt_lite.utils.table import markdown_table

FIRST_SEED, PICTURE_SIZE, NUM_SCENES = 1_600_000, 448, 30
ROADS = {
    "network": "what the network predicted from the pictures at its own size",
    "refined": "the network's after `refine`, lenses not known (lens={lens!r})",
    "sift_e": "SIFT and an essential matrix for each pair of views, with the true lenses; no network",
    "mapper": "COLMAP's incremental mapper, lenses not known; no network; what it leaves out counts as wrong",
}
TEXT = (
    "{num_scenes} generated scenes of {kind} that nobody trained on (seeds from {first_seed:,}), {num_views} "
    "views each, pictures of {picture_size} × {picture_size} pixels, the network sees {size} × {size}. "
    "Poses: all pairs of views, the larger of rotation and translation-direction error. Depth: one median "
    "scale per scene, at the network's pixels. Cameras: {road}."
)


def evaluate_pictures(
    model, roads: Sequence[str] = ("network", "refined"), num_scenes: int = NUM_SCENES, num_views: int = 4,
    first_seed: int = FIRST_SEED, picture_size: int = PICTURE_SIZE, scene_config: SceneConfig | None = None,
    lens: str = "each", precision: str = "exact",
) -> dict[str, Report]:  # fmt: skip
    """A report for each road to the cameras of the same pictures.

    Args:
        model: a `VGGT` with camera and depth heads.
        roads: of `ROADS`.
        num_scenes, num_views, first_seed, scene_config: as for `evaluate`.
        picture_size: side of the pictures, pixels; a multiple of the size the model was made for.
        lens: as for `refine`.
        precision: as for `evaluate`.

    Raises:
        ImportError: pycolmap is not installed.
        ValueError: an argument that cannot be.
    """
    check_counts(num_scenes, num_views)
    size, started = model.config.image_size, time.monotonic()
    check_multiple("picture_size", picture_size, size, of="the model's size")
    precision = pick_precision("cpu", precision)
    scene_config = scene_config or SceneConfig()
    constant = ConstantPredictor(scene_config, num_views, size)
    # Of what the mapper leaves out there is no motion to correlate
    scores = {road: Scores(upright=road != "mapper") for road in (*roads, "constant")}
    seconds = {road: 0.0 for road in roads}
    for seed in progress(range(first_seed, first_seed + num_scenes), desc="evaluate", unit="scene"):
        truth = generate_scenes(seed, 1, num_views, picture_size, picture_size, config=scene_config)
        pictures = [(image.permute(1, 2, 0) * 255).round().byte() for image in truth.images[0]]
        small = shrunk(truth, size)
        scores["constant"].add(constant(small.images), small, 1)
        begun = time.monotonic()
        scene = model.reconstruct([picture.numpy() for picture in pictures], precision=precision)
        network = time.monotonic() - begun
        for road in roads:
            begun = time.monotonic()
            add_road(scores[road], road, pictures, scene, truth, small, lens)
            spent = time.monotonic() - begun + (network if road in ("network", "refined") else 0.0)
            seconds[road] += spent / num_scenes
    numbers = {
        "num_scenes": num_scenes, "first_seed": first_seed, "num_views": num_views, "size": size,
        "picture_size": picture_size,
    }  # fmt: skip
    names = [{"name": f"seed {first_seed + index}", "group": ""} for index in range(num_scenes)]
    reports = {}
    for road in roads:
        cameras = ROADS[road].format(lens=lens)
        text = TEXT.format(kind=kind_of(scene_config), road=cameras, **numbers)
        protocol = {"text": text, **numbers, "road": cameras, "seconds_per_scene": round(seconds[road], 2)}
        protocol["scene_config"] = scene_config.to_dict()
        both = {"model": scores[road], "constant": scores["constant"]}
        reports[road] = summed_up(both, names, protocol, "cpu", started, Alone(), precision)
    return reports


def add_road(scores: Scores, road: str, pictures, scene, truth: SceneBatch, small: SceneBatch, lens: str):
    """What one road makes of one scene.

    Args:
        scores: to add to.
        pictures: S of them, (H, W, 3) uint8.
        scene: what the network made of them.
        truth: for these pictures (B = 1). small: at the network's size.
    """
    if road == "network":
        scores.add(as_predictions(scene, small), small, 1)
    elif road == "refined":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a scene that stays as it was counts as it is
            scores.add(as_predictions(scene.refine(lens=lens), small), small, 1)
    elif road == "sift_e":
        cameras = Pinholes(
            truth.cam_from_world[0].double(), truth.intrinsics[0].double(), scene.original_sizes
        )
        scores.begin_scene()
        scores.add_pairs(*essential_matrix_errors(find_tracks(pictures), cameras))
    else:
        cameras, intrinsics = mapped_cameras(pictures)
        intrinsics[:, :2] *= small.images.shape[-1] / pictures[0].shape[1]
        pred = Predictions(
            small.images, cam_from_world=cameras[None].float(), intrinsics=intrinsics[None].float()
        )
        scores.add(pred, small, 1)


def as_predictions(scene, small: SceneBatch) -> Predictions:
    """A `Reconstruction` as the network would have answered, at its own size."""
    return Predictions(
        small.images, cam_from_world=scene.cam_from_world[None], intrinsics=scene.network_intrinsics[None],
        depth=scene.depth[None], point_map=None if scene.point_map is None else scene.point_map[None],
    )  # fmt: skip


def shrunk(truth: SceneBatch, size: int) -> SceneBatch:
    """The truth at the network's size; depth is the mean of the pixels that become one."""
    images = F.interpolate(truth.images.flatten(0, 1), size, mode="area").unflatten(0, truth.images.shape[:2])
    depth = F.interpolate(truth.depth, size, mode="area")  # (1, S, size, size)
    intrinsics = truth.intrinsics.clone()
    intrinsics[..., :2, :] *= size / truth.images.shape[-1]
    point_map = unproject_depth(depth, intrinsics, truth.cam_from_world)
    valid = torch.ones_like(depth, dtype=torch.bool)
    return SceneBatch(images, depth, truth.cam_from_world, intrinsics, point_map, valid)


def side_by_side(reports: dict[str, Report]) -> str:
    """A table with a column for each road, then the constant answer."""
    columns = [(report, "model") for report in reports.values()]
    first = next(iter(reports.values()))
    rows = figure_rows([*columns, (first, "constant")], intervals=True)
    rows.append(
        ["seconds a scene", "↓", *(str(r.protocol["seconds_per_scene"]) for r in reports.values()), ""]
    )
    heads = ("", "", *reports, "constant")
    said = [first.protocol["text"], *(f"{road}: {r.protocol['road']}." for road, r in reports.items())]
    return "\n\n".join([*said[:1], *said[2:], markdown_table(heads, rows, "ll" + "r" * (len(heads) - 2))])
