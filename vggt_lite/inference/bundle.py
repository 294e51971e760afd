"""Cameras, points and lenses moved together: COLMAP's bundle adjustment, and cameras to start it from."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from vggt_lite.data.triangulation import triangulate
from vggt_lite.export.colmap_model import colmap_lenses, colmap_model, import_pycolmap
from vggt_lite.export.pinholes import Pinholes
from vggt_lite.geometry import project_points
from vggt_lite.inference.correspondences import Tracks


def adjust(
    tracks: Tracks, seen: Tensor, points: Tensor, cameras: Pinholes, robust_px: float, lens: str, radial: bool
) -> tuple[Tensor, Pinholes]:
    """Minimise the reprojection errors over all cameras and points, with a Cauchy loss.

    Args:
        tracks: what was seen where.
        seen: (S, N) bool: the observations that count.
        points: (N, 3) first guess, world.
        cameras: first guess.
        robust_px: errors beyond this count ever less.
        lens: "each" frees the focal length of every view, "shared" one for all, "kept" none.
        radial: free one number of radial distortion with every focal length.

    Returns:
        Points (N, 3) and cameras. The gauge is COLMAP's: scale and place of the world stay near the guess.
    """
    pycolmap = import_pycolmap()
    known = torch.zeros(len(cameras.sizes)) if cameras.radial is None else cameras.radial
    start = replace(cameras, radial=known if radial else None)
    lenses = colmap_lenses(start, square=True, shared=lens == "shared")
    scene = colmap_model(start, lenses, points, tracks.pixels, seen)

    options = pycolmap.BundleAdjustmentOptions()
    options.refine_focal_length, options.refine_extra_params = lens != "kept", radial
    options.print_summary = False
    options.ceres.loss_function_type = pycolmap.LossFunctionType.CAUCHY
    options.ceres.loss_function_scale = robust_px
    options.ceres.solver_options.max_num_iterations = 50
    options.ceres.solver_options.function_tolerance = 1e-5
    options.ceres.solver_options.num_threads = 1  # the same numbers each time
    config = pycolmap.BundleAdjustmentConfig()
    for view in range(len(cameras.sizes)):
        config.add_image(view + 1)
    config.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    pycolmap.create_default_bundle_adjuster(options, config, scene).solve()

    points, used = points.clone(), seen.any(0)
    points[used] = torch.from_numpy(np.stack([scene.point3D(i + 1).xyz for i in range(int(used.sum()))]))
    views = [scene.image(view + 1) for view in range(len(cameras.sizes))]
    lenses = [scene.camera(view.camera_id) for view in views]
    return points, replace(
        cameras,
        cam_from_world=torch.from_numpy(np.stack([view.cam_from_world().matrix() for view in views])),
        intrinsics=torch.from_numpy(np.stack([camera.calibration_matrix() for camera in lenses])),
        radial=torch.tensor([camera.params[3] for camera in lenses]) if radial else None,
    )


def errors(tracks: Tracks, seen: Tensor, points: Tensor, cameras: Pinholes) -> Tensor:
    """(S, N) distance in pixels between projection and observation; infinite behind a camera, 0 if unseen."""
    pixels, z = project_points(points, cameras.cam_from_world, cameras.intrinsics)
    if cameras.radial is not None:
        middle = cameras.intrinsics[:, None, :2, 2]
        offset = (pixels - middle) / cameras.intrinsics[:, None, [0, 1], [0, 1]]
        stretch = 1 + cameras.radial[:, None, None] * offset.square().sum(-1, keepdim=True)
        pixels = middle + (pixels - middle) * stretch
    distance = (pixels - tracks.pixels).norm(dim=-1)
    distance = torch.where((z > 0) & distance.isfinite(), distance, torch.inf)
    return torch.where(seen, distance, 0.0)


def cameras_from_pair(tracks: Tracks, cameras: Pinholes, pair: tuple[int, int]) -> Pinholes | None:
    """Cameras built up from a pair of views: its essential matrix, then one view after the other.

    The predicted focal lengths are trusted, the predicted poses are not looked at.

    Returns:
        Cameras in the frame of view 0; None if a view shares too few points with the others.
    """
    pycolmap = import_pycolmap()
    lenses = colmap_lenses(replace(cameras, radial=None), square=True)
    first, second = pair
    both = tracks.seen[first] & tracks.seen[second]
    ransac = pycolmap.RANSACOptions(max_error=3.0, max_num_trials=2000, random_seed=0)
    found = pycolmap.estimate_essential_matrix(
        *(tracks.pixels[view, both].numpy() for view in pair), lenses[first], lenses[second], ransac
    )
    if found is None:
        return None
    poses = {first: torch.eye(3, 4, dtype=torch.float64)}
    poses[second] = torch.from_numpy(np.array(found["cam2_from_cam1"].matrix()))
    while len(poses) < len(lenses):
        known = sorted(poses)
        part = Pinholes(torch.stack([poses[v] for v in known]), cameras.intrinsics[known], [])
        seen = tracks.seen[known]
        points = triangulate(tracks.pixels[known], seen, part.cam_from_world, part.intrinsics).double()
        error = errors(Tracks(tracks.pixels[known], seen, {}), seen, points, part)
        good = (seen.sum(0) >= 2) & (error.amax(0) < 10)
        view = max(set(range(len(lenses))) - set(known), key=lambda v: int((good & tracks.seen[v]).sum()))
        mine = good & tracks.seen[view]
        options = pycolmap.AbsolutePoseEstimationOptions()
        options.ransac.max_error, options.ransac.random_seed = 12.0, 0
        pose = int(mine.sum()) >= 6 and pycolmap.estimate_absolute_pose(
            tracks.pixels[view, mine].numpy(), points[mine].numpy(), lenses[view], options
        )
        if not pose:
            return None
        poses[view] = torch.from_numpy(np.array(pose["cam_from_world"].matrix()))
    return replace(cameras, cam_from_world=torch.stack([poses[view] for view in range(len(lenses))]))
