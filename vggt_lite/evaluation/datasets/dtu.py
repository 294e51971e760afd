"""DTU MVS, the 22 evaluation scans, against the scanner's points: VGGT's table 2, cameras not given.

    ROOT/Rectified/scanN/rect_VVV_3_r5000.png     photographs 1 … 49, brightest light
    ROOT/Calibration/cal18/pos_VVV.txt            3 × 4 projection matrices, mm
    ROOT/Points/stl/stlNNN_total.ply              the scanner's points
    ROOT/ObsMask/ObsMaskN_10.mat, PlaneN.mat      where the scanner could see; the table's plane

ROOT is the folder "MVS Data" of SampleSet.zip, into which Points.zip and Rectified.zip are unpacked as well.

Source: roboimagedata.compute.dtu.dk; Jensen et al., CVPR 2014; the steps of its evaluation scripts:
predicted points thinned to 0.2 mm; accuracy over those in the observed volume; completeness over the
scanner's points above the table; distances above 20 mm dropped.
"""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.linalg import rq
from torch import Tensor

from vggt_lite.data.parse import numbers, picture_size, pinhole, read_lines
from vggt_lite.data.views import View, Views
from vggt_lite.evaluation.datasets.matlab import read_mat
from vggt_lite.evaluation.datasets.sample import Options, Sample, Scored, point_maps, score_poses
from vggt_lite.evaluation.metric_groups import surface_figures
from vggt_lite.export import read_ply
from vggt_lite.geometry import camera_center, umeyama
from vggt_lite.metrics.neighbors import nearest_distance, refined, voxel_downsample

SCANS = (1, 4, 9, 10, 11, 12, 13, 15, 23, 24, 29, 32, 33, 34, 48, 49, 62, 75, 77, 110, 114, 118)
NUM_VIEWS = 49
VOXEL, MOST, ICP_DISTANCE = 0.2, 20.0, 20.0  # mm
ICP_POINTS = 50_000
UNIT = "mm"
TEXT = (
    "DTU, {num_scenes} evaluation scans, {num_views} views each in the order of their numbers, light 3, "
    "photographs fitted by {mode!r}; cameras are not given. Points of all views, no confidence threshold, "
    "are laid over the truth by the similarity (Umeyama) of predicted and true camera centres, then by "
    "rigid point-to-point ICP (pairs within 20 mm). Thinned to one point per 0.2 mm cube; Accuracy in the "
    "observed volume, Completeness above the table; distances above 20 mm dropped. Poses: all pairs, the "
    "larger error, AUC over whole degrees. Mean over scans. How VGGT's own table aligned its points was "
    "never published."
)


def samples(root: Path, options: Options) -> Iterator[Sample]:
    """The evaluation scans that are there.

    Raises:
        ValueError: none is, or a file is missing.
    """
    there = {int(m[1]): f for f in root.glob("Rectified/scan*") if (m := re.fullmatch(r"scan(\d+)", f.name))}
    scans = [scan for scan in SCANS if scan in there]
    if not scans:
        raise ValueError(
            f'{root} has no Rectified/scan1 or another evaluation scan: give the folder "MVS Data" of DTU.'
        )
    for scan in scans:
        views = read_views(root, there[scan])
        views = views.choose(min(options.num_views or NUM_VIEWS, len(views)))
        Truth.read(root, scan)  # says what is wrong with it before any work
        yield Sample(f"scan{scan}", views, truth=partial(Truth.read, root, scan))


def read_views(root: Path, folder: Path) -> Views:
    """The photographs of a scan under light 3, with their cameras in mm."""
    views = []
    for file in sorted(folder.glob("rect_*_3_r5000.png")):
        calibration = root / "Calibration" / "cal18" / f"pos_{file.name[5:8]}.txt"
        rows = [line.split() for line in read_lines(calibration) if line]
        projection = numbers(rows, str(calibration), 3, 4)
        if not torch.det(projection[:, :3] / projection[:, :3].norm()).abs() > 1e-12:
            raise ValueError(f"{calibration} is no camera, its matrix is singular: download it again.")
        intrinsics, cam_from_world = decompose(projection)
        views.append(View(file, picture_size(file), cam_from_world, intrinsics))
    if not views:
        raise ValueError(f"{folder} has no rect_001_3_r5000.png: unpack DTU's Rectified.zip.")
    return Views("DTU", views, root / "Calibration" / "cal18", units="mm", source=f"DTU, {folder.name}")


def decompose(projection: Tensor) -> tuple[Tensor, Tensor]:
    """K (3, 3) and cam_from_world (3, 4) of a projection matrix (3, 4), whose scale is free."""
    k, rotation = map(torch.from_numpy, rq(projection[:, :3].numpy()))  # P's left part is K R
    signs = torch.diag(k.diagonal().sign())  # focal lengths are positive
    k, rotation = k @ signs, signs @ rotation
    if torch.det(rotation) < 0:  # −P is the same camera
        rotation, projection = -rotation, -projection
    translation = torch.linalg.solve(k, projection[:, 3:])
    k = k / k[2, 2]
    return pinhole(k[0, 0], k[1, 1], k[0, 2], k[1, 2]), torch.cat([rotation, translation], dim=-1)


def score(model, sample: Sample, options: Options) -> Scored:
    """Points from both roads, and poses, of one scan."""
    scene, scored = score_poses(model, sample, options)
    truth, observed = sample.truth()
    over = umeyama(camera_center(scene.cam_from_world.double()), camera_center(sample.views.cam_from_world))
    for source in scene.sources:
        shown = scene.valid & point_maps(scene, source).isfinite().all(-1)
        cloud = over.apply(point_maps(scene, source)[shown].double())
        cloud = refined(cloud, voxel_downsample(truth, 5 * VOXEL), ICP_DISTANCE, ICP_POINTS)
        found = judge(cloud, truth, observed)
        scored.model |= surface_figures(found, source)
    return scored


def judge(cloud: Tensor, truth: Tensor, observed: "Observed") -> dict[str, float]:
    """DTU's figures for an aligned cloud (N, 3) and the scanner's points (M, 3), mm.

    Where all distances were dropped the figures are 20 mm, lest a scan that failed be left out of the mean.
    """
    cloud = voxel_downsample(cloud, VOXEL)
    inside, seen = observed.volume(cloud)
    found = {}
    for name, points, other in (
        ("accuracy", cloud[seen], truth),
        ("completeness", truth[observed.above(truth)], cloud[inside]),
    ):
        distance = nearest_distance(points, other) if len(points) and len(other) else truth.new_zeros(0)
        distance = distance[distance < MOST]
        distance = distance if len(distance) else truth.new_tensor([MOST])
        found[name] = distance.mean().item()
        found[f"{name}_median"] = float(np.median(distance.cpu()))
    return found | {"chamfer": (found["accuracy"] + found["completeness"]) / 2}


class Truth(NamedTuple):
    """What a prediction of one scan is compared with."""

    points: Tensor  # (M, 3) float64 mm, the scanner's
    observed: "Observed"

    @classmethod
    def read(cls, root: Path, scan: int) -> "Truth":
        """From stlNNN_total.ply, ObsMaskN_10.mat and PlaneN.mat.

        Raises:
            ValueError, FileNotFoundError: a file is missing or broken, or they leave nothing to compare with.
        """
        cloud = root / "Points" / "stl" / f"stl{scan:03d}_total.ply"
        volume, table = root / "ObsMask" / f"ObsMask{scan}_10.mat", root / "ObsMask" / f"Plane{scan}.mat"
        mask, box, cell = read_mat(volume, "ObsMask", "BB", "Res")
        corner = numbers(box, f"{volume}: BB", 2, 3)[0]
        cell = numbers(cell.ravel(), f"{volume}: Res", 1).item()
        if mask.ndim != 3 or not mask.size or not cell > 0:
            raise ValueError(f"{volume}: ObsMask is {mask.shape}, Res {cell}: give (X, Y, Z) and mm.")
        plane = numbers(read_mat(table, "P")[0].ravel(), f"{table}: P", 4)
        points, observed = read_ply(cloud).double(), Observed(mask > 0, corner, cell, plane)
        if not (observed.volume(points)[1].any() and observed.above(points).any()):
            raise ValueError(f"{cloud} has no point in {volume.name} above {table.name}: copy all three.")
        return cls(points, observed)


class Observed:
    """Which part of space DTU's scanner could judge: a grid of yes and no, and a plane."""

    def __init__(self, mask: np.ndarray, corner: np.ndarray, cell: float, plane: np.ndarray) -> None:
        self.mask = torch.from_numpy(np.ascontiguousarray(mask, dtype=bool))  # (X, Y, Z)
        self.corner = torch.from_numpy(np.asarray(corner, dtype=np.float64))  # (3,) mm, of cell (0, 0, 0)
        self.cell = float(cell)  # mm
        self.plane = torch.from_numpy(np.asarray(plane, dtype=np.float64).reshape(4))

    def volume(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """(N,) bool each: inside the grid; and in a cell of it that was observed."""
        index = ((points - self.corner) / self.cell).round().clamp(-1, max(self.mask.shape)).long()
        limit = torch.tensor(self.mask.shape)
        inside = ((index >= 0) & (index < limit)).all(-1)
        x, y, z = index.clamp_min(0).minimum(limit - 1).unbind(-1)
        return inside, inside & self.mask[x, y, z]

    def above(self, points: Tensor) -> Tensor:
        """(N,) bool: on that side of the table on which the object stands."""
        return points @ self.plane[:3] + self.plane[3] > 0
