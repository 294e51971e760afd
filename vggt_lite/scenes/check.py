"""`check_scene`: what is wrong with a scene folder, said so that it can be repaired.

Beyond files and shapes it looks at the numbers, and where there is depth it asks the decisive question:
does a surface seen in one view land where the next view sees it? Wrong conventions fail that test in
typical ways, so common mistakes are tried out, and the one that explains the data is named.
"""

from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from vggt_lite.geometry import invert_rigid, project_points, unproject_depth
from vggt_lite.scenes.scene_files import SceneFiles

SAMPLES = 1000  # pixels tried per pair of views
CLOSE = 0.02  # relative difference of depths that counts as agreement
MAX_PAIRS = 16
EXIF_ORIENTATION = 0x0112


def check_scene(folder: str | Path) -> list[str]:
    """Everything that is wrong with a scene folder, each naming a file and a cure; [] if all is well."""
    parts = SceneFiles(folder)
    problems = list(parts.problems)
    problems += _rotated_images(parts)
    if parts.cam_from_world is not None:
        problems += _cameras(parts)
    if parts.depth is not None:
        problems += _depths(parts)
    if parts.tracks is not None and parts.size is not None:
        problems += _tracks(parts)
    complete = parts.depth is not None and parts.cam_from_world is not None and len(parts.names) > 1
    if complete and not problems:
        problems += _agreement(parts)
    return problems


def _rotated_images(parts: SceneFiles) -> list[str]:
    found = []
    for name, image in zip(parts.names, parts.images, strict=True):
        path = parts.folder / "images" / name
        if image is not None:
            with Image.open(path) as file:
                if file.getexif().get(EXIF_ORIENTATION, 1) != 1:
                    found.append(
                        f"{path}: carries an EXIF rotation, so its cameras may be meant for the picture on "
                        "its side. Save it upright, without the EXIF tag."
                    )
    return found


def _cameras(parts: SceneFiles) -> list[str]:
    path, found = parts.folder / "cameras.npz", []
    for view, (camera, k) in enumerate(zip(parts.cam_from_world, parts.intrinsics, strict=True)):
        where = f"{path}: view {view} ({parts.names[view] if parts.names else '?'})"
        if not camera.isfinite().all() or not k.isfinite().all():
            found.append(f"{where} has numbers that are not finite: leave the view out.")
            continue
        rotation = camera[:, :3]
        off = (rotation @ rotation.T - torch.eye(3)).abs().max().item()
        if off > 1e-3:
            found.append(
                f"{where}: its rotation is not orthonormal (off by {off:.2g}). Take the nearest rotation "
                "(U Vᵀ of its SVD); a scale belongs into depth and translation."
            )
        elif torch.linalg.det(rotation) < 0:
            found.append(f"{where}: its rotation mirrors (determinant −1). Flip one axis of the source data.")
        found += [f"{where}: {text}" for text in _lens(k, parts.size)]
    return found


def _lens(k: Tensor, size: tuple[int, int] | None) -> list[str]:
    found = []
    if k[0, 0] <= 0 or k[1, 1] <= 0:
        found.append(f"focal lengths {k[0, 0]:g}, {k[1, 1]:g} must be positive pixels.")
    if (k[2] - torch.tensor([0.0, 0.0, 1.0])).abs().max() > 1e-6 or k[1, 0] != 0:
        found.append("intrinsics must be [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]; are they transposed?")
    if size is not None and not (0 <= k[0, 2] <= size[1] and 0 <= k[1, 2] <= size[0]):
        found.append(
            f"principal point ({k[0, 2]:g}, {k[1, 2]:g}) lies outside the image, {size[1]}×{size[0]} pixels. "
            "Intrinsics must be in pixels of these images: scale them if the images were resized."
        )
    return found


def _depths(parts: SceneFiles) -> list[str]:
    found = []
    for name, depth in zip(parts.names, parts.depth, strict=True):
        if depth is None:
            continue
        path, depth = parts.folder / "depths" / f"{Path(name).stem}.npz", torch.from_numpy(depth)
        if bad := int((~depth.isfinite()).sum()):
            found.append(f"{path}: {bad} values are not finite. Write 0 where there is no depth.")
        if negative := int((depth < 0).sum()):
            found.append(
                f"{path}: {negative} values are negative. Depth is z in front of the camera: flip the sign "
                "if the source looks along −z, and write 0 where there is none."
            )
        elif not (depth > 0).any():
            found.append(f"{path}: holds no depth at all. Remove the folder depths if there is none.")
    return found


def _tracks(parts: SceneFiles) -> list[str]:
    path, limit = parts.folder / "tracks.npz", torch.tensor([parts.size[1], parts.size[0]])
    visible = parts.tracks[parts.visibility]  # (M, 2)
    if not visible.isfinite().all():
        return [f"{path}: some visible positions are not finite. Mark them invisible."]
    outside = int((~((visible >= 0) & (visible <= limit)).all(-1)).sum())
    if not outside:
        return []
    return [
        f"{path}: {outside} of {len(visible)} visible positions lie outside the image. Tracks are (x, y) in "
        f"pixels of these images, {parts.size[1]}×{parts.size[0]}; mark what leaves the image invisible."
    ]


def _agreement(parts: SceneFiles) -> list[str]:
    """Do views agree where surfaces are? If not: which mistake would explain it?"""
    path = parts.folder / "cameras.npz"
    share, landed = _matching(_Geometry.of(parts))
    scores = {
        text: _matching(geometry)[0] for text, geometry in _common_mistakes(_Geometry.of(parts)).items()
    }
    best = max(scores, key=scores.get)
    if scores[best] > share + 0.1:
        return [
            f"{path}: the views agree on {100 * share:.0f} % of their surface points as it is, on "
            f"{100 * scores[best]:.0f} % if {best}"
        ]
    if landed > 0.05 and share < 0.3 * landed:
        return [
            f"{path}: the views agree on {100 * share:.0f} % of their surface points. Check that "
            "depths and translations have one unit, and the order of the views."
        ]
    return []


class _Geometry(NamedTuple):
    """What a folder says of where surfaces are: S cameras, and what they see."""

    cam_from_world: Tensor  # (S, 3, 4)
    intrinsics: Tensor  # (S, 3, 3)
    depth: Tensor  # (S, H, W)

    @classmethod
    def of(cls, parts: SceneFiles) -> "_Geometry":
        depth = torch.stack([torch.from_numpy(d) for d in parts.depth])
        if parts.masks is not None:
            depth = depth * torch.stack([torch.from_numpy(m) for m in parts.masks])
        return cls(parts.cam_from_world, parts.intrinsics, depth)


def _common_mistakes(given: _Geometry) -> dict[str, _Geometry]:
    """What people do to their data → what it would be without."""
    cameras, inverted = given.cam_from_world, invert_rigid(given.cam_from_world)[:, :3]
    flip = torch.tensor([1.0, -1.0, -1.0])[:, None]  # OpenGL's camera looks along −z with y up

    def scaled(factor: float) -> Tensor:
        return torch.cat([cameras[..., :3], cameras[..., 3:] * factor], dim=-1)

    poses = {
        "the matrices are world_from_cam: invert them (geometry.invert_rigid).": inverted,
        "the camera axes are OpenGL's: negate the second and third row.": flip * cameras,
        'the matrices are OpenGL\'s world_from_cam: use convert_cameras(…, "opengl_world_from_cam", '
        '"opencv_cam_from_world").': flip * inverted,
        "depth is in thousandths of the translations' unit (mm and m?): divide it by 1000.": scaled(1000),
        "translations are in thousandths of the depth's unit (mm and m?): divide them by 1000.": scaled(
            0.001
        ),
    }
    mended = {text: given._replace(cam_from_world=cameras) for text, cameras in poses.items()}

    ends = unproject_depth(torch.ones_like(given.depth), given.intrinsics, torch.eye(3, 4))  # z = 1
    mended["depth is the distance along the ray: divide by the length of each pixel's ray of z = 1."] = (
        given._replace(depth=given.depth / ends.norm(dim=-1))
    )
    swapped = given.intrinsics.clone()
    swapped[:, 0, 0], swapped[:, 1, 1] = given.intrinsics[:, 1, 1], given.intrinsics[:, 0, 0]
    mended["the two focal lengths are swapped: fx stands first."] = given._replace(intrinsics=swapped)
    return mended


def _matching(given: _Geometry) -> tuple[float, float]:
    """Share of one view's surface points that another view sees at the same depth; share that lands."""
    cameras, intrinsics, depth = given
    world = unproject_depth(depth, intrinsics, cameras)  # (S, H, W, 3)
    height, width = depth.shape[1:]
    agreed = tried = landed = 0
    pairs = [(i, i + 1) for i in range(len(depth) - 1)] + [(0, j) for j in range(2, len(depth))]
    for i, j in pairs[:MAX_PAIRS]:
        seen = world[i][depth[i] > 0]
        points = seen[:: max(1, len(seen) // SAMPLES)]
        pixels, z = project_points(points, cameras[j], intrinsics[j])
        inside = (z > 0) & (pixels >= 0).all(-1) & (pixels < torch.tensor([width, height])).all(-1)
        column, row = pixels[inside].long().unbind(-1)
        there = depth[j, row, column]
        agreed += int(((z[inside] - there).abs() < CLOSE * there).sum())
        landed += int(inside.sum())
        tried += len(points)
    return agreed / max(tried, 1), landed / max(tried, 1)
