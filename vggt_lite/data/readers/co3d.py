"""CO3Dv2: CATEGORY/frame_annotations.jgz describes all frames of a category, CATEGORY/SEQUENCE holds them.

Cameras are PyTorch3D's: rows are multiplied, x points left and y up. Focal lengths and principal points are
in units of half the picture, from its centre, left and up positive. Depth maps are PNG whose 16 bits are
those of a half-precision number. Masks of trusted depth are used; those of the object are not.

Source: README and data_types of facebookresearch/co3d; pytorch3d.org, Cameras.
"""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np
import torch
from torch import Tensor

from vggt_lite.data.parse import below, numbers, pinhole, read_mask, read_wide_png
from vggt_lite.data.views import MapFile, View, Views
from vggt_lite.geometry import convert_cameras
from vggt_lite.utils.reading import read_json

FILE = "frame_annotations.jgz"
Pair = tuple[float, float]
Vector = tuple[float, float, float]


class Picture(msgspec.Struct):
    path: str  # starts with the category
    size: tuple[int, int]  # (H, W)


class Depth(msgspec.Struct):
    path: str
    scale_adjustment: float
    mask_path: str | None = None


class Viewpoint(msgspec.Struct):
    R: tuple[Vector, Vector, Vector]
    T: Vector
    focal_length: Pair
    principal_point: Pair
    # −1 … 1 spans each side, or (isotropic) the shorter one
    intrinsics_format: Literal["ndc_norm_image_bounds", "ndc_isotropic"] = "ndc_norm_image_bounds"


class Frame(msgspec.Struct):
    sequence_name: str
    frame_number: int
    image: Picture
    depth: Depth | None = None
    viewpoint: Viewpoint | None = None


Frames = Annotated[list[Frame], msgspec.Meta(min_length=1)]


def read_co3d(path: str | Path) -> Views:
    """One sequence of CO3Dv2, its frames in order; frames without a camera are left out.

    Args:
        path: the folder of a sequence, or that of a category that has only one.

    Raises:
        ValueError: naming the file, what is wrong with it and the cure.
    """
    path = Path(path).expanduser()
    is_category = (path / FILE).is_file()
    file = (path if is_category else path.parent) / FILE
    frames = read_json(file, Frames)
    there = sorted({frame.sequence_name for frame in frames})
    if is_category and len(there) > 1:
        raise ValueError(f"{path} holds {len(there)} sequences: give one of their folders, as {there[0]}.")
    sequence = there[0] if is_category else path.name
    frames = [frame for frame in frames if frame.sequence_name == sequence and frame.viewpoint]
    if not frames:
        raise ValueError(f"{file} names no cameras of {sequence}: choose among {', '.join(there[:5])}, ….")
    return views_of(frames, file)


def views_of(frames: list[Frame], file: Path) -> Views:
    """One sequence, its frames in order, from those entries of frame_annotations.jgz that have a camera.

    For those who read many sequences: the file is large, and unpacking it takes longer than all else.
    """
    views = [_view(frame, file) for frame in sorted(frames, key=lambda frame: frame.frame_number)]
    source = f"CO3Dv2, {file.parent.name}/{frames[0].sequence_name}"
    return Views("CO3Dv2", views, file, source=source, license="the terms of CO3Dv2")


def _view(frame: Frame, file: Path) -> View:
    root, viewpoint, where = file.parent.parent, frame.viewpoint, f"{file}: {frame.image.path}"
    camera = numbers(viewpoint.R, f"{where}: R", 3, 3), numbers(viewpoint.T, f"{where}: T", 3)
    camera = convert_cameras(camera, "pytorch3d", "opencv_cam_from_world")
    k = _intrinsics(viewpoint, frame.image.size, where)
    depth = mask = None
    if given := frame.depth:
        scale = numbers(given.scale_adjustment, f"{where}: scale_adjustment").item()
        depth = MapFile(below(root, given.path, where), partial(_read_depth, scale=scale))
        if given.mask_path:
            mask = MapFile(below(root, given.mask_path, where), read_mask)
    return View(below(root, frame.image.path, where), frame.image.size, camera, k, depth, mask)


def _intrinsics(viewpoint: Viewpoint, size: tuple[int, int], where: str) -> Tensor:
    """K (3, 3) in pixels."""
    half = torch.tensor([size[1], size[0]], dtype=torch.float64) / 2  # (x, y)
    unit = half.min() if viewpoint.intrinsics_format == "ndc_isotropic" else half  # pixels
    focal = numbers(viewpoint.focal_length, f"{where}: focal_length", 2) * unit
    center = half - numbers(viewpoint.principal_point, f"{where}: principal_point", 2) * unit
    return pinhole(*focal.tolist(), *center.tolist())


def _read_depth(path: Path, scale: float) -> np.ndarray:
    """(H, W) float32 z in the unit of the cameras; 0 where the map holds no number."""
    depth = read_wide_png(path).astype(np.uint16).view(np.float16).astype(np.float32) * np.float32(scale)
    return np.where(np.isfinite(depth), depth, np.float32(0))
