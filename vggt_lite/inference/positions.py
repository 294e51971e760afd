"""Where the cameras stood, from GPS or a total station: the scene in metres, and in that frame."""

import math
import warnings
from itertools import combinations

import torch
from torch import Tensor

from vggt_lite.geometry import Similarity, camera_center, umeyama
from vggt_lite.inference.known import check_spread, chosen_views, moved, numbers

EARTH = 6_378_137.0, 1 / 298.257223563  # WGS 84: radius at the equator in metres, flattening
LINE = 1e-3  # width of positions, over their length: less is a line, about which the scene could turn
MOST_TRIPLES = 300
NOISE = 0.05  # of the positions' spread: errors beyond it count ever less
OUTLIER = 3.0  # times that: an outlier
FAR_OFF = 5.0  # times the median distance: such a position is named, if it is
NOTICED = 0.05  # of the spread off, too


def aligned_to(scene, positions, views=None):
    """The scene in metres and in the frame of measured camera positions, which may hold outliers.

    The similarity starts from the three positions that agree best with the others; then all count, each
    weighed by how well it fits.

    Args:
        scene: a `Reconstruction` with cameras.
        positions: (n, 3) of camera centres, metres, in a right-handed frame near its origin;
            `local_metres` makes them from GPS. At least three, not on a line.
        views: n indices, counted from 0; None: all views, in order.

    Returns:
        A new `Reconstruction`. The world is the positions' frame, no longer the first camera's. Cameras
        do not stand exactly at the positions: the shape of the scene stays.

    Warns:
        UserWarning: naming the views whose positions are far off.

    Raises:
        ValueError: a shape or a view that cannot be, or positions that leave the similarity open.
    """
    target = numbers(positions, "positions")
    if target.ndim != 2 or target.shape[1] != 3 or len(target) < 3:
        raise ValueError(f"positions have shape {tuple(target.shape)}: give (n, 3), three or more.")
    views = chosen_views(scene, views, len(target), "positions")
    source = camera_center(scene.cam_from_world[views].double())
    for centers, whose in ((target, "positions"), (source, "the predicted cameras of these views")):
        check_spread(centers, whose)
        if on_a_line(centers):
            raise ValueError(
                f"{whose} lie on a line, about which the scene could turn: give others, or more."
            )
    found = robust_similarity(source, target)
    off = (found.apply(source) - target).norm(dim=-1)
    far = (off > FAR_OFF * off.median()) & (off > NOTICED * (target - target.mean(0)).norm(dim=-1).max())
    if far.any():
        listed = ", ".join(f"view {views[i]} by {off[i]:.3g}" for i in far.nonzero()[:, 0].tolist())
        warnings.warn(
            f"positions do not fit the others: {listed} metres (the median is {off.median():.3g}).",
            stacklevel=2,
        )
    return moved(scene, found)


def on_a_line(points: Tensor) -> bool:
    """Whether points (n, 3) leave a rotation open."""
    length, width, _ = torch.linalg.svdvals(points - points.mean(0)).tolist()
    return width <= LINE * length


def robust_similarity(source: Tensor, target: Tensor) -> Similarity:
    """The `Similarity` that lays points (n, 3) over others, of which less than half may be wrong.

    It minimises the sum of Cauchy's loss over all points, from the three points that give the least sum; in
    the end outliers are left out.
    """
    if math.comb(len(source), 3) <= MOST_TRIPLES:
        triples = map(list, combinations(range(len(source)), 3))
    else:
        chance = torch.rand(MOST_TRIPLES, len(source), generator=torch.Generator().manual_seed(0))
        triples = chance.argsort(1)[:, :3].tolist()
    scale = NOISE * (target - target.quantile(0.5, dim=0)).norm(dim=-1).quantile(0.5)

    def squares(fit: Similarity) -> Tensor:
        return ((fit.apply(source) - target) / scale).square().sum(-1)  # (n,)

    best, least = umeyama(source, target), math.inf
    for triple in triples:
        if on_a_line(source[triple]) or on_a_line(target[triple]):
            continue
        tried = umeyama(source[triple], target[triple])
        if (total := squares(tried).log1p().sum().item()) < least:
            best, least = tried, total
    for _ in range(20):  # iteratively reweighted least squares
        best = umeyama(source, target, 1 / (1 + squares(best)))
    good = squares(best) < OUTLIER**2
    if good.sum() < 3 or on_a_line(source[good]) or on_a_line(target[good]):
        return best
    return umeyama(source[good], target[good])


def local_metres(latitude, longitude, altitude) -> Tensor:
    """GPS positions as metres east, north and up of the first one.

    Args:
        latitude, longitude: n numbers each, degrees (WGS 84), north and east positive.
        altitude: n numbers, metres.

    Returns:
        (n, 3) float64. The curved Earth is respected.

    Raises:
        ValueError: different lengths, or a latitude beyond 90° or longitude beyond 180°.
    """
    parts = [
        numbers(x, n) for x, n in ((latitude, "latitude"), (longitude, "longitude"), (altitude, "altitude"))
    ]
    if len({tuple(part.shape) for part in parts}) > 1 or parts[0].ndim != 1 or not len(parts[0]):
        raise ValueError("latitude, longitude and altitude must have the same length: n numbers each.")
    if (parts[0].abs() > 90).any() or (parts[1].abs() > 180).any():
        raise ValueError("latitudes lie in −90 … 90 and longitudes in −180 … 180 degrees: are they swapped?")
    (lat, lon), height = (part.deg2rad() for part in parts[:2]), parts[2]
    radius, flattening = EARTH
    squared = flattening * (2 - flattening)  # eccentricity²
    normal = radius / (1 - squared * lat.sin().square()).sqrt()
    x, y = ((normal + height) * lat.cos() * turn for turn in (lon.cos(), lon.sin()))
    z = (normal * (1 - squared) + height) * lat.sin()
    off = torch.stack([x - x[0], y - y[0], z - z[0]], dim=-1)  # (n, 3) from the Earth's centre
    (sa, ca), (so, co) = ((angle[0].sin().item(), angle[0].cos().item()) for angle in (lat, lon))
    axes = [[-so, co, 0], [-sa * co, -sa * so, ca], [ca * co, ca * so, sa]]  # east, north, up
    return off @ torch.tensor(axes, dtype=torch.float64).T
