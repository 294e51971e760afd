"""Photographs that no model here was trained on: known rotations, known motion, some with known depth.

    panoramas    bundled: views of twelve panoramas, rotation and field of view exact, no motion, no depth
    motorcycle   Middlebury 2014, carried by scikit-image: rectified, true depth of the left photograph
    chessboard   thirteen pairs of one stereo rig, in Debian's opencv-doc: true turn and direction
    aloe         Middlebury 2006, in opencv-doc: rectified, true depth of the left photograph

The first two are always scored, so that their figures do not depend on what else is installed. Each group is
another task with truth of its own: they stand side by side in the report, and no mean over them is shown.

Beside the model stands an answer that never looks: not turned, moved to the right, everything equally far,
60° wide. For pairs that are rectified it is right about the motion by construction, so the model can only tie
there; depth is where it must do better.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from vggt_lite.data.pictures import open_picture
from vggt_lite.data.pixel_map import look_up
from vggt_lite.evaluation.datasets.benchmark import device_of, report_of
from vggt_lite.evaluation.datasets.sample import Options, Sample, Scored, grid, reconstruction_of
from vggt_lite.evaluation.examples import motorcycle_truth
from vggt_lite.evaluation.metric_groups import UNITLESS, depth_figures
from vggt_lite.evaluation.panoramas import PanoramaViews, panorama_views
from vggt_lite.evaluation.report import Report
from vggt_lite.inference import Reconstruction
from vggt_lite.metrics.poses import relative_pose_errors
from vggt_lite.training.workers import Alone
from vggt_lite.utils.runtime import pick_precision

# The rig of left01.jpg … right14.jpg: R as a rotation vector (radians) and t (mm). Found once by OpenCV 5.0:
# findChessboardCorners, cornerSubPix and stereoCalibrate on all 13 pairs, 0.22 pixels RMS; either half of the
# pairs alone gives the same within 0.05° and 0.1°.
RIG_ROTATION, RIG_TRANSLATION = (0.007127, 0.004201, -0.003519), (-83.176, 0.920, -0.118)
RIG_PAIRS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14)
# Aloe, full size, as the data set's page gives it: focal length (pixels), baseline (m), and what cutting the
# photographs took from each disparity.
ALOE_FOCAL, ALOE_BASELINE, ALOE_OFFSET = 3740.0, 0.160, 270.0
UNIT = "metres"
ALIGNMENTS = tuple(name for name in UNITLESS if name != "median_per_image")  # one image has truth
BLIND_FOV = 60.0  # degrees
TEXT = (
    "Photographs that no model of this repository was trained on, fitted by {mode!r}; each group by itself. "
    "Panoramas: views cut from panoramas, two pairs and a set of four of each, so that rotations and the "
    "field of view are exact; the camera only turned, so neither motion nor depth is judged. Stereo pairs: "
    "two photographs; depth of the left one, where its truth is known. Rotation: angle between predicted and "
    "true relative rotation of each pair of views, mean and median over those of a panorama. Field of view: "
    "horizontal. Direction of motion: angle between predicted and true translation, sign ignored (0 … 90°). "
    "Depth: one median scale per pair where no other alignment is named, the prediction read at the truth's "
    "pixels. The constant answer: not turned, moved to the right, one depth for all pixels, 60° wide. Of a "
    "group: means over its panoramas or pairs, with 95 % bootstrap intervals."
)


class Pair(NamedTuple):
    """Two photographs, where the second camera is, and what is known of the first one's depth."""

    left: object  # whatever `load_images` takes
    right: object
    right_from_left: Tensor  # (3, 4)
    depth: Tensor | None = None  # (H, W) z, 0 = unknown
    fov: float | None = None  # horizontal, degrees


def evaluate_photographs(
    model, options: Options | None = None, opencv: Path | str | None = None, workers: Alone | None = None
) -> Report:
    """Score a model on the panoramas and the Motorcycle; on opencv-doc's pairs, too, if its folder is named.

    Args:
        model: a `VGGT` with camera and depth heads.
        options: mode, size and precision count.
        opencv: the folder of opencv-doc's pictures; None: without them.
        workers: as for `evaluate`.

    Raises:
        ImportError: scikit-image, which carries the Motorcycle, is not installed.
        FileNotFoundError: a picture is not in `opencv`. A mean over fewer pairs would be another figure.
    """
    options, device = options or Options(), device_of(model)
    options = replace(options, precision=pick_precision(device, options.precision))
    about = {"data": "photographs", "text": TEXT, "unit": UNIT, "device": device}
    samples = chain(panoramas(), pairs(opencv))
    report = report_of(
        samples, lambda sample: score(model, sample, options), options, **about, workers=workers
    )
    report.protocol["apart"] = True
    return report


def panoramas() -> Iterator[Sample]:
    """The bundled views, all sets of a panorama together."""
    for name, sets in groupby(panorama_views(), key=lambda views: views.panorama):
        yield Sample(name, None, "panoramas", list(sets))


def pairs(opencv: Path | str | None = None) -> Iterator[Sample]:
    """The Motorcycle, then the pairs of opencv-doc; arguments and errors as for `evaluate_photographs`."""
    left, right, truth = motorcycle_truth()
    fov = fov_of(truth.intrinsics[0, 0, 0].item(), left.shape[1])
    pair = Pair(left, right, truth.cam_from_world[1], truth.depth[0] * truth.valid[0], fov)
    yield Sample("motorcycle", None, "motorcycle", pair)
    if opencv is None:
        return
    for number in RIG_PAIRS:
        files = [picture(opencv, f"{side}{number:02d}.jpg") for side in ("left", "right")]
        yield Sample(f"chessboard {number:02d}", None, "chessboard", Pair(*files, rig()))
    left, right, truth = (picture(opencv, f"aloe{end}") for end in ("L.jpg", "R.jpg", "GT.png"))
    disparity = torch.from_numpy(np.array(open_picture(truth), dtype=np.float32))
    depth = ALOE_FOCAL * ALOE_BASELINE / (disparity + ALOE_OFFSET)
    depth = torch.where(disparity > 0, depth, 0.0)
    fov = fov_of(ALOE_FOCAL, disparity.shape[1])
    pair = Pair(left, right, to_the_right(ALOE_BASELINE), depth, fov)
    yield Sample("aloe", None, "aloe", pair)


def picture(folder: Path | str, name: str) -> Path:
    """The path of a picture that must be there."""
    path = Path(folder).expanduser() / name
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: give the folder of opencv-doc's pictures (on Debian, after apt-get install "
            "opencv-doc, /usr/share/doc/opencv-doc/examples/data), or none."
        )
    return path


def score(model, sample: Sample, options: Options) -> Scored:
    """What a model makes of one panorama's views, or of one pair."""
    return (score_turns if sample.group == "panoramas" else score_pair)(model, sample.truth, options)


def score_turns(model, sets: list[PanoramaViews], options: Options) -> Scored:
    """Rotations and fields of view of all sets of one panorama."""
    names, turns, fovs = [], {"model": [], "constant": []}, {"model": [], "constant": []}
    for number, views in enumerate(sets):
        scene = seen(model, views.pictures, options)
        true = views.cam_from_world.double()
        guesses = {
            "model": scene.cam_from_world.double(),
            "constant": torch.eye(3, 4).repeat(len(true), 1, 1),
        }
        for who, guess in guesses.items():
            turns[who].append(relative_pose_errors(guess.double(), true)[0])
        fovs["model"] += [abs(fov - views.fov) for fov in fovs_of(scene)]
        fovs["constant"] += len(true) * [abs(BLIND_FOV - views.fov)]
        names += [f"set {number}, view {view}" for view in range(len(true))]
    figures = [turn_figures(torch.cat(turns[who]), fovs[who]) for who in ("model", "constant")]
    return Scored(names, *figures)


def score_pair(model, pair: Pair, options: Options) -> Scored:
    """Motion, depth and field of view of one pair."""
    scene = seen(model, [pair.left, pair.right], options)
    first = torch.eye(3, 4)
    true = torch.stack([first, pair.right_from_left]).double()
    blind = relative_pose_errors(torch.stack([first, to_the_right(1.0)]).double(), true)
    found = relative_pose_errors(scene.cam_from_world.double(), true)
    fovs = ([], []) if pair.fov is None else (fovs_of(scene), [BLIND_FOV])
    poses = [
        turn_figures(turn, [abs(fov - pair.fov) for fov in wide]) | {"translation_deg": way.item()}
        for (turn, way), wide in zip((found, blind), fovs, strict=True)
    ]
    scored = Scored([str(name) for name in scene.names], *poses)
    if pair.depth is not None:
        height, width = pair.depth.shape
        pixels = scene.pixel_maps[0].to_network(grid((height, width), width).double())
        depth = look_up(scene.depth[0], pixels)
        known = (pair.depth > 0) & depth.isfinite() & (depth > 0)
        for who, guess in (("model", depth), ("constant", torch.ones_like(depth))):
            getattr(scored, who).update(depth_figures(guess, pair.depth, known, ALIGNMENTS))
    return scored


def seen(model, photographs, options: Options) -> Reconstruction:
    """Raises: ValueError: a model without cameras or depth."""
    scene = reconstruction_of(model, photographs, options)
    if scene.cam_from_world is None or scene.depth is None:
        raise ValueError("photographs are judged: the model needs its camera and depth heads.")
    return scene


def turn_figures(rotations: Tensor, fovs: list[float]) -> dict[str, float]:
    """By the keys of `metric_table.ROWS`; rotation errors (pairs,), errors of fields of view: degrees."""
    figures = {"rotation_median_deg": float(np.median(rotations)), "rotation_deg": rotations.mean().item()}
    return figures | ({"fov_deg": float(np.mean(fovs))} if fovs else {})


def fov_of(focal: float, width: int) -> float:
    """Degrees, from pixels."""
    return 2 * math.degrees(math.atan(width / 2 / focal))


def fovs_of(scene: Reconstruction) -> list[float]:
    """Horizontal field of view of each whole photograph, degrees."""
    focals = scene.intrinsics[:, 0, 0].tolist()
    return [
        fov_of(focal, part.original_size[1]) for focal, part in zip(focals, scene.pixel_maps, strict=True)
    ]


def to_the_right(baseline: float) -> Tensor:
    """(3, 4) a camera that stands so far to the right of the first and looks the same way."""
    camera = torch.eye(3, 4)
    camera[0, 3] = -baseline
    return camera


def rig() -> Tensor:
    """(3, 4) right_from_left of the chessboard pictures, mm."""
    rotation = torch.from_numpy(Rotation.from_rotvec(RIG_ROTATION).as_matrix()).float()
    return torch.cat([rotation, torch.tensor(RIG_TRANSLATION)[:, None]], dim=-1)
