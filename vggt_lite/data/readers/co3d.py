"""CO3Dv2: CATEGORY/frame_annotations.jgz describes all frames of a category, CATEGORY/SEQUENCE holds them.

Cameras are PyTorch3D's: rows are multiplied, x points left and y up. Focal lengths and principal points are
in units of half the picture, from its centre, left and up positive. Depth maps are PNG whose 16 bits are
those of a half-precision number. Masks of trusted depth are used; those of the object are not.

Source: README and data_types of facebookresearch/co3d; pytorch3d.org, Cameras.
"""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vggt_lite.data.parse import (
    entry,
    entry_numbers,
    inside,
    pinhole,
    read_json,
    read_mask,
    read_wide_png,
)
from vggt_lite.data.views import MapFile, View, Views
from vggt_lite.geometry import convert_cameras

FILE = "frame_annotations.jgz"


def read_co3d(path: str | Path, sequence: str | None = None) -> Views:
    """One sequence of CO3Dv2, its frames in order; frames without a camera are left out.

    Args:
        path: the folder of a sequence, or that of a category.
        sequence: its name; not needed for the folder of a sequence, or where there is only one.

    Raises:
        ValueError: naming the file, what is wrong with it and the cure.
    """
    path = Path(path).expanduser()
    if not (path / FILE).is_file() and (path.parent / FILE).is_file():
        path, sequence = path.parent, sequence or path.name
    file = path / FILE
    frames = read_json(file)
    if not isinstance(frames, list) or not frames:
        raise ValueError(f"{file} must hold a list of frames: download it again.")
    there = sorted({str(entry(frame, "sequence_name", f"{file}: a frame")) for frame in frames})
    if sequence is None and len(there) > 1:
        raise ValueError(
            f"{path} holds {len(there)} sequences: give one of their folders, as {path / there[0]}."
        )
    sequence = sequence or there[0]
    frames = [f for f in frames if str(f["sequence_name"]) == sequence and f.get("viewpoint") is not None]
    if not frames:
        raise ValueError(f"{file} names no cameras of {sequence}: choose among {', '.join(there[:5])}, ….")
    return views_of(frames, file, sequence)


def views_of(frames: list[dict], file: Path, sequence: str) -> Views:
    """One sequence, its frames in order, from those entries of frame_annotations.jgz that have a camera.

    For those who read many sequences: the file is large, and unpacking it takes longer than all else.
    """
    frames = sorted(frames, key=lambda frame: entry_numbers(frame, "frame_number", str(file)).item())
    views = [_view(frame, file) for frame in frames]
    source = f"CO3Dv2, {file.parent.name}/{sequence}"
    return Views("CO3Dv2", views, file, source=source, license="the terms of CO3Dv2")


def _view(frame: dict, file: Path) -> View:
    root, image, viewpoint = file.parent.parent, entry(frame, "image", str(file)), frame["viewpoint"]
    where = f"{file}: {entry(image, 'path', str(file))}"
    height, width = entry_numbers(image, "size", where, 2).int().tolist()
    camera = entry_numbers(viewpoint, "R", where, 3, 3), entry_numbers(viewpoint, "T", where, 3)
    camera = convert_cameras(camera, "pytorch3d", "opencv_cam_from_world")
    k = _intrinsics(viewpoint, (height, width), where)
    depth = mask = None
    if (given := frame.get("depth")) is not None:  # paths start with the category
        scale = entry_numbers(given, "scale_adjustment", where).item()
        depth = MapFile(inside(root, entry(given, "path", where), where), partial(_read_depth, scale=scale))
        if given.get("mask_path"):
            mask = MapFile(inside(root, given["mask_path"], where), read_mask)
    return View(inside(root, image["path"], where), (height, width), camera, k, depth, mask)


def _intrinsics(viewpoint: dict, size: tuple[int, int], where: str) -> Tensor:
    """K (3, 3) in pixels: −1 … 1 spans each side, or (isotropic) the shorter one."""
    kind = viewpoint.get("intrinsics_format", "ndc_norm_image_bounds")
    if kind not in ("ndc_norm_image_bounds", "ndc_isotropic"):
        raise ValueError(
            f"{where}: intrinsics_format {kind!r} is unknown: ndc_isotropic, ndc_norm_image_bounds."
        )
    half = torch.tensor([size[1], size[0]], dtype=torch.float64) / 2  # (x, y)
    unit = half if kind == "ndc_norm_image_bounds" else half.min()  # pixels
    focal = entry_numbers(viewpoint, "focal_length", where, 2) * unit
    center = half - entry_numbers(viewpoint, "principal_point", where, 2) * unit
    return pinhole(*focal.tolist(), *center.tolist())


def _read_depth(path: Path, scale: float) -> np.ndarray:
    """(H, W) float32 z in the unit of the cameras; 0 where the map holds no number."""
    depth = read_wide_png(path).astype(np.uint16).view(np.float16).astype(np.float32) * np.float32(scale)
    return np.where(np.isfinite(depth), depth, np.float32(0))
