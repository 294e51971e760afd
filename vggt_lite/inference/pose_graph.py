"""A pose graph over Sim(3): chunks are moved until the disagreement is spread over all joins.

Without a loop the joins form a chain, and the chain of their similarities is the answer. A loop closes the
chain, and small errors that added up along it become visible. Every join then pulls at its two chunks as
firmly as it is exact.
"""

import numpy as np
import torch
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from vggt_lite.geometry import Similarity
from vggt_lite.inference.joins import Join

# What a join is taken to be off by, at least: log scale, radians, part of the median depth. Three views that
# agree say little about how exact they are.
LEAST = 0.03, np.radians(2.0), 0.03


def chained(joins: list[Join], count: int) -> list[Similarity]:
    """World from each of `count` chunks, by joins each of which reaches a chunk for the first time.

    The world is that of chunk 0.
    """
    worlds = [identity()] + [None] * (count - 1)
    for join in joins:
        worlds[join.second] = worlds[join.first].compose(join.first_from_second)
    return worlds


def optimized(worlds: list[Similarity], joins: list[Join], units: list[float]) -> list[Similarity]:
    """The similarities that agree best with all joins; chunk 0 stays.

    Args:
        worlds: world from chunk, the first guess.
        joins: at least one for every chunk but the first.
        units: median depth of each chunk, in its own unit: translations count relative to it.

    Large disagreements count less than their square (soft L1), so that one false join bends little.
    """
    first, second = (np.array([getattr(join, end) for join in joins]) for end in ("first", "second"))
    measured = _stacked([join.first_from_second.inverse() for join in joins])
    found = [(join.scale_spread, np.radians(join.rotation_deg), join.translation) for join in joins]
    weight = 1 / np.maximum(found, LEAST)  # (J, 3)
    unit = np.array(units)[second, None]

    def residuals(x: np.ndarray) -> np.ndarray:
        scale, turn, place = _unpacked(np.concatenate([start[:1], x.reshape(-1, 7)]))
        # second ← first ← world ← second: nothing is left where a join agrees
        back = turn[first].inv()
        between = (
            scale[second] / scale[first],
            back * turn[second],
            back.apply(place[second] - place[first]) / scale[first, None],
        )
        left = _composed(measured, between)
        parts = np.log(left[0])[:, None], left[1].as_rotvec(), left[2] / unit
        return np.concatenate([part * weight[:, [i]] for i, part in enumerate(parts)], axis=1).ravel()

    start = _packed(_stacked(worlds))
    solved = least_squares(residuals, start[1:].ravel(), loss="soft_l1", x_scale="jac")
    scale, turn, place = _unpacked(np.concatenate([start[:1], solved.x.reshape(-1, 7)]))
    return [_similarity(*parts) for parts in zip(scale, turn.as_matrix(), place, strict=True)]


def identity() -> Similarity:
    """The similarity that moves nothing."""
    return _similarity(1.0, np.eye(3), np.zeros(3))


def _similarity(scale: float, rotation: np.ndarray, translation: np.ndarray) -> Similarity:
    return Similarity(*(torch.as_tensor(x, dtype=torch.float64) for x in (scale, rotation, translation)))


def _stacked(similarities: list[Similarity]) -> tuple[np.ndarray, Rotation, np.ndarray]:
    """(n,) scales, n rotations, (n, 3) translations."""
    scale = np.array([float(s.scale) for s in similarities])
    turn = Rotation.from_matrix(np.stack([s.rotation.numpy() for s in similarities]))
    return scale, turn, np.stack([s.translation.numpy() for s in similarities])


def _composed(outer: tuple, inner: tuple) -> tuple[np.ndarray, Rotation, np.ndarray]:
    return outer[0] * inner[0], outer[1] * inner[1], outer[0][:, None] * outer[1].apply(inner[2]) + outer[2]


def _packed(parts: tuple) -> np.ndarray:
    """(n, 7): logarithm of the scale, rotation vector, translation."""
    scale, turn, place = parts
    return np.concatenate([np.log(scale)[:, None], turn.as_rotvec(), place], axis=1)


def _unpacked(x: np.ndarray) -> tuple[np.ndarray, Rotation, np.ndarray]:
    return np.exp(x[:, 0]), Rotation.from_rotvec(x[:, 1:4]), x[:, 4:]
