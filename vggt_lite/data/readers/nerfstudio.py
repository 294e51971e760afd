"""nerfstudio: `transforms.json` beside the pictures that it names.

Cameras are world_from_cam with OpenGL's axes; intrinsics stand at the top or with each frame. Principal
points count from the image's corner, as COLMAP's, where most of these files come from. Depth maps hold z in
thousandths of a unit unless `depth_unit_scale_factor` says otherwise.

Source: docs.nerf.studio, Data conventions.
"""

import math
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import torch
from torch import Tensor

from vggt_lite.data import parse
from vggt_lite.data.parse import numbers
from vggt_lite.data.views import MapFile, View, Views
from vggt_lite.geometry import as_4x4, convert_cameras, invert_rigid
from vggt_lite.utils.reading import check_file, read_json, reading

FILE = "transforms.json"
PERSPECTIVE = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "PERSPECTIVE")
DISTORTION = ("k1", "k2", "k3", "k4", "k5", "k6", "p1", "p2")
FIELDS = ("w", "h", "fl_x", "fl_y", "cx", "cy", "camera_angle_x", "camera_angle_y", "depth_unit_scale_factor")
DEPTH_UNIT = 1e-3  # depth maps are taken to be millimetres of a metric scene

Row = tuple[float, float, float, float]
Matrix = Annotated[list[Row], msgspec.Meta(min_length=3, max_length=4)]
Shared = msgspec.defstruct(  # what stands at the top of the file or with a frame
    "Shared",
    [("camera_model", str | None, None), *((name, float | None, None) for name in FIELDS + DISTORTION)],
    kw_only=True,
)


class Frame(Shared, kw_only=True):
    file_path: str
    transform_matrix: Matrix
    depth_file_path: str | None = None
    mask_path: str | None = None


class Transforms(Shared, kw_only=True):
    frames: Annotated[list[Frame], msgspec.Meta(min_length=1)]
    applied_transform: Matrix | None = None


def read_nerfstudio(path: str | Path) -> Views:
    """The views of a `transforms.json`, in natural order of their files.

    `applied_transform` is undone: cameras come in the world of the model that the file was made from.

    Args:
        path: the file, or the folder that holds it.

    Raises:
        ValueError: naming the file, what is wrong with it and the cure; distortion is refused.
    """
    path = Path(path).expanduser()
    file = path / FILE if path.is_dir() else path
    transforms = read_json(file, Transforms)
    original_from_world = _original_from_world(transforms, file)
    views = []
    for frame in sorted(transforms.frames, key=lambda frame: parse.file_order(frame.file_path)):
        where = f"{file}: frame {frame.file_path}"
        for name in Shared.__struct_fields__:
            if getattr(frame, name) is None:
                setattr(frame, name, getattr(transforms, name))
        image = parse.below(file.parent, frame.file_path, where)
        size, k = _lens(frame, image, where)
        world_from_cam = original_from_world @ _matrix(frame.transform_matrix, f"{where}: transform_matrix")
        cam_from_world = convert_cameras(world_from_cam, "opengl_world_from_cam", "opencv_cam_from_world")
        depth = mask = None
        if frame.depth_file_path:
            unit = numbers(frame.depth_unit_scale_factor or DEPTH_UNIT, f"{where}: depth_unit_scale_factor")
            read = partial(_read_depth, unit=unit.item())
            depth = MapFile(parse.below(file.parent, frame.depth_file_path, where), read)
        if frame.mask_path:
            mask = MapFile(parse.below(file.parent, frame.mask_path, where), parse.read_mask)
        views.append(View(image, size, cam_from_world, k, depth, mask))
    return Views("nerfstudio", views, file, source=f"nerfstudio, {file.parent.name}/{file.name}")


def _lens(frame: Frame, image: Path, where: str) -> tuple[tuple[int, int], Tensor]:
    """(H, W) and K (3, 3), from what a frame says, or else the top of the file, or else the picture."""
    bent = [key for key in DISTORTION if getattr(frame, key)]
    if frame.camera_model not in (None, *PERSPECTIVE) or bent:
        raise ValueError(
            f"{where} has a lens that is no pinhole ({frame.camera_model}, {', '.join(bent) or 'no k1 …'}): "
            "undistort the pictures, for example with `colmap image_undistorter`, and read what it writes."
        )
    w, h = frame.w, frame.h
    if w is None or h is None:
        h, w = parse.picture_size(image)
    fl_x, fl_y = frame.fl_x, frame.fl_y
    for angle in (frame.camera_angle_x, frame.camera_angle_y):
        if angle is not None and not 0 < angle < math.pi:
            raise ValueError(f"{where}: camera_angle_x and _y are {angle}: give radians between 0 and π.")
    if fl_x is None and frame.camera_angle_x is not None:
        fl_x = w / 2 / math.tan(frame.camera_angle_x / 2)
    if fl_y is None and frame.camera_angle_y is not None:
        fl_y = h / 2 / math.tan(frame.camera_angle_y / 2)
    given = [w, h, fl_x, fl_x if fl_y is None else fl_y]
    given += [w / 2 if frame.cx is None else frame.cx, h / 2 if frame.cy is None else frame.cy]
    width, height, *lens = numbers(given, f"{where}: w, h, fl_x, fl_y, cx, cy", 6).tolist()
    return (int(height), int(width)), parse.pinhole(*lens)


def _matrix(rows: list[Row], where: str) -> Tensor:
    """(4, 4), of which three rows or four may be written."""
    return as_4x4(numbers(rows, where, len(rows), 4))


def _original_from_world(transforms: Transforms, file: Path) -> Tensor:
    """(4, 4) that takes back the turn which was applied to the world, or the identity."""
    if transforms.applied_transform is None:
        return torch.eye(4, dtype=torch.float64)
    world_from_original = _matrix(transforms.applied_transform, f"{file}: applied_transform")
    rotation = world_from_original[:3, :3]
    if (rotation @ rotation.T - torch.eye(3)).abs().max() > 1e-4 or torch.linalg.det(rotation) < 0:
        raise ValueError(f"{file}: applied_transform is no rotation and shift: remove it, or write it again.")
    return invert_rigid(world_from_original)


def _read_depth(path: Path, unit: float) -> np.ndarray:
    """(H, W) float32 z in scene units, from a 16-bit picture or a .npy array."""
    if path.suffix != ".npy":
        return parse.read_wide_png(path).astype(np.float32) * np.float32(unit)
    with reading(path, "numbers of numpy.save"):
        size = check_file(path)
        with path.open("rb") as file:
            depth = parse.read_npy(file, size)
    if depth.squeeze().ndim != 2:
        raise ValueError(f"{path} holds {depth.dtype} of shape {depth.shape}: depth is (H, W) numbers.")
    return depth.squeeze().astype(np.float32) * np.float32(unit)
