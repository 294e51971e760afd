"""Photographs as a pinhole would have taken them, by COLMAP's undistortion."""

from dataclasses import replace

import torch
from torch import Tensor

from vggt_lite.export.colmap_model import colmap_lenses, import_pycolmap
from vggt_lite.export.pinholes import Pinholes


def undistorted(pictures: list[Tensor], cameras: Pinholes) -> tuple[list[Tensor], Pinholes]:
    """Photographs (H, W, 3) uint8 and cameras without radial distortion; as they are if there is none.

    Pictures are zoomed and cut a little so that each of their pixels shows the photograph: intrinsics and
    sizes are new ones.
    """
    if cameras.radial is None:
        return pictures, cameras
    pycolmap = import_pycolmap()
    options, bent = pycolmap.UndistortCameraOptions(), colmap_lenses(cameras)
    bitmaps = [pycolmap.Bitmap.from_array(picture.numpy()) for picture in pictures]
    pairs = [pycolmap.undistort_image(options, *pair) for pair in zip(bitmaps, bent, strict=True)]
    intrinsics = torch.stack([torch.from_numpy(lens.calibration_matrix()) for _, lens in pairs])
    sizes = [(lens.height, lens.width) for _, lens in pairs]
    straight = [torch.from_numpy(bitmap.to_array().copy()) for bitmap, _ in pairs]
    return straight, replace(cameras, intrinsics=intrinsics, sizes=sizes, radial=None)


def undistorted_pixels(
    pixels: Tensor, seen: Tensor, bent: Pinholes, straight: Pinholes
) -> tuple[Tensor, Tensor]:
    """Where pixels (S, N, 2) of photographs lie in the undistorted ones, and which of `seen` (S, N) do."""
    pixels, seen = pixels.double().clone(), seen.clone()
    for view, (lens, k) in enumerate(zip(colmap_lenses(bent), straight.intrinsics, strict=True)):
        rays = torch.from_numpy(lens.cam_from_img(pixels[view].numpy()))  # (N, 2): x / z, y / z
        pixels[view] = rays * k[[0, 1], [0, 1]] + k[:2, 2]
        height, width = straight.sizes[view]
        seen[view] &= ((pixels[view] >= 0) & (pixels[view] <= pixels.new_tensor([width, height]))).all(-1)
    return pixels, seen
