"""A scene for COLMAP and everything that reads COLMAP: cameras, pictures, points with their observations."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vggt_lite.export.pictures import write_pictures
from vggt_lite.geometry import project_points
from vggt_lite.geometry.visibility import visible_by_depth
from vggt_lite.utils.files import atomic_folder

KIND = "vggt_lite.colmap"
MOST_POINTS = 50_000


def import_pycolmap():
    """The library, quiet; or an ImportError that says how to get it."""
    try:
        import pycolmap
    except ImportError as error:
        raise ImportError("this needs pycolmap: pip install 'vggt-lite[refine]'.") from error
    pycolmap.logging.minloglevel = 2  # errors only
    return pycolmap


def write_colmap(scene, folder: str | Path, binary: bool = True) -> Path:
    """Write `images/` and `sparse/0/`, as COLMAP's own programs, gsplat and nerfstudio expect them.

    Points are those of a refinement, with what was seen of them; of a scene that was not refined, a sample of
    its dense points that agree with the depth of two views. Lenses are PINHOLE, or SIMPLE_RADIAL after a
    refinement with radial distortion.

    Args:
        scene: a `Reconstruction` with cameras and depth.
        folder: new or empty.
        binary: False writes COLMAP's text files.

    Raises:
        ImportError: pycolmap is not installed.
        FileExistsError: something is in the folder; nothing there is changed.
        ValueError: a view has no camera.
    """
    pycolmap = import_pycolmap()
    points, colors, pixels, seen = observed_points(scene)
    report = getattr(scene, "refinement", None)
    radial = report.radial if report and report.refined else None
    with atomic_folder(folder, KIND) as temporary:
        names = write_pictures(scene, temporary / "images")
        model = pycolmap.Reconstruction()
        for view, (name, k, (height, width)) in enumerate(
            zip(names, scene.intrinsics.double().numpy(), scene.original_sizes, strict=True)
        ):
            params = [k[0, 0], k[1, 1], k[0, 2], k[1, 2]]
            if radial is not None:
                params = [(k[0, 0] + k[1, 1]) / 2, k[0, 2], k[1, 2], float(radial[view])]
            camera = pycolmap.Camera(
                model="PINHOLE" if radial is None else "SIMPLE_RADIAL", width=width, height=height,
                params=params, camera_id=view + 1,
            )  # fmt: skip
            model.add_camera_with_trivial_rig(camera)
            image = pycolmap.Image(
                name=name, keypoints=pixels[view, seen[view]].double().numpy(), camera_id=view + 1,
                image_id=view + 1,
            )  # fmt: skip
            pose = pycolmap.Rigid3d(scene.cam_from_world[view].double().numpy())
            model.add_image_with_trivial_frame(image, pose)
        number = (seen.cumsum(1) - 1).numpy()  # (S, N) of an observation in its view
        for point, (xyz, rgb) in enumerate(zip(points.double().numpy(), colors.numpy(), strict=True)):
            track = pycolmap.Track()
            for view in np.flatnonzero(seen[:, point]):
                track.add_element(int(view) + 1, int(number[view, point]))
            model.add_point3D(xyz, track, rgb)
        model.update_point_3d_errors()
        sparse = temporary / "sparse" / "0"
        sparse.mkdir(parents=True)
        model.write_binary(sparse) if binary else model.write_text(sparse)
    return Path(folder)


def observed_points(scene) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """N points (N, 3) with colours (N, 3) uint8, where the views see them (S, N, 2), and which do (S, N)."""
    if not scene.camera_ok.all():
        raise ValueError("a view has no camera: leave it out and reconstruct again.")
    report = getattr(scene, "refinement", None)
    if report and report.refined:
        used = report.inliers.any(0)
        pixels, seen, points = report.tracks[:, used], report.inliers[:, used], report.points[used]
        return points, picture_colors(scene, pixels, seen), pixels.nan_to_num(), seen
    points, colors, _, _ = scene.points()
    chosen = torch.linspace(0, len(points) - 1, min(len(points), MOST_POINTS)).long()
    points, colors = points[chosen], colors[chosen]
    inside, z = project_points(points, scene.cam_from_world, scene.network_intrinsics)
    seen = visible_by_depth(inside[None], z[None], (scene.depth * scene.valid)[None])[0]
    pixels, _ = project_points(points, scene.cam_from_world, scene.intrinsics)
    kept = seen.sum(0) >= min(2, len(scene))  # COLMAP's adjustment refuses points of one view
    return points[kept], colors[kept], pixels[:, kept], seen[:, kept]


def picture_colors(scene, pixels: Tensor, seen: Tensor) -> Tensor:
    """(N, 3) uint8: of each point, the colour of the first photograph that sees it."""
    colors = torch.zeros(seen.shape[1], 3, dtype=torch.uint8)
    for view in reversed(range(len(seen))):
        picture = scene.images[view]
        column, row = pixels[view, seen[view]].long().unbind(-1)
        colors[seen[view]] = picture[row.clamp(0, len(picture) - 1), column.clamp(0, picture.shape[1] - 1)]
    return colors
