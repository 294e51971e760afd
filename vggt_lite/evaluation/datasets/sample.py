"""What the data sets share: a scene with its chosen frames, how it is shown to a model, and poses judged."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from vggt_lite.config import DEFAULT_MODE
from vggt_lite.data.parse import picture_size
from vggt_lite.data.views import Views
from vggt_lite.evaluation.metric_groups import path_figures
from vggt_lite.geometry import camera_center, unproject_depth
from vggt_lite.inference import Reconstruction
from vggt_lite.metrics.poses import pose_scores, relative_pose_errors


@dataclass(frozen=True)
class Options:
    """What a user may change about a protocol; the report says what it was."""

    num_views: int | None = None  # frames of a scene; None: what the protocol takes
    seed: int = 0  # for the choice of frames
    mode: str = DEFAULT_MODE  # how photographs reach the network's size; the release's loader crops
    size: int | None = None  # of the network's input, pixels; None: what the model was made for
    query_mode: str = "first"  # TAP-Vid
    icp: float | None = None  # refine points by ICP within this distance, unit of the truth
    precision: str = "exact"  # as for `reconstruct`


@dataclass(frozen=True)
class Sample:
    """The frames of one scene, in the order in which the model gets them; the first is the reference.

    Raises:
        ValueError: naming the scene and the picture, if `views` are nothing to compare with.
    """

    name: str
    views: Views
    group: str = ""  # scenes of one group are averaged first
    truth: object = None  # what else the data set knows, for its own `score`

    def __post_init__(self) -> None:
        if self.views is None:
            return
        centers, where = camera_center(self.views.cam_from_world), f"{self.views.cameras_file}: {self.name}"
        if len(self.views) < 2 or (centers - centers[0]).norm(dim=-1).max() <= 1e-9 * (1 + centers[0].norm()):
            raise ValueError(f"{where} has only one camera, or all at one place: leave this scene out.")
        for view in self.views.views:
            rotation = view.cam_from_world[:, :3]
            if (rotation @ rotation.mT - torch.eye(3)).abs().max() > 1e-3 or rotation.det() < 0:
                raise ValueError(f"{where}: the camera of {view.image.name} has no rotation: leave it out.")
            if picture_size(view.image) != view.size:
                raise ValueError(f"{view.image} is not of the size of its camera, {view.size} (H, W).")


@dataclass
class Scored:
    """What one scene gave."""

    frames: list[str]
    model: dict[str, float]
    constant: dict[str, float] = field(default_factory=dict)
    rotation: Tensor | None = None  # (pairs,) degrees
    translation: Tensor | None = None


def random_frames(count: int, wanted: int, seed: int) -> list[int]:
    """`wanted` different numbers below `count`, in random order; the same for the same seed and count.

    NumPy's old generator, whose draws are fixed for good. Each scene is drawn anew from the seed: its frames
    do not depend on which other scenes are there. (The released code draws one scene after the other from
    one generator, so that its lists are others.)
    """
    return np.random.RandomState(seed).choice(count, min(wanted, count), replace=False).tolist()


def reconstruction_of(model, photographs: Sequence, options: Options, **arguments) -> Reconstruction:
    """What a model makes of photographs; another's `reconstruct` need not know of a precision."""
    if options.precision != "exact":
        arguments["precision"] = options.precision
    return model.reconstruct(list(photographs), mode=options.mode, size=options.size, **arguments)


def score_poses(model, sample: Sample, options: Options) -> tuple[Reconstruction, Scored]:
    """What a model makes of a sample's photographs, and its poses by the keys of `metric_table.ROWS`."""
    views = sample.views
    scene = reconstruction_of(model, [view.image for view in views.views], options)
    if scene.cam_from_world is None:
        raise ValueError("poses are judged: the model needs its camera head.")
    rotation, translation = relative_pose_errors(scene.cam_from_world.double(), views.cam_from_world)
    found = pose_scores(rotation, translation, thresholds=(3, 5, 15, 30))
    keys = ("auc@3", "auc@5", "auc@15", "auc@30", "auc_min@30", "rra@15", "rta@15")
    figures = {key.replace("@", "_"): 100 * found[key] for key in keys}
    figures |= path_figures(scene.cam_from_world.double(), views.cam_from_world)
    return scene, Scored(views.names, figures, rotation=rotation, translation=translation)


def grid(size: tuple[int, int], most_columns: int) -> Tensor:
    """(h, w, 2) pixel centres (x, y) of every k-th column and row of a picture of `size` (H, W)."""
    step = -(-size[1] // most_columns)
    rows, columns = (torch.arange(step // 2, side, step) + 0.5 for side in size)
    return torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1)  # (h, w, 2)


def point_maps(scene: Reconstruction, source: str) -> Tensor:
    """(S, h, w, 3) points of the world on the network's pixels, from "depth" and cameras or "point_map"."""
    if source == "point_map":
        return scene.point_map
    return unproject_depth(scene.depth, scene.network_intrinsics, scene.cam_from_world)
