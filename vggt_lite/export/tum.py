"""A trajectory as evo and the TUM benchmark tools read it."""

from pathlib import Path

import numpy as np
import torch

from vggt_lite.geometry import invert_rigid, quat_xyzw_from_matrix
from vggt_lite.utils.files import atomic_write


def write_tum(scene, path: str | Path, seconds_per_view: float = 1.0) -> Path:
    """Write a line for each view that has a camera: time, position in the world, quaternion xyzw.

    Args:
        scene: a `Reconstruction` with cameras.
        path: the file; an existing one is replaced.
        seconds_per_view: between the times of two views, which photographs do not tell.

    Raises:
        ValueError: no view has a camera.
    """
    views = scene.camera_ok.nonzero()[:, 0]
    if not len(views):
        raise ValueError("no view has a camera: reconstruct with a model that predicts them.")
    world_from_cam = invert_rigid(scene.cam_from_world[views].double())
    rows = [seconds_per_view * views[:, None], world_from_cam[:, :3, 3]]
    rows = torch.cat([*rows, quat_xyzw_from_matrix(world_from_cam[:, :3, :3])], dim=1)
    with atomic_write(path) as temporary:
        np.savetxt(temporary, rows.numpy(), fmt="%.9f", header="time x y z qx qy qz qw")
    return Path(path).expanduser()
