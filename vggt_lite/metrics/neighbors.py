"""The nearest point of a cloud, and clouds made even: what surface metrics and ICP are built on."""

import torch
from scipy.spatial import cKDTree
from torch import Tensor

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
