"""A widened model says what the smaller one said, and then learns more than it could."""

import pytest
import torch

from tests.training.test_parts import SMALL
from vggt_lite import VGGT
from vggt_lite.research.net2net import net2net_widen, shrink_first
from vggt_lite.utils.runtime import seed_everything

WIDE = {
    "dim": 2 * SMALL.dim,
    "num_heads": 2 * SMALL.num_heads,
    "camera_num_heads": 2 * SMALL.camera_num_heads,
}


@pytest.fixture(scope="module")
def small():
    seed_everything(3)
    model = VGGT(SMALL).eval()
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape)  # no zeros, no ones, no ties
    return model


def images(size):
    return torch.rand(2, 3, 3, size, size, generator=torch.Generator().manual_seed(0))


def test_it_gives_the_same_poses_and_every_token_twice(small):
    large = net2net_widen(small, SMALL.with_(**WIDE), token_spread=0.0).eval()
    seen = images(SMALL.image_size)
    with torch.no_grad():
        a, b = small(seen), large(seen)
    for one, other in zip(a.pose_encodings, b.pose_encodings, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-5)
    frame, across = a.patch_tokens.chunk(2, dim=-1)
    torch.testing.assert_close(
        b.patch_tokens, torch.cat([frame, frame, across, across], -1), rtol=1e-4, atol=1e-4
    )


def test_both_copies_of_a_channel_part_at_the_first_gradient(small):
    large = net2net_widen(small, SMALL.with_(**WIDE))
    large(images(SMALL.image_size)).pose_encodings[0].square().sum().backward()
    gradient = large.aggregator.frame_blocks[0].mlp.fc2.weight.grad
    first, second = gradient[: SMALL.dim], gradient[SMALL.dim :]
    assert (first - second).norm() > 0.05 * first.norm()


def test_the_special_tokens_are_told_apart(small):
    registers = net2net_widen(small, SMALL.with_(**WIDE)).aggregator.register_tokens
    a, b = registers[0, 0, :2]
    assert (a - b).std() > 0.015


def test_larger_patches_are_shrunk_before_they_are_read(small):
    kernel = torch.randn(5, 3, 8, 8)
    patch = torch.rand(3, 8, 8).repeat_interleave(2, 1).repeat_interleave(2, 2)  # each pixel as 2 × 2
    grown = shrink_first(kernel, 16)
    flat = torch.full((3, 16, 16), 0.3)
    expected = (kernel * 0.3).sum((1, 2, 3))
    torch.testing.assert_close((grown * flat).sum((1, 2, 3)), expected, rtol=1e-4, atol=1e-4)
    blurred = torch.nn.functional.interpolate(patch[None], size=(8, 8), mode="bilinear", antialias=True)
    torch.testing.assert_close(
        (grown * patch).sum((1, 2, 3)), (kernel * blurred).sum((1, 2, 3)), rtol=1e-3, atol=1e-3
    )


def test_what_is_not_twice_as_wide_is_refused_by_name(small):
    with pytest.raises(ValueError, match=rf"num_heads should be {2 * SMALL.num_heads}, is {SMALL.num_heads}"):
        net2net_widen(small, SMALL.with_(**{**WIDE, "num_heads": SMALL.num_heads}))
    with pytest.raises(ValueError, match="depth should be"):
        net2net_widen(small, SMALL.with_(**WIDE, depth=SMALL.depth + 1))
