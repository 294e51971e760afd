"""Random cameras and the golden rule, for the tests of geometry, losses and metrics."""

import torch

from tests.golden.loader import load, worst_ratio
from vggt_lite.geometry import intrinsics_from_fov, matrix_from_quat_xyzw

GOLDEN = load("functions")


def assert_golden(got: torch.Tensor, key: str) -> None:
    """`got` equals the official code's numbers at the tolerance the golden README states."""
    want = GOLDEN[key]
    assert tuple(got.shape) == tuple(want.shape), f"{key}: shape {tuple(got.shape)}, not {tuple(want.shape)}"
    if not want.any():
        assert not got.any(), f"{key}: must be exactly 0"
        return
    ratio = worst_ratio(got, want)
    assert ratio <= 1, f"{key}: error is {ratio:.3g} × the tolerance"


def random_cameras(*shape: int, seed: int = 0, dtype=torch.float64) -> torch.Tensor:
    """cam_from_world (*shape, 3, 4): any rotation, translation of about 1."""
    g = torch.Generator().manual_seed(seed)
    rotation = matrix_from_quat_xyzw(torch.randn(*shape, 4, generator=g, dtype=dtype))
    return torch.cat([rotation, torch.randn(*shape, 3, 1, generator=g, dtype=dtype)], dim=-1)


def random_intrinsics(*shape: int, image_size: tuple[int, int], seed: int = 0) -> torch.Tensor:
    """(*shape, 3, 3) float64 with fields of view of 40–80°."""
    g = torch.Generator().manual_seed(seed)
    fov = 0.7 + 0.7 * torch.rand(2, *shape, generator=g, dtype=torch.float64)
    return intrinsics_from_fov(fov[0], fov[1], image_size)
