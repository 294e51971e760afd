"""Two reconstructions that share views → the similarity between their worlds.

A network answers every chunk of views in a unit and a world of its own. In the same pixels of the shared
views both have a depth, so the ratio of depths gives the scale without any matching. Where both were refined,
the same points of the photographs were triangulated in both, which is more exact by far. The shared cameras
give rotation and translation: each of them by itself is one answer, and a robust mean of all is taken.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from vggt_lite.geometry import Similarity, camera_center
from vggt_lite.inference.chunks import Chunk

FEWEST = 15  # refined points that a shared view must have in both, or depth maps are compared
ROUNDS = 20  # of reweighting


@dataclass(frozen=True)
class Join:
    """How chunk `second` lies in the world of chunk `first`, and how far the shared views disagree."""

    first: int
    second: int
    views: tuple[int, ...]  # the shared ones
    first_from_second: Similarity
    by_points: bool  # the scale comes from refined points, not from depth maps
    scale_spread: float  # median deviation of the depth ratios of single views from the scale, relative
    rotation_deg: float  # median angle between the answers of single cameras and the join
    translation: float  # median distance of the shared camera centres ÷ median depth of the shared views

    def __str__(self) -> str:
        views = ", ".join(str(view + 1) for view in self.views)
        how = "points" if self.by_points else "depth"
        return (
            f"chunks {self.first + 1} and {self.second + 1} by views {views}: scale "
            f"{self.first_from_second.scale:.3f} ± {self.scale_spread:.1%} ({how}), cameras apart "
            f"{self.rotation_deg:.2f}° and {self.translation:.1%} of the depth"
        )


def join(chunks: list[Chunk], first: int, second: int) -> Join:
    """The similarity that takes the world of `chunks[second]` into that of `chunks[first]`.

    Raises:
        ValueError: they share fewer than two views, or no depth.
    """
    a, b = chunks[first], chunks[second]
    shared = tuple(view for view in a.views if view in b.views)
    if len(shared) < 2:
        raise ValueError(f"chunks {first + 1} and {second + 1} share {len(shared)} views; joining needs two.")
    in_a, in_b = ([chunk.views.index(view) for view in shared] for chunk in (a, b))
    ratios = [log_depth_ratio(a, i, b, j) for i, j in zip(in_a, in_b, strict=True)]
    by_points = [points for _, points in ratios]
    # points are exact to a part of a percent, depth maps to a tenth: one view with points outweighs maps
    told = [ratio for ratio, points in ratios if ratio is not None and points == any(by_points)]
    if not told:
        raise ValueError(f"chunks {first + 1} and {second + 1} share no pixel with a depth in both.")
    log_scale = float(np.median(told))
    scale = float(np.exp(log_scale))

    pose_a, pose_b = a.cam_from_world[in_a].double(), b.cam_from_world[in_b].double()
    answers = Rotation.from_matrix((pose_a[:, :, :3].mT @ pose_b[:, :, :3]).numpy())
    rotation, angles = robust_rotation(answers)
    centers = camera_center(pose_a).numpy()
    moved = scale * rotation.apply(camera_center(pose_b).numpy())
    translation = robust_mean(centers - moved)
    away = np.linalg.norm(centers - moved - translation, axis=1)
    unit = float(a.depth[in_a][a.depth[in_a] > 0].median())
    similarity = Similarity(
        torch.tensor(scale, dtype=torch.float64), torch.from_numpy(rotation.as_matrix()),
        torch.from_numpy(translation),
    )  # fmt: skip
    spread = float(np.median(np.abs(np.array(told) - log_scale)))
    return Join(
        first, second, shared, similarity, any(by_points), spread,
        float(np.degrees(np.median(angles))), float(np.median(away)) / unit,
    )  # fmt: skip


def log_depth_ratio(a: Chunk, i: int, b: Chunk, j: int) -> tuple[float | None, bool]:
    """Logarithm of the ratio of depths of view i of `a` and view j of `b`, and whether points tell it."""
    mine, others = ((chunk.point_view == view) for chunk, view in ((a, i), (b, j)))
    if mine.any() and others.any():
        # detection is the same for the same photograph, so the same point has the same pixel
        keys = [
            np.ascontiguousarray(chunk.point_pixel[kept].numpy()).view(np.complex64)[:, 0]
            for chunk, kept in ((a, mine), (b, others))
        ]
        _, at_a, at_b = np.intersect1d(*keys, return_indices=True)
        z_a, z_b = a.point_depth[mine][at_a], b.point_depth[others][at_b]
        good = (z_a > 0) & (z_b > 0)
        if good.sum() >= FEWEST:
            return float((z_a[good].double() / z_b[good].double()).log().median()), True
    z_a, z_b = a.depth[i].double(), b.depth[j].double()
    good = (z_a > 0) & (z_b > 0)
    if not good.any():
        return None, False
    ratio = (z_a[good] / z_b[good]).log()
    weight = (a.depth_conf[i][good] * b.depth_conf[j][good]).double().sqrt()
    return weighted_median(ratio, weight), False


def weighted_median(values: Tensor, weights: Tensor) -> float:
    """The value below which half of the weight lies."""
    order = values.argsort()
    total = weights[order].cumsum(0)
    return float(values[order][torch.searchsorted(total, total[-1] / 2)])


def robust_rotation(answers: Rotation) -> tuple[Rotation, np.ndarray]:
    """The rotation with the least sum of angles to the others, and these angles in radians."""
    weights = np.ones(len(answers))
    for _ in range(ROUNDS):
        mean = answers.mean(weights)
        angles = (mean.inv() * answers).magnitude()
        weights = 1 / np.maximum(angles, 1e-6)
    return mean, angles


def robust_mean(points: np.ndarray) -> np.ndarray:
    """(3,) the point with the least sum of distances to (n, 3) points."""
    mean = points.mean(0)
    for _ in range(ROUNDS):
        weights = 1 / np.maximum(np.linalg.norm(points - mean, axis=1), 1e-9 + 1e-6 * np.ptp(points))
        mean = weights @ points / weights.sum()
    return mean


def moved_camera(world_from_chunk: Similarity, cam_from_world: Tensor) -> Tensor:
    """Cameras (V, 3, 4) of a chunk, in the common world and its unit.

    x_cam = R (S⁻¹ x) + t, times the scale, so that the camera is rigid: R' = R Rsᵀ, t' = s t − R' ts.
    """
    rotation = cam_from_world[:, :, :3].double() @ world_from_chunk.rotation.mT
    translation = (
        world_from_chunk.scale * cam_from_world[:, :, 3].double() - rotation @ world_from_chunk.translation
    )
    return torch.cat([rotation, translation[..., None]], dim=-1)
