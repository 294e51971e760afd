"""nerfstudio: `transforms.json` beside the pictures that it names.

Cameras are world_from_cam with OpenGL's axes; intrinsics stand at the top or with each frame. Principal
points count from the image's corner, as COLMAP's, where most of these files come from. Depth maps hold z in
thousandths of a unit unless `depth_unit_scale_factor` says otherwise.

Source: docs.nerf.studio, Data conventions.
"""

import math
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vggt_lite.data.parse import (
    entry,
    entry_numbers,
    file_order,
    inside,
    numbers,
    picture_size,
    pinhole,
    read_json,
    read_mask,
    read_wide_png,
    reading,
)
from vggt_lite.data.views import MapFile, View, Views
from vggt_lite.geometry import as_4x4, convert_cameras, invert_rigid

FILE = "transforms.json"
PERSPECTIVE = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "PERSPECTIVE")
DISTORTION = ("k1", "k2", "k3", "k4", "k5", "k6", "p1", "p2")
DEPTH_UNIT = 1e-3  # depth maps are taken to be millimetres of a metric scene


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
    shared = read_json(file)
    frames = entry(shared, "frames", str(file))
    if not isinstance(frames, list) or not frames or not all(isinstance(frame, dict) for frame in frames):
        raise ValueError(f"{file}: frames must be a list of objects, one per picture.")
    frames = sorted(frames, key=lambda frame: file_order(str(entry(frame, "file_path", f"{file}: a frame"))))
    original_from_world = _original_from_world(shared, file)
    views = []
    for frame in frames:
        where, camera = f"{file}: frame {frame['file_path']}", {**shared, **frame}
        image = inside(file.parent, frame["file_path"], where)
        size, k = _lens(camera, image, where)
        world_from_cam = original_from_world @ _matrix(frame, "transform_matrix", where)
        cam_from_world = convert_cameras(world_from_cam, "opengl_world_from_cam", "opencv_cam_from_world")
        depth = mask = None
        if path := frame.get("depth_file_path"):
            unit = entry_numbers(
                {"depth_unit_scale_factor": DEPTH_UNIT} | camera, "depth_unit_scale_factor", where
            )
            depth = MapFile(inside(file.parent, path, where), partial(_read_depth, unit=unit.item()))
        if path := frame.get("mask_path"):
            mask = MapFile(inside(file.parent, path, where), read_mask)
        views.append(View(image, size, cam_from_world, k, depth, mask))
    return Views("nerfstudio", views, file, source=f"nerfstudio, {file.parent.name}/{file.name}")


def _lens(camera: dict, image: Path, where: str) -> tuple[tuple[int, int], Tensor]:
    """(H, W) and K (3, 3), from what a frame says, or else the top of the file, or else the picture."""
    model = camera.get("camera_model", "OPENCV")
    bent = [key for key in DISTORTION if camera.get(key)]
    if model not in PERSPECTIVE or bent:
        raise ValueError(
            f"{where} has a lens that is no pinhole ({model}, {', '.join(bent) or 'no k1 …'}): undistort the "
            "pictures, for example with `colmap image_undistorter`, and read the model that it writes."
        )
    if "w" not in camera or "h" not in camera:
        camera = dict(zip("hw", picture_size(image), strict=True)) | camera
    width, height = (int(entry_numbers(camera, key, where).item()) for key in ("w", "h"))
    camera = {"cx": width / 2, "cy": height / 2} | camera
    for key, angle, side in (("fl_x", "camera_angle_x", width), ("fl_y", "camera_angle_y", height)):
        if key not in camera and angle in camera:
            camera[key] = side / 2 / math.tan(entry_numbers(camera, angle, where).item() / 2)
    camera.setdefault("fl_y", camera.get("fl_x"))
    k = pinhole(*(entry_numbers(camera, key, where).item() for key in ("fl_x", "fl_y", "cx", "cy")))
    return (height, width), k


def _matrix(mapping: dict, key: str, where: str) -> Tensor:
    """(4, 4), of which three rows or four may be written."""
    rows = entry(mapping, key, where)
    return as_4x4(numbers(rows, f"{where}: {key}", 3 if isinstance(rows, list) and len(rows) == 3 else 4, 4))


def _original_from_world(shared: dict, file: Path) -> Tensor:
    """(4, 4) that takes back the turn which was applied to the world, or the identity."""
    if shared.get("applied_transform") is None:
        return torch.eye(4, dtype=torch.float64)
    world_from_original = _matrix(shared, "applied_transform", str(file))
    rotation = world_from_original[:3, :3]
    if (rotation @ rotation.T - torch.eye(3)).abs().max() > 1e-4 or torch.linalg.det(rotation) < 0:
        raise ValueError(
            f"{file}: applied_transform is no rotation and shift: remove it, and the cameras stay in the "
            "file's world."
        )
    return invert_rigid(world_from_original)


def _read_depth(path: Path, unit: float) -> np.ndarray:
    """(H, W) float32 z in scene units, from a 16-bit picture or a .npy array."""
    if path.suffix != ".npy":
        return read_wide_png(path).astype(np.float32) * np.float32(unit)
    with reading(path, "numbers of numpy.save"):
        depth = np.load(path, allow_pickle=False)
    if depth.squeeze().ndim != 2 or depth.dtype.kind not in "fiu":
        raise ValueError(f"{path} holds {depth.dtype} of shape {depth.shape}: depth is (H, W) numbers.")
    return depth.squeeze().astype(np.float32) * np.float32(unit)
