"""The nearest point of a cloud, clouds made even, and clouds laid over each other by nearest points (ICP)."""

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from vggt_lite.geometry import Similarity, umeyama
from vggt_lite.geometry.precision import precise


def nearest_distance(points: Tensor, cloud: Tensor) -> Tensor:
    """Distance (N,) from each point (N, 3) to the nearest of a cloud (M, 3)."""
    return nearest(points, cloud)[0]


def nearest(points: Tensor, cloud: Tensor) -> tuple[Tensor, Tensor]:
    """Distance (N,) from each point (N, 3) to the nearest of a cloud (M, 3), and its index (N,).

    Raises:
        ValueError: the cloud is empty.
    """
    if not len(cloud):
        raise ValueError("there is no nearest point in an empty cloud: nothing was left to compare with.")
    tree = cKDTree(cloud.cpu().numpy(), balanced_tree=False)  # built twice as fast, asked as fast
    distance, index = tree.query(points.cpu().numpy(), workers=-1)
    return torch.from_numpy(distance).to(points), torch.from_numpy(index).to(points.device)


def subsample(points: Tensor, count: int) -> Tensor:
    """At most `count` of the points (N, 3), at equal steps through their order."""
    if len(points) <= count:
        return points
    return points[torch.linspace(0, len(points) - 1, count, device=points.device).long()]


def voxel_downsample(points: Tensor, voxel: float) -> Tensor:
    """One point (the mean) for each cube of side `voxel` that holds any of the points (N, 3).

    Clouds from many views are dense where the views overlap; thinned, every piece of surface counts alike.
    DTU's own scripts instead keep points no closer than 0.2 mm in random order.
    """
    if not voxel > 0:
        raise ValueError(f"voxel={voxel} must be positive, in the unit of the points, for example 0.2 mm.")
    exact = precise(points)
    cube = torch.floor(exact / voxel).long()
    _, which, count = torch.unique(cube, dim=0, return_inverse=True, return_counts=True)
    total = exact.new_zeros(len(count), 3).index_add_(0, which, exact)
    return (total / count[:, None]).to(points.dtype)


def icp(source: Tensor, target: Tensor, max_distance: float, iterations: int = 30) -> Similarity:
    """Iterative closest points: the rigid motion that brings `source` closest to `target` from where it is.

    In turn: each point is paired with its nearest point of the target, if that is within `max_distance`;
    then the best motion for these pairs is taken. It finds the nearest good fit, not the best: align first.
    Spann3R's, CUT3R's and π³'s point clouds were refined so after Umeyama, with 0.1 m (DTU: 100 mm).

    Args:
        source: (N, 3).
        target: (M, 3), in the same unit.
        max_distance: pairs farther apart are left out, unit of the clouds.
        iterations: at most so many; fewer once nothing changes by more than a millionth.

    Raises:
        ValueError: fewer than three points have a partner.

    Source: Besl and McKay, "A method for registration of 3-D shapes", IEEE PAMI 14(2), 1992.
    """
    source, target = precise(source), precise(target)
    motion = Similarity(source.new_ones(()), torch.eye(3).to(source), source.new_zeros(3))
    before = (torch.inf, torch.inf)
    for _ in range(iterations):
        moved = motion.apply(source)
        distance, index = nearest(moved, target)
        paired = distance < max_distance
        if paired.sum() < 3:
            raise ValueError(
                f"{int(paired.sum())} of {len(source)} points have a partner within max_distance="
                f"{max_distance}: align the clouds first, or allow more."
            )
        now = (precise(paired).mean().item(), distance[paired].square().mean().sqrt().item())
        if all(abs(a - b) < 1e-6 * max(b, 1e-12) for a, b in zip(before, now, strict=True)):
            break
        before = now
        step = umeyama(moved[paired], target[index[paired]], with_scale=False)
        moved_on = step.rotation @ motion.translation + step.translation
        motion = Similarity(motion.scale, step.rotation @ motion.rotation, moved_on)
    return motion


def refined(cloud: Tensor, target: Tensor, max_distance: float, num_points: int | None = None) -> Tensor:
    """The cloud (N, 3) after `icp`; as it was, if it lies too far from the target (M, 3) for that.

    Args:
        num_points: so many of the cloud, evenly spread, look for their partners; None: all.
    """
    moving = cloud if num_points is None else subsample(cloud, num_points)
    try:
        return icp(moving, target, max_distance).apply(cloud)
    except ValueError:
        return cloud
