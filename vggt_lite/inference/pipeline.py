"""Photographs through the network: `reconstruct`, and the `VGGT` that users hold.

model = VGGT.from_pretrained("tiny")        # trained and bundled
scene = model.reconstruct("photographs/")   # a Reconstruction
"""

import traceback
import warnings
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vggt_lite import model as network
from vggt_lite.config import DEFAULT_MODE, FRAMES_PER_SECOND
from vggt_lite.data.images import load_images
from vggt_lite.data.lens import exif_intrinsics
from vggt_lite.data.pixel_map import PixelMap
from vggt_lite.inference.chunked import chunked
from vggt_lite.inference.known import checked_intrinsics
from vggt_lite.inference.masks import read_masks
from vggt_lite.inference.memory_estimate import memory_advice, ran_out_of_memory
from vggt_lite.inference.reconstruction import Reconstruction
from vggt_lite.inference.time_estimate import long_run, shown
from vggt_lite.pretrained.loading import DTYPES, load_pretrained
from vggt_lite.utils.runtime import pick_device, pick_dtype, pick_precision


@torch.inference_mode(False)  # results stay ordinary tensors: they may be changed, and enter an optimisation
@torch.no_grad()
def reconstruct(
    model,
    source,
    mode: str = DEFAULT_MODE,
    size: int | None = None,
    query_points=None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    frames_per_second: float = FRAMES_PER_SECOND,
    known_intrinsics=None,
    masks=None,
    precision: str = "exact",
) -> Reconstruction:
    """Photographs in, a `Reconstruction` out.

    Args:
        model: a `VGGT`.
        source: a folder, files, a video, pictures or arrays, as for `load_images`; the first is the world.
        mode: how they are brought to one size: "crop" cuts pictures that are taller than wide; "pad" and
            "square" fill them up to a square with white or black.
        size: width (crop) or longer side (pad, square) of the network's input, pixels; None takes the size
            the model was made for.
        query_points: (N, 2) points (x, y) to track, in pixels of the first original photograph.
        device: move the model there first; None leaves it where it is.
        dtype: of the products in the aggregator and the tracker (autocast); camera, depth and point heads
            work in float32 unless precision="fast". None takes what surrounds the call, or
            `pick_dtype(device)`: bfloat16 on a GPU that has it, else float32.
        frames_per_second: how many frames of a video; see `video_frames`.
        known_intrinsics: as for `Reconstruction.with_intrinsics`; "exif" takes those of `exif_intrinsics`.
        masks: as for `Reconstruction.with_masks`. The network sees the whole photographs all the same.
        precision: "fast" lets `pick_dtype` take bfloat16 on a CPU that multiplies it, and dense heads use it
            (`decode_fast`); where there is none it changes nothing. `Reconstruction.made` says what was done.

    Warns:
        UserWarning: the size or the number of views lies outside what the weights were trained on; or the
            scene is not likely to fit into memory, then it says how many views would; or it will take more
            than ten seconds, then it says about how long, and a bar shows how far it is; or precision="fast"
            is not to be had here, and it was computed exactly.

    Raises:
        MemoryError: it did not fit; the same advice, with the allocator's own error as its cause.
        ValueError: a source, size, query point, device, type, lens or mask that cannot be used.
    """
    if dtype is not None and dtype not in DTYPES:
        raise ValueError(f"dtype={dtype!r}: give torch.float32, torch.bfloat16 or torch.float16.")
    if dtype is not None and precision != "exact":
        raise ValueError(f"dtype={dtype} and precision={precision!r} both name a number format: give one.")
    size = model.config.image_size if size is None else size
    batch = load_images(source, mode, size, model.config.patch_size, frames_per_second)
    sizes = [pixel_map.original_size for pixel_map in batch.pixel_maps]
    if known_intrinsics is not None:
        from_exif = isinstance(known_intrinsics, str) and known_intrinsics == "exif"
        known_intrinsics = exif_intrinsics(batch) if from_exif else known_intrinsics
        known_intrinsics = checked_intrinsics(known_intrinsics, sizes)
    masks = None if masks is None else read_masks(masks, batch.names, sizes)
    pixel_center = model.config.pixel_center
    if query_points is not None:
        query_points = _to_query(query_points, batch.pixel_maps[0]) - (0.5 - pixel_center)
    home = next((p.device for p in model.parameters()), torch.device("cpu"))
    device = home if device is None else pick_device(device)
    precision = pick_precision(device, precision)
    context, products = _number_format(model, device, dtype, precision)

    scene = (model, batch.images, device, products, 0 if query_points is None else len(query_points))
    if advice := memory_advice(*scene):
        warnings.warn(advice, stacklevel=2)
    trained_on = getattr(model, "trained_on", None)
    if trained_on and (note := trained_on.note(batch.images)):
        warnings.warn(note, stacklevel=2)
    was_training = model.training
    try:
        model.to(device)
        with context, chunked(model, precision=precision):
            if estimate := long_run(model, batch.images, scene[-1]):
                views, _, height, width = batch.images.shape
                what = f"{views} view{'s' * (views != 1)} of {width}×{height} pixels"
                warnings.warn(f"{what} will take about {estimate} on {device}.", stacklevel=2)
            points = None if query_points is None else query_points.to(device)
            with shown(model, estimate):
                pred = model.eval()(batch.images.to(device), query_points=points)
        result = Reconstruction.from_predictions(pred, batch, pixel_center=pixel_center)
        result.made = {"precision": precision, "products": str(products).removeprefix("torch.")}
        result = result if known_intrinsics is None else result.with_intrinsics(known_intrinsics)
        return result if masks is None else result.with_masks(masks)
    except (RuntimeError, MemoryError) as error:
        if not ran_out_of_memory(error):
            raise
        traceback.clear_frames(error.__traceback__)  # else the error would keep what filled the memory
        raise MemoryError(f"memory ran out. {memory_advice(*scene, failed=True)}") from error
    finally:
        model.train(was_training)


def _number_format(model, device: torch.device, dtype: torch.dtype | None, precision: str):
    """The context in which the network runs, and the type of its aggregator's products."""
    stored = getattr(getattr(model, "aggregator", None), "matrix_dtype", torch.float32)
    if dtype is None and torch.is_autocast_enabled(device.type):
        context, dtype = nullcontext(), torch.get_autocast_dtype(device.type)
    elif (dtype := dtype or pick_dtype(device, precision)) == torch.float32:
        context = torch.autocast(device.type, enabled=False)
    else:
        # Without its cache autocast rounds a matrix anew for each piece of tokens: cheap beside the product,
        # while the cache would hold a second copy of three quarters of the weights.
        context = torch.autocast(device.type, dtype, cache_enabled=False)
    return context, dtype if stored == torch.float32 else stored


def _to_query(points, pixel_map: PixelMap) -> Tensor:
    """(N, 2) original pixels of the first view → network pixels, checked."""
    try:
        points = points if isinstance(points, Tensor) else np.array(points, dtype=np.float32)  # native bytes
        points = torch.as_tensor(points, dtype=torch.float32, device="cpu")
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"query_points are no numbers ({error}): give (N, 2), columns x and y.") from error
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


class VGGT(network.VGGT):
    """The network of `vggt_lite.model.VGGT`, with trained weights and photographs.

    Args:
        config: `NANO`, `TINY`, `VGGT_1B`, or your own `ModelConfig`. Weights are random, drawn from
            torch's global generator.
        block: Builds every frame and global block, as block(dim, num_heads, layer_scale=…, qk_norm=True).
    """

    @classmethod
    def from_pretrained(cls, name: str | Path, **options) -> "VGGT":
        """A trained model: "tiny" or "nano" (bundled), a .safetensors file, a folder, or a hub repository.

        `heads=("camera", "depth")` reads only these, `dtype=torch.bfloat16` stores the aggregator's matrices
        in half the memory. See `vggt_lite.pretrained.load_pretrained` for all options and errors.

        A class derived from this one is built as `cls(config)`. What it adds to the network and the file
        lacks keeps its fresh random values; a warning names it.
        """
        return load_pretrained(name, cls=cls, **options)

    reconstruct = reconstruct
