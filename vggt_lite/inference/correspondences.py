"""Points of the photographs, matched between views and joined to tracks.

SIFT points are found at the photographs' own resolution, matched by their descriptors, and verified by a
fundamental matrix for each pair of views: that needs no camera, so wrong predictions cannot spoil it.
"""

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from vggt_lite.data.augment import LUMA
from vggt_lite.data.pixel_map import look_up
from vggt_lite.export.colmap_model import import_pycolmap

LONGEST = 3200  # pixels: larger photographs are searched at this size
RATIO = 0.8  # the best match must be so much nearer, as an angle, than the second best
FEWEST = 15  # verified matches of a pair of views
EPIPOLAR_PX = 2.0  # at 448 pixels


class Tracks(NamedTuple):
    """N points seen in at least two of S views."""

    pixels: Tensor  # (S, N, 2) float64, pixels of the photographs; 0 where not seen
    seen: Tensor  # (S, N) bool
    matches: dict[tuple[int, int], int]  # how many verified matches each pair of views has


def find_tracks(
    pictures: Iterable[Tensor], detector: str = "sift", masks: Sequence[Tensor] | None = None,
    sizes: Sequence[tuple[int, int]] | None = None,
) -> Tracks:  # fmt: skip
    """Tracks over all views.

    Args:
        pictures: S photographs (H, W, 3) uint8, of any sizes; each is looked at once.
        detector: "sift" (pycolmap) or "opencv" (OpenCV's SIFT).
        masks: S masks (H, W) bool, True where points may be; of the sizes of the photographs.
        sizes: (H, W) of the original photographs, in whose pixels the tracks are; None: those of `pictures`.

    Raises:
        ImportError: the library is not installed.
    """
    detect, verify = DETECTORS[detector]()
    points, descriptors, longest = [], [], []
    for view, picture in enumerate(pictures):
        height, width = sizes[view] if sizes else picture.shape[:2]
        found, described = detect(gray(picture))
        found = found * [width / picture.shape[1], height / picture.shape[0]]
        if masks is not None:
            kept = look_up(masks[view], torch.from_numpy(found), False)
            found, described = found[kept.numpy()], described[kept]
        points.append(found)
        descriptors.append(described)
        longest.append(max(height, width))
    matches = {}
    for first, second in combinations(range(len(points)), 2):
        pairs = match(descriptors[first], descriptors[second])
        if len(pairs) >= FEWEST:
            limit = EPIPOLAR_PX * max(longest[first], longest[second], 448) / 448
            pairs = pairs[verify(points[first][pairs[:, 0]], points[second][pairs[:, 1]], limit)]
        if len(pairs) >= FEWEST:
            matches[first, second] = pairs
    return join(points, matches)


def gray(picture: Tensor) -> np.ndarray:
    """(H, W) uint8 luminance."""
    return (picture.float() @ torch.tensor(LUMA)).round().byte().numpy()


def match(first: Tensor, second: Tensor) -> np.ndarray:
    """(M, 2) indices of descriptors (n, C) and (m, C), of length 1, that are each other's best match."""
    if min(len(first), len(second)) < 2:
        return np.zeros((0, 2), np.int64)
    similarity = first @ second.T  # (n, m)
    best, index = similarity.topk(2, dim=1)
    angle = best.clamp(-1, 1).arccos()
    mutual = similarity.argmax(0)[index[:, 0]] == torch.arange(len(first))
    kept = (mutual & (angle[:, 0] < RATIO * angle[:, 1])).nonzero()[:, 0]
    return torch.stack([kept, index[kept, 0]], dim=1).numpy()


def join(points: Sequence[np.ndarray], matches: dict[tuple[int, int], np.ndarray]) -> Tracks:
    """Join matches that share a point. A track with two points in one view is wrong somewhere, and left out.

    Args:
        points: S arrays (n, 2) of pixels.
        matches: (first view, second view) → (M, 2) indices of points.
    """
    start = np.cumsum([0, *map(len, points)])  # all points get one number
    edges = [pairs + start[list(views)] for views, pairs in matches.items()]
    edges = np.concatenate([*edges, np.zeros((0, 2), np.int64)])
    graph = coo_array((np.ones(len(edges), bool), edges.T), shape=(start[-1], start[-1]))
    _, group = connected_components(graph, directed=False)  # (all points,)
    view = np.repeat(np.arange(len(points)), np.diff(start))
    size = np.bincount(group)
    views_of = np.unique(np.stack([group, view]), axis=1)
    distinct = np.bincount(views_of[0], minlength=len(size))
    good = (size >= 2) & (distinct == size)
    number = np.cumsum(good) - 1
    mine = good[group]
    pixels = torch.zeros(len(points), int(good.sum()), 2, dtype=torch.float64)
    seen = torch.zeros(pixels.shape[:2], dtype=torch.bool)
    where = torch.from_numpy(view[mine]), torch.from_numpy(number[group[mine]])
    pixels[where] = torch.from_numpy(np.concatenate(points)[mine]).double()
    seen[where] = True
    return Tracks(pixels, seen, {views: len(pairs) for views, pairs in matches.items()})


def _shrunk(picture: np.ndarray) -> tuple[np.ndarray, float]:
    """The picture with at most `LONGEST` pixels a side, and the factor back to its own size."""
    factor = max(picture.shape) / LONGEST
    if factor <= 1:
        return picture, 1.0
    small = torch.from_numpy(picture)[None, None].float()
    small = torch.nn.functional.interpolate(small, scale_factor=1 / factor, mode="area")
    return small[0, 0].round().byte().numpy(), factor


def _pycolmap():
    pycolmap = import_pycolmap()
    sift = pycolmap.FeatureExtractor.create(device=pycolmap.Device.cpu)

    def detect(picture: np.ndarray) -> tuple[np.ndarray, Tensor]:
        small, factor = _shrunk(picture)
        points, descriptors = sift.extract_from_uint8_array(small)
        points = pycolmap.keypoints_to_matrix(points)[:, :2].astype(np.float64)
        return factor * points, torch.nn.functional.normalize(
            torch.from_numpy(np.array(descriptors.data)).float()
        )

    def verify(first: np.ndarray, second: np.ndarray, limit: float) -> np.ndarray:
        options = pycolmap.RANSACOptions(max_error=limit, max_num_trials=5000, random_seed=0)
        found = pycolmap.estimate_fundamental_matrix(first, second, options)
        return np.zeros(len(first), bool) if found is None else np.asarray(found["inlier_mask"])

    return detect, verify


def _opencv():
    try:
        import cv2
    except ImportError as error:
        raise ImportError('features="opencv" needs OpenCV: pip install opencv-python-headless.') from error
    sift = cv2.SIFT_create(8192)

    def detect(picture: np.ndarray) -> tuple[np.ndarray, Tensor]:
        small, factor = _shrunk(picture)
        found, descriptors = sift.detectAndCompute(small, None)
        points = np.array([keypoint.pt for keypoint in found], np.float64).reshape(-1, 2) + 0.5
        descriptors = torch.from_numpy(np.zeros((0, 128), np.float32) if descriptors is None else descriptors)
        return factor * points, torch.nn.functional.normalize(descriptors, p=1).sqrt()  # RootSIFT

    def verify(first: np.ndarray, second: np.ndarray, limit: float) -> np.ndarray:
        cv2.setRNGSeed(0)
        _, inliers = cv2.findFundamentalMat(first, second, cv2.FM_RANSAC, limit, 0.999, 5000)
        return np.zeros(len(first), bool) if inliers is None else inliers[:, 0].astype(bool)

    return detect, verify


DETECTORS = {"sift": _pycolmap, "opencv": _opencv}
