"""A scene for nerfstudio: transforms.json, pictures, and points to start from."""

import json
from pathlib import Path

import torch

from vggt_lite.export.pictures import picture_names, write_pictures
from vggt_lite.export.pinholes import Pinholes
from vggt_lite.export.ply import write_ply
from vggt_lite.export.undistort import undistorted
from vggt_lite.geometry import as_4x4, convert_cameras, transform_points
from vggt_lite.utils.files import atomic_folder

KIND = "vggt_lite.nerfstudio"
# nerfstudio's worlds have z up: ours turns from y down to z up.
Z_UP = torch.tensor([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0]])


def write_nerfstudio(
    scene, folder: str | Path, undistort: bool = False, confidence_percentile: float = 0.0
) -> Path:
    """Write `transforms.json`, `images/` and `points.ply`.

    Cameras are OpenGL's (x right, y up, z backward), as matrices from camera to world; z is up in that world.
    `applied_transform` in the file leads from the scene's world to it. The lens stands once where all views
    have the same, else with each of them; `k1` is the radial distortion that a refinement found.

    Args:
        scene: a `Reconstruction` with cameras and points.
        folder: new or empty.
        undistort: write pictures without radial distortion, and no `k1` (needs pycolmap).
        confidence_percentile: leave out this percentage of the points, the least trusted first.

    Raises:
        FileExistsError: something is in the folder; nothing there is changed.
        ValueError: a view has no camera.
    """
    pictures, names = [scene.photograph(view) for view in range(len(scene))], picture_names(scene)
    cameras, _ = Pinholes.of(scene).scaled_to(pictures)
    if undistort:
        pictures, cameras = undistorted(pictures, cameras)
    points, colors, _, _ = scene.points(confidence_percentile=confidence_percentile)
    poses = convert_cameras(scene.cam_from_world, "opencv_cam_from_world", "opengl_world_from_cam")
    poses = as_4x4(Z_UP) @ poses
    lenses = [lens(cameras, view) for view in range(len(names))]
    shared = lenses[0] if cameras.one_lens else {}
    frames = [
        {"file_path": f"images/{name}", "transform_matrix": pose.tolist(), **({} if shared else own)}
        for name, pose, own in zip(names, poses, lenses, strict=True)
    ]
    contents = {
        "camera_model": "OPENCV", **shared, "ply_file_path": "points.ply", "applied_transform": Z_UP.tolist(),
        "frames": frames,
    }  # fmt: skip
    with atomic_folder(folder, KIND) as temporary:
        write_pictures(pictures, names, temporary / "images")
        (temporary / "transforms.json").write_text(json.dumps(contents, indent=1), encoding="utf-8")
        write_ply(temporary / "points.ply", transform_points(Z_UP, points), colors)
    return Path(folder).expanduser()


def lens(cameras: Pinholes, view: int) -> dict[str, float]:
    """What transforms.json says of a view's lens, in pixels of its picture."""
    k, (height, width) = cameras.intrinsics[view], cameras.sizes[view]
    fields = {"fl_x": k[0, 0], "fl_y": k[1, 1], "cx": k[0, 2], "cy": k[1, 2]}
    if cameras.radial is not None:
        fields["k1"] = cameras.radial[view]
    return {"w": width, "h": height} | {name: value.item() for name, value in fields.items()}
