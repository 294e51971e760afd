"""Photographs that no model here was trained on: pairs with known motion, some with known depth.

    motorcycle   Middlebury 2014, carried by scikit-image: rectified, true depth of the left photograph
    chessboard   thirteen pairs of one stereo rig, in Debian's opencv-doc: true turn and direction
    aloe         Middlebury 2006, in opencv-doc: rectified, true depth of the left photograph

Beside the model stands an answer that never looks: not turned, moved to the right, everything equally far.
For pairs that are rectified it is right about the motion by construction, so the model can only tie there;
depth is where it must do better.
"""

from collections.abc import Iterator
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
from vggt_lite.evaluation.report import Report
from vggt_lite.metrics.poses import relative_pose_errors
from vggt_lite.training.workers import Alone

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
TEXT = (
    "{num_scenes} pairs of photographs in {num_groups} groups that no model of this repository was trained "
    "on, fitted by {mode!r}. Rotation: angle between predicted and true relative rotation. Direction of "
    "motion: angle between predicted and true translation, sign ignored (0 … 90°). Depth, where its truth "
    "is known (left photograph): one median scale per pair where no other alignment is named, the "
    "prediction read at the truth's pixels. The constant answer: not turned, moved to the right, one depth "
    "for all pixels. Mean over groups."
)


class Pair(NamedTuple):
    """Two photographs, where the second camera is, and what is known of the first one's depth."""

    left: object  # whatever `load_images` takes
    right: object
    right_from_left: Tensor  # (3, 4)
    depth: Tensor | None = None  # (H, W) z, 0 = unknown


def evaluate_photographs(
    model, options: Options | None = None, opencv: Path | str | None = None, workers: Alone | None = None
) -> Report:
    """Score a model on the Motorcycle, and on the pairs of opencv-doc if its folder is named.

    Args:
        model: a `VGGT` with camera and depth heads.
        options: mode and size count.
        opencv: the folder of opencv-doc's pictures; None: the Motorcycle alone.
        workers: as for `evaluate`.

    Raises:
        ImportError: scikit-image, which carries the Motorcycle, is not installed.
        FileNotFoundError: a picture is not in `opencv`. A mean over fewer pairs would be another figure.
    """
    options = options or Options()
    about = {"data": "photographs", "text": TEXT, "unit": UNIT, "device": device_of(model)}
    return report_of(
        pairs(opencv), lambda pair: score(model, pair, options), options, **about, workers=workers
    )


def pairs(opencv: Path | str | None = None) -> Iterator[Sample]:
    """The Motorcycle, then the pairs of opencv-doc; arguments and errors as for `evaluate_photographs`."""
    left, right, truth = motorcycle_truth()
    pair = Pair(left, right, truth.cam_from_world[1], truth.depth[0] * truth.valid[0])
    yield Sample("motorcycle", None, "motorcycle", pair)
    if opencv is None:
        return
    for number in RIG_PAIRS:
        files = [picture(opencv, f"{side}{number:02d}.jpg") for side in ("left", "right")]
        yield Sample(f"chessboard {number:02d}", None, "chessboard", Pair(*files, rig()))
    left, right, truth = (picture(opencv, f"aloe{end}") for end in ("L.jpg", "R.jpg", "GT.png"))
    disparity = torch.from_numpy(np.array(open_picture(truth), dtype=np.float32))
    depth = ALOE_FOCAL * ALOE_BASELINE / (disparity + ALOE_OFFSET)
    pair = Pair(left, right, to_the_right(ALOE_BASELINE), torch.where(disparity > 0, depth, 0.0))
    yield Sample("aloe", None, "aloe", pair)


def picture(folder: Path | str, name: str) -> Path:
    """The path of a picture that must be there."""
    path = Path(folder).expanduser() / name
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: give the folder of opencv-doc's pictures (on Debian, after apt-get install "
            "opencv-doc, /usr/share/doc/opencv-doc/examples/data), or none, for the Motorcycle alone."
        )
    return path


def score(model, sample: Sample, options: Options) -> Scored:
    """Motion and depth of one pair."""
    pair = sample.truth
    scene = reconstruction_of(model, [pair.left, pair.right], options)
    if scene.cam_from_world is None or scene.depth is None:
        raise ValueError("pairs of photographs are judged: the model needs its camera and depth heads.")
    first = torch.eye(3, 4)
    true = torch.stack([first, pair.right_from_left]).double()
    blind = relative_pose_errors(torch.stack([first, to_the_right(1.0)]).double(), true)
    found = relative_pose_errors(scene.cam_from_world.double(), true)
    poses = [{"rotation_deg": turn.item(), "translation_deg": way.item()} for turn, way in (found, blind)]
    scored = Scored([str(name) for name in scene.names], *poses, *found)
    if pair.depth is not None:
        height, width = pair.depth.shape
        pixels = scene.pixel_maps[0].to_network(grid((height, width), width).double())
        depth = look_up(scene.depth[0], pixels)
        known = (pair.depth > 0) & depth.isfinite() & (depth > 0)
        for who, guess in (("model", depth), ("constant", torch.ones_like(depth))):
            getattr(scored, who).update(depth_figures(guess, pair.depth, known, ALIGNMENTS))
    return scored


def to_the_right(baseline: float) -> Tensor:
    """(3, 4) a camera that stands so far to the right of the first and looks the same way."""
    camera = torch.eye(3, 4)
    camera[0, 3] = -baseline
    return camera


def rig() -> Tensor:
    """(3, 4) right_from_left of the chessboard pictures, mm."""
    rotation = torch.from_numpy(Rotation.from_rotvec(RIG_ROTATION).as_matrix()).float()
    return torch.cat([rotation, torch.tensor(RIG_TRANSLATION)[:, None]], dim=-1)
