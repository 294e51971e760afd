"""The old form that benchmarks compare with must be the same network."""

import pytest
import torch

from benchmarks.released_form import position_map, released_autocast, released_form
from vggt_lite import NANO, VGGT
from vggt_lite.model.dense_head import add_positions_


@pytest.fixture
def model() -> VGGT:
    torch.manual_seed(0)
    return VGGT(NANO).eval()


def test_old_and_new_form_give_the_same_numbers(model):
    images, points = torch.rand(3, 3, 64, 48), torch.tensor([[10.0, 20.0], [30.5, 5.0]])
    with torch.no_grad():
        new = model(images, points)
        with released_form():
            old = model(images, points)
        again = model(images, points)
    for name in ("pose_encoding", "depth", "depth_conf", "point_map", "point_conf", "tracks"):
        torch.testing.assert_close(getattr(new, name), getattr(old, name), rtol=1e-4, atol=1e-5)
        assert torch.equal(getattr(new, name), getattr(again, name)), "the old form was not put away"
    assert not torch.equal(old.depth, new.depth), "both are the same form: nothing is compared"


def test_under_autocast_the_heads_of_the_old_form_are_rounded_too(model):
    images = torch.rand(2, 3, 48, 64)
    with torch.no_grad():
        exact = model(images)
        with released_autocast():
            rounded = model(images)
        again = model(images)
    for name in ("pose_encoding", "depth", "point_map"):
        one, other = getattr(rounded, name), getattr(exact, name)
        assert one.dtype == torch.bfloat16 and torch.equal(other, getattr(again, name))
        torch.testing.assert_close(one.float(), other, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("size", [(5, 7), (28, 37)])
def test_separable_positions_are_the_full_map(size):
    full = 0.1 * position_map(*size, 32, size[1] / size[0], torch.device("cpu"))
    x = torch.randn(2, 32, *size)
    torch.testing.assert_close(add_positions_(x.clone(), size[1] / size[0]) - x, full.expand(2, -1, -1, -1))
