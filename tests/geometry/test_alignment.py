"""Umeyama finds the similarity that made one point set from the other."""

import pytest
import torch

from tests.geometry.cases import random_cameras
from vggt_lite.geometry import Similarity, umeyama


def _points(seed: int = 0) -> torch.Tensor:
    return torch.randn(50, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _truth() -> Similarity:
    camera = random_cameras(seed=3)
    return Similarity(torch.tensor(2.5, dtype=torch.float64), camera[:, :3], camera[:, 3])


def _same(a: Similarity, b: Similarity) -> None:
    torch.testing.assert_close(a.scale, b.scale)
    torch.testing.assert_close(a.rotation, b.rotation)
    torch.testing.assert_close(a.translation, b.translation)


def test_umeyama_recovers_a_known_similarity_and_its_inverse():
    source, truth = _points(), _truth()
    found = umeyama(source, truth.apply(source))
    _same(found, truth)
    torch.testing.assert_close(found.inverse().apply(found.apply(source)), source)


def test_points_of_weight_zero_do_not_matter():
    source, truth = _points(), _truth()
    target = truth.apply(source)
    target[:20] += 100
    weights = torch.ones(50)
    weights[:20] = 0
    _same(umeyama(source, target, weights), truth)


def test_without_scale_the_motion_is_rigid_and_lengths_are_kept():
    source, truth = _points(), _truth()
    truth.scale = torch.ones_like(truth.scale)
    _same(umeyama(source, truth.apply(source), with_scale=False), truth)


def test_points_of_a_plane_and_mirror_images_still_give_a_rotation():
    source, truth = _points(), _truth()
    flat = source * torch.tensor([1.0, 1.0, 0.0])
    _same(umeyama(flat, truth.apply(flat)), truth)
    mirrored = umeyama(source, source * torch.tensor([-1.0, 1.0, 1.0]))
    torch.testing.assert_close(torch.det(mirrored.rotation).item(), 1.0)


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (torch.zeros(5, 3), torch.zeros(4, 3), "must both be"),
        (torch.zeros(2, 3), torch.zeros(2, 3), "at least three"),
        (torch.zeros(4, 3), torch.full((4, 3), float("nan")), "finite"),
    ],
)
def test_pairs_that_cannot_be_aligned_are_refused(source, target, message):
    with pytest.raises(ValueError, match=message):
        umeyama(source, target)
