"""Iterative closest points: a rigid motion that lays one cloud over another without correspondences.

Source: Besl and McKay, "A method for registration of 3-D shapes", IEEE PAMI 14(2), 1992.
"""

import torch
from torch import Tensor

from vggt_lite.geometry import Similarity, umeyama
from vggt_lite.geometry.precision import precise
from vggt_lite.metrics.neighbors import nearest, subsample


def icp(source: Tensor, target: Tensor, max_distance: float, iterations: int = 30) -> Similarity:
    """The rigid motion that brings `source` closest to `target`, starting from where it is.

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
