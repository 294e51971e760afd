"""Clear errors for what people really pass to a network."""

import torch
from torch import Tensor

from vggt_lite.config_fields import check_multiple


def check_images(images: Tensor, patch_size: int) -> Tensor:
    """Return images as (B, S, 3, H, W), or say what is wrong with them.

    Raises:
        ValueError: shape, type, size or range.
    """
    if not isinstance(images, Tensor):
        raise ValueError(
            f"images is a {type(images).__name__}; give a tensor, e.g. load_images(paths).images."
        )
    if images.ndim == 4:
        images = images[None]
    if images.ndim != 5 or images.shape[2] != 3:
        raise ValueError(
            f"images has shape {tuple(images.shape)}; expected (S, 3, H, W) or (B, S, 3, H, W), RGB."
        )
    if 0 in images.shape:
        raise ValueError(f"images has shape {tuple(images.shape)}: at least one view is needed.")
    if not images.is_floating_point():
        raise ValueError(f"images has type {images.dtype}; divide by 255 to get floats in [0, 1].")
    for name, size in zip(("height", "width"), images.shape[-2:], strict=True):
        check_multiple(f"image {name}", size, patch_size)  # load_images makes sizes that fit
    low, high = (x.item() for x in images.detach().aminmax())
    if not (-0.01 <= low and high <= 1.01):  # NaN fails too
        raise ValueError(
            f"image values run from {low:.3g} to {high:.3g}; expected [0, 1] without NaN "
            "(divide 8-bit values by 255; mean and standard deviation are applied inside)."
        )
    return images


def check_query_points(points: Tensor, images: Tensor, has_track_head: bool) -> Tensor:
    """Return query points as (B, N, 2), or say what is wrong with them.

    Raises:
        ValueError: no track head, shape, batch size or non-finite values.
    """
    if not has_track_head:
        raise ValueError('query_points given, but this model has no track head; add "track" to config.heads.')
    if points.ndim == 2:
        points = points[None]
    if points.ndim != 3 or points.shape[-1] != 2 or len(points) != len(images):
        raise ValueError(
            f"query_points has shape {tuple(points.shape)}; expected (N, 2) or (B, N, 2) with "
            f"B = {len(images)}, (x, y) in pixels of the first view."
        )
    if not torch.isfinite(points).all():
        raise ValueError("query_points contains NaN or infinity: one such point would spoil every track.")
    return points.to(images.device)
