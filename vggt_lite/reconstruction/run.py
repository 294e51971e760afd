"""Photographs through the network: `reconstruct`."""

import torch
from torch import Tensor

from vggt_lite.reconstruction.scene import Reconstruction
from vggt_lite.scenes.images import load_images
from vggt_lite.scenes.pixel_map import PixelMap


@torch.inference_mode(False)  # results stay ordinary tensors: they may be changed, and enter an optimisation
@torch.no_grad()
def reconstruct(
    model,
    source,
    mode: str = "pad",
    size: int | None = None,
    query_points=None,
    device: torch.device | str | None = None,
) -> Reconstruction:
    """Photographs in, a `Reconstruction` out.

    Args:
        model: a `VGGT`.
        source: a folder, files, pictures or arrays, as `load_images` takes them; the first is the world.
        mode: how they are brought to one size: "pad" loses nothing, "crop" cuts tall pictures, "square".
        size: width (crop) or longer side (pad, square) of the network's input, pixels; None takes the size
            the model was made for.
        query_points: (N, 2) points (x, y) to track, in pixels of the first original photograph.
        device: move the model there first; None leaves it where it is.
    """
    batch = load_images(source, mode, size or model.config.image_size, model.config.patch_size)
    if device is not None:
        model.to(device)
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    pixel_center = model.config.pixel_center
    if query_points is not None:
        query_points = _to_query(query_points, batch.pixel_maps[0]) - (0.5 - pixel_center)
        query_points = query_points.to(device)
    was_training = model.training
    try:
        pred = model.eval()(batch.images.to(device), query_points=query_points)
    finally:
        model.train(was_training)
    return Reconstruction.from_predictions(pred, batch, pixel_center=pixel_center)


def _to_query(points, pixel_map: PixelMap) -> Tensor:
    """(N, 2) original pixels of the first view → network pixels, checked."""
    points = torch.as_tensor(points, dtype=torch.float32)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"query_points has shape {tuple(points.shape)}: give (N, 2), columns x and y.")
    points = pixel_map.to_network(points)
    height, width = pixel_map.network_size
    outside = ~((points >= 0) & (points <= torch.tensor([width, height]))).all(1)
    if outside.any():
        raise ValueError(
            f"query_points {outside.nonzero()[:, 0].tolist()[:5]} lie outside what the network sees of the "
            f"first photograph, {pixel_map.original_size[1]}×{pixel_map.original_size[0]} pixels (x, y)."
        )
    return points
