"""Cameras, and points with where they were seen, in the library's own form: a `pycolmap.Reconstruction`."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from vggt_lite.export.pinholes import Pinholes


def import_pycolmap():
    """The library, quiet; or an ImportError that says how to get it."""
    try:
        import pycolmap
    except ImportError as error:
        raise ImportError("this needs pycolmap: pip install 'vggt-lite[refine]'.") from error
    pycolmap.logging.minloglevel = 2  # errors only
    return pycolmap


def colmap_lenses(cameras: Pinholes, square: bool = False, shared: bool = False) -> list:
    """A pycolmap camera for each of S views: SIMPLE_RADIAL where there is distortion, else a pinhole.

    Args:
        cameras: distortion is kept if `radial` is not None.
        square: pixels count as square, so that a pinhole has one focal length (the mean of two).
        shared: all views have the lens of the first, as one camera.
    """
    pycolmap, lenses = import_pycolmap(), []
    for view, ((height, width), k) in enumerate(zip(cameras.sizes, cameras.intrinsics, strict=True)):
        focal, params = k[[0, 1], [0, 1]].tolist(), k[:2, 2].tolist()
        model = "PINHOLE"
        if square or cameras.radial is not None:
            focal, model = [sum(focal) / 2], "SIMPLE_PINHOLE"
        if cameras.radial is not None:
            params, model = [*params, float(cameras.radial[view])], "SIMPLE_RADIAL"
        lens = pycolmap.Camera(
            model=model, width=width, height=height, params=[*focal, *params], camera_id=view + 1
        )
        lenses.append(lens)
    return lenses[:1] * len(lenses) if shared else lenses


def colmap_model(
    cameras: Pinholes,
    lenses: list,
    points: Tensor,
    pixels: Tensor,
    seen: Tensor,
    names: Sequence[str] | None = None,
    colors: Tensor | None = None,
):
    """A `pycolmap.Reconstruction` of S views and those of N points that a view sees.

    Args:
        cameras: their poses.
        lenses: of the views, from `colmap_lenses`.
        points: (N, 3) world.
        pixels: (S, N, 2) where they were seen, in pixels of the photographs.
        seen: (S, N) bool: the observations that count.
        names: of the pictures; None numbers them.
        colors: (N, 3) uint8, or None.

    Returns:
        The model. View i is image i + 1; points are numbered from 1, without those that no view sees.
    """
    pycolmap = import_pycolmap()
    model = pycolmap.Reconstruction()
    for lens in {lens.camera_id: lens for lens in lenses}.values():
        model.add_camera_with_trivial_rig(lens)
    points, pixels, seen = points.double().numpy(), pixels.double().numpy(), seen.numpy()
    for view, (lens, pose) in enumerate(zip(lenses, cameras.cam_from_world.numpy(), strict=True)):
        image = pycolmap.Image(
            name=names[view] if names else str(view), keypoints=pixels[view, seen[view]],
            camera_id=lens.camera_id, image_id=view + 1,
        )  # fmt: skip
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(pose))
    number = seen.cumsum(1) - 1  # (S, N) of an observation in its view
    for point in np.flatnonzero(seen.any(0)):
        track = pycolmap.Track()
        for view in np.flatnonzero(seen[:, point]):
            track.add_element(int(view) + 1, int(number[view, point]))
        model.add_point3D(points[point], track, *([] if colors is None else [colors[point].numpy()]))
    return model
