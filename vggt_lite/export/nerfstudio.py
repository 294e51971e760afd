"""A scene for nerfstudio: transforms.json, pictures, and points to start from."""

import json
from pathlib import Path

import torch

from vggt_lite.export.pictures import write_pictures
from vggt_lite.export.ply import write_ply
from vggt_lite.geometry import convert_cameras, transform_points
from vggt_lite.utils.files import atomic_folder

KIND = "vggt_lite.nerfstudio"
# nerfstudio's worlds have z up: ours turns from y down to z up.
Z_UP = torch.tensor([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0]])


def write_nerfstudio(scene, folder: str | Path, confidence_percentile: float = 0.0) -> Path:
    """Write `transforms.json` with a lens for every picture, `images/` and `points.ply`.

    Cameras are OpenGL's (x right, y up, z backward), as matrices from camera to world; z is up in that world.
    `applied_transform` in the file leads from the scene's world to it.

    Args:
        scene: a `Reconstruction` with cameras and points.
        folder: new or empty.
        confidence_percentile: leave out this percentage of the points, the least trusted first.

    Raises:
        FileExistsError: something is in the folder; nothing there is changed.
        ValueError: a view has no camera.
    """
    if not scene.camera_ok.all():
        raise ValueError("a view has no camera: leave it out and reconstruct again.")
    points, colors, _, _ = scene.points(confidence_percentile=confidence_percentile)
    cameras = convert_cameras(scene.cam_from_world, "opencv_cam_from_world", "opengl_world_from_cam")
    turn = torch.cat([Z_UP, torch.tensor([[0.0, 0, 0, 1]])])
    report = getattr(scene, "refinement", None)
    radial = report.radial if report and report.refined else None
    with atomic_folder(folder, KIND) as temporary:
        names, frames = write_pictures(scene, temporary / "images"), []
        for view, name in enumerate(names):
            k, (height, width) = scene.intrinsics[view], scene.original_sizes[view]
            frames.append({
                "file_path": f"images/{name}", "transform_matrix": (turn @ cameras[view]).tolist(),
                "fl_x": k[0, 0].item(), "fl_y": k[1, 1].item(), "cx": k[0, 2].item(), "cy": k[1, 2].item(),
                "w": width, "h": height, "k1": 0.0 if radial is None else radial[view].item(),
            })  # fmt: skip
        contents = {
            "camera_model": "OPENCV", "ply_file_path": "points.ply", "applied_transform": Z_UP.tolist(),
            "frames": frames,
        }  # fmt: skip
        (temporary / "transforms.json").write_text(json.dumps(contents, indent=1), encoding="utf-8")
        write_ply(temporary / "points.ply", transform_points(Z_UP, points), colors)
    return Path(folder)
