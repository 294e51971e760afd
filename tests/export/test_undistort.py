"""Undistorted pictures and pixels, against the formula of radial distortion written down once more."""

import pytest
import torch

from vggt_lite.export.pinholes import Pinholes

pytest.importorskip("pycolmap")
from vggt_lite.export.undistort import undistorted, undistorted_pixels  # noqa: E402

H, W = 120, 160
K = torch.tensor([[130.0, 0, 80], [0, 130, 60], [0, 0, 1]], dtype=torch.float64)


def bent(k: float, straight: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """Where the photograph shows what a pinhole of intrinsics `straight` shows at pixels (N, 2)."""
    ray = (pixels - straight[:2, 2]) / straight[[0, 1], [0, 1]]
    return K[[0, 1], [0, 1]] * ray * (1 + k * ray.square().sum(-1, keepdim=True)) + K[:2, 2]


@pytest.mark.parametrize("k", [-0.2, 0.15])
def test_each_pixel_shows_what_a_pinhole_would_see_there(k):
    cameras = Pinholes(torch.eye(3, 4, dtype=torch.float64)[None], K[None], [(H, W)], torch.tensor([k]))
    y, x = torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij")
    photograph = torch.stack([x + 20, y + 20, torch.full_like(x, 90)], dim=-1).byte()  # says where it is
    (picture,), straight = undistorted([photograph], cameras)
    height, width = straight.sizes[0]
    assert picture.shape == (height, width, 3) and straight.radial is None
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    pixels = torch.stack([x, y], dim=-1).double().flatten(0, 1)
    source = bent(k, straight.intrinsics[0], pixels)
    shown = picture.flatten(0, 1)
    inner = ((source > 2) & (source < torch.tensor([W - 2, H - 2]))).all(-1)
    # A colour is the pixel's index, whose centre lies half a pixel further; rounding adds half a step.
    assert (shown[inner, :2].double() + 0.5 - 20 - source[inner]).abs().max() < 1
    assert (shown[:, 2] == 90).all()  # no black border

    back, seen = undistorted_pixels(
        source[None], torch.ones(1, len(source), dtype=torch.bool), cameras, straight
    )
    assert (back[0] - pixels).abs().max() < 1e-3 and seen.all()
    corner = torch.tensor([[[0.5, 0.5]]]).double()
    back, seen = undistorted_pixels(corner, torch.ones(1, 1, dtype=torch.bool), cameras, straight)
    assert seen.item() == bool((back >= 0).all())


def test_without_distortion_nothing_is_resampled():
    cameras = Pinholes(torch.eye(3, 4)[None], K[None], [(H, W)])
    pictures = [torch.zeros(H, W, 3, dtype=torch.uint8)]
    assert undistorted(pictures, cameras) == (pictures, cameras)
