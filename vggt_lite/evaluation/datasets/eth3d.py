"""ETH3D high-resolution multi-view, training scenes, by the protocol of VGGT's table 3: points of ten frames.

    ROOT/SCENE/images/dslr_images_undistorted/NAME.JPG       SCENE_dslr_undistorted.7z
    ROOT/SCENE/dslr_calibration_undistorted/{cameras,images}.txt
    ROOT/SCENE/dslr_calibration_jpg/{cameras,images}.txt     SCENE_dslr_jpg.7z (its pictures are not needed)
    ROOT/SCENE/ground_truth_depth/dslr_images/NAME.JPG       SCENE_dslr_depth.7z: float32, not a JPEG

True depth belongs to the distorted photographs. The network sees the undistorted ones; their pixels are
carried into the distorted ones by the camera's own formula, which needs no inverse, and take the depth there.

Source: eth3d.net/documentation; VGGT, section 4.2; Schöps et al., CVPR 2017.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from vggt_lite.data.parse import reading
from vggt_lite.data.pixel_map import look_up
from vggt_lite.data.readers.colmap import Camera, read_colmap, read_model
from vggt_lite.data.views import View
from vggt_lite.evaluation.datasets.sample import (
    Options,
    Sample,
    Scored,
    grid,
    point_maps,
    random_frames,
    score_poses,
)  # fmt: skip
from vggt_lite.evaluation.metric_groups import UNITLESS, depth_figures, surface_figures
from vggt_lite.geometry import invert_rigid, normalized_coordinates, transform_points, umeyama
from vggt_lite.metrics.neighbors import refined
from vggt_lite.metrics.points import surface_metrics

NUM_VIEWS = 10
MOST_COLUMNS = 776  # every eighth pixel of the photographs, which are about 6,200 wide
ICP_POINTS = 50_000  # that look for their partners, if --icp asks for it
MOST_POINTS = 200_000  # of each cloud that look for their nearest neighbour, in all of the other
FAR = 100_000.0  # m; what is not nearer is no depth: mostly infinity
UNIT = "m"
TEXT = (
    "ETH3D high-resolution multi-view, {num_scenes} training scenes, {num_views} random frames each (seed "
    "{seed} for every scene), undistorted photographs fitted by {mode!r}. Truth: official depth at every "
    "k-th pixel (at most 776 columns); pixels without it do not count. The prediction is read at those "
    "pixels, nearest neighbour. Points: one similarity (Umeyama) per scene over all corresponding pixels, "
    "ICP: {icp_said}, no confidence threshold; Accuracy prediction → truth, Completeness truth → prediction, "
    "up to 200,000 points of each looking for the nearest of all; F-score at 5 cm. Depth: one median scale "
    "per scene where no other alignment is named. Poses: all pairs, the larger error, AUC over whole "
    "degrees; ATE and RPE after a similarity, frames in the order drawn. Mean over scenes."
)


class TrueDepth(NamedTuple):
    """Where the depth of a photograph is, and the camera of its distorted form."""

    file: Path
    camera: Camera


def samples(root: Path, options: Options) -> Iterator[Sample]:
    """The scenes below a folder, by name; only frames with true depth are drawn from.

    Raises:
        ValueError: there are none, or a file is missing or broken.
    """
    folders = sorted(folder.parent for folder in root.glob("*/dslr_calibration_undistorted"))
    if not folders:
        raise ValueError(
            f"{root} has no SCENE/dslr_calibration_undistorted: give the folder into which ETH3D's archives "
            "were unpacked."
        )
    for folder in folders:
        views = read_colmap(folder / "dslr_calibration_undistorted", folder / "images")
        depth = _true_depth(folder)
        names = [view.image.name for view in views.views]
        known = [index for index, name in enumerate(names) if name in depth]
        if not known:
            raise ValueError(f"{folder} has no ground_truth_depth: unpack {folder.name}_dslr_depth.7z, too.")
        drawn = random_frames(len(known), options.num_views or NUM_VIEWS, options.seed)
        chosen = [known[index] for index in drawn]
        yield Sample(folder.name, views.choose(chosen), truth=[depth[names[index]] for index in chosen])


def score(model, sample: Sample, options: Options) -> Scored:
    """Points from both roads, depth beside a constant, and poses of one scene."""
    views = sample.views
    scene, scored = score_poses(model, sample, options)
    true_depth, depth, true_points, points = [], [], [], {source: [] for source in scene.sources}
    clouds = {source: point_maps(scene, source) for source in scene.sources}  # each (S, h, w, 3)
    for index, (view, truth) in enumerate(zip(views.views, sample.truth, strict=True)):
        pixels = grid(view.size, MOST_COLUMNS).flatten(0, 1)  # (N, 2)
        z = depth_at(truth, normalized_coordinates(pixels.double(), view.intrinsics))
        at = scene.pixel_maps[index].to_network(pixels.double())
        seen = look_up(scene.depth[index], at)
        keep = (z > 0) & seen.isfinite() & (seen > 0)  # of the pixels that the network saw
        true_depth.append(z[keep])
        depth.append(seen[keep])
        true_points.append(world_points(pixels[keep], z[keep], view))
        for source, cloud in clouds.items():
            points[source].append(look_up(cloud[index], at[keep]))
    true_points = torch.cat(true_points)
    # One row (1, N) for each view, as long as the longest; its rest has no truth and does not count
    true_depth, depth = (pad_sequence(x, batch_first=True)[:, None] for x in (true_depth, depth))  # (S, 1, N)
    known = true_depth > 0
    scored.constant = depth_figures(torch.ones_like(depth), true_depth, known, UNITLESS)
    scored.model |= depth_figures(depth, true_depth, known, UNITLESS)
    for source, parts in points.items():
        cloud = torch.cat(parts).double()
        usable = cloud.isfinite().all(-1)  # a view without a usable camera has no points from depth
        aligned = umeyama(cloud[usable], true_points[usable]).apply(cloud[usable])
        if options.icp is not None:
            aligned = refined(aligned, true_points, options.icp, ICP_POINTS)
        found = surface_metrics(aligned, true_points, num_samples=MOST_POINTS)
        scored.model |= surface_figures(found, source)
    return scored


def world_points(pixels: Tensor, depth: Tensor, view: View) -> Tensor:
    """Points (N, 3) of the world, float64, for pixels (N, 2) with z (N,) in a view."""
    flat = normalized_coordinates(pixels.double(), view.intrinsics)  # (N, 2)
    in_camera = torch.cat([flat, torch.ones_like(flat[:, :1])], dim=-1) * depth.double()[:, None]
    return transform_points(invert_rigid(view.cam_from_world), in_camera)


def depth_at(truth: TrueDepth, normalized: Tensor) -> Tensor:
    """z (N,) float32 along rays (x/z, y/z) (N, 2); 0 where there is none or they miss the photograph."""
    height, width = truth.camera.size
    with reading(truth.file, "depth"):
        depth = torch.from_numpy(np.fromfile(truth.file, "<f4", height * width).reshape(height, width))
    found = look_up(depth, distort(normalized, truth.camera), 0.0)
    return torch.where(found < FAR, found, 0.0)


def distort(normalized: Tensor, camera: Camera) -> Tensor:
    """Where rays (x/z, y/z) (N, 2) fall in a photograph: pixels (N, 2), centres at +0.5.

    The model THIN_PRISM_FISHEYE: the angle to the axis takes the place of its tangent; then radial,
    tangential and thin-prism terms are added.
    """
    fx, fy, cx, cy, k1, k2, p1, p2, k3, k4, sx1, sy1 = camera.parameters.tolist()
    radius = normalized.norm(dim=-1, keepdim=True)
    bent = normalized * (radius.atan() / radius.clamp_min(1e-12))
    u, v = bent.unbind(-1)
    r2 = u * u + v * v
    radial = r2 * (k1 + r2 * (k2 + r2 * (k3 + r2 * k4)))
    x = u + u * radial + 2 * p1 * u * v + p2 * (r2 + 2 * u * u) + sx1 * r2
    y = v + v * radial + 2 * p2 * u * v + p1 * (r2 + 2 * v * v) + sy1 * r2
    return torch.stack([fx * x + cx, fy * y + cy], dim=-1)


def _true_depth(folder: Path) -> dict[str, TrueDepth]:
    """By the file name of a photograph, those that have one."""
    calibration = folder / "dslr_calibration_jpg"
    if not (calibration / "images.txt").is_file():
        raise ValueError(f"{folder} lacks dslr_calibration_jpg: unpack {folder.name}_dslr_jpg.7z, too.")
    model, found = read_model(calibration), {}
    for picture in model.pictures:
        name, camera = Path(picture.name).name, model.cameras.get(picture.camera)
        file = folder / "ground_truth_depth" / "dslr_images" / name
        if not file.is_file():
            continue
        where = f"{model.pictures_file}: {picture.name}"
        if name in found:
            raise ValueError(f"{where} is there twice: unpack {folder.name}_dslr_jpg.7z again.")
        if camera is None or camera.model != "THIN_PRISM_FISHEYE" or len(camera.parameters) != 12:
            raise ValueError(
                f"{where} has no camera THIN_PRISM_FISHEYE: give ETH3D's calibration of originals."
            )
        if not camera.parameters[:2].min() > 0:
            raise ValueError(
                f"{where} has a camera without focal length: unpack {folder.name}_dslr_jpg.7z again."
            )
        if file.stat().st_size != 4 * camera.size[0] * camera.size[1]:
            raise ValueError(
                f"{file} has {file.stat().st_size:,} bytes, its camera {camera.size} pixels of 4 bytes: give "
                "ETH3D's depth file, which is no picture in spite of its name."
            )
        found[name] = TrueDepth(file, camera)
    return found
