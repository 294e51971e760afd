"""A scene for COLMAP and everything that reads COLMAP: cameras, pictures, points with their observations."""

from pathlib import Path

import torch
from torch import Tensor

from vggt_lite.export.colmap_model import colmap_lenses, colmap_model
from vggt_lite.export.pictures import picture_names, write_pictures
from vggt_lite.export.pinholes import Pinholes
from vggt_lite.export.undistort import undistorted, undistorted_pixels
from vggt_lite.geometry import project_points
from vggt_lite.geometry.visibility import visible_by_depth
from vggt_lite.utils.files import atomic_folder

KIND = "vggt_lite.colmap"
MOST_POINTS = 50_000


def write_colmap(
    scene,
    folder: str | Path,
    binary: bool = True,
    undistort: bool = False,
    confidence_percentile: float = 0.0,
) -> Path:
    """Write `images/` and `sparse/0/`, as COLMAP's own programs, gsplat and nerfstudio expect them.

    Points are those of a refinement, with what was seen of them; of a scene that was not refined, a sample of
    its dense points that agree with the depth of two views. Lenses are PINHOLE, or SIMPLE_RADIAL after a
    refinement with radial distortion; one camera where all views have the same lens.

    Args:
        scene: a `Reconstruction` with cameras and depth.
        folder: new or empty.
        binary: False writes COLMAP's text files.
        undistort: write pictures without radial distortion, and PINHOLE.
        confidence_percentile: of a scene that was not refined, leave out this percentage of the points, the
            least trusted first.

    Raises:
        ImportError: pycolmap is not installed.
        FileExistsError: something is in the folder; nothing there is changed.
        ValueError: a view has no camera.
    """
    pictures = [scene.photograph(view) for view in range(len(scene))]
    cameras, factors = Pinholes.of(scene).scaled_to(pictures)
    points, colors, pixels, seen = observed_points(scene, pictures, confidence_percentile)
    pixels = pixels * factors[:, None]
    if undistort and cameras.radial is not None:
        pictures, straight = undistorted(pictures, cameras)
        pixels, seen = undistorted_pixels(pixels, seen, cameras, straight)
        seen, cameras = seen & enough_views(seen), straight
    names = picture_names(scene)
    lenses = colmap_lenses(cameras, shared=cameras.one_lens)
    model = colmap_model(cameras, lenses, points, pixels, seen, names, colors)
    model.update_point_3d_errors()
    with atomic_folder(folder, KIND) as temporary:
        write_pictures(pictures, names, temporary / "images")
        sparse = temporary / "sparse" / "0"
        sparse.mkdir(parents=True)
        model.write_binary(sparse) if binary else model.write_text(sparse)
    return Path(folder).expanduser()


def observed_points(
    scene, pictures: list[Tensor], confidence_percentile: float = 0.0
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """N points (N, 3) with colours (N, 3) uint8, where the views see them (S, N, 2), and which do (S, N).

    Where: in pixels of the original photographs, whatever the size of `pictures`, which give the colours.
    """
    report = scene.refinement
    if report and report.refined:
        used = report.inliers.any(0)
        pixels, seen, points = report.tracks[:, used], report.inliers[:, used], report.points[used]
        return points, picture_colors(scene, pictures, pixels, seen), pixels.nan_to_num(), seen
    points, colors, _, _ = scene.points("depth", confidence_percentile)
    chosen = torch.linspace(0, len(points) - 1, min(len(points), MOST_POINTS)).long()
    points, colors = points[chosen], colors[chosen]
    inside, z = project_points(points, scene.cam_from_world, scene.network_intrinsics)
    seen = visible_by_depth(inside[None], z[None], (scene.depth * scene.valid)[None])[0]
    pixels, _ = project_points(points, scene.cam_from_world, scene.intrinsics)
    kept = enough_views(seen)
    return points[kept], colors[kept], pixels[:, kept], seen[:, kept]


def enough_views(seen: Tensor) -> Tensor:
    """(N,) bool: points that two of the views see (S, N); COLMAP's adjustment refuses points of one view."""
    return seen.sum(0) >= min(2, len(seen))


def picture_colors(scene, pictures: list[Tensor], pixels: Tensor, seen: Tensor) -> Tensor:
    """(N, 3) uint8: of each point, the colour of the first photograph that sees it."""
    colors = torch.zeros(seen.shape[1], 3, dtype=torch.uint8)
    for view in reversed(range(len(seen))):
        picture, width = pictures[view], scene.original_sizes[view][1]
        column, row = (pixels[view, seen[view]] * (picture.shape[1] / width)).long().unbind(-1)
        colors[seen[view]] = picture[row.clamp(0, len(picture) - 1), column.clamp(0, picture.shape[1] - 1)]
    return colors
