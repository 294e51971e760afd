"""Views cut from panoramas: real pixels, and cameras that are known exactly because they were chosen.

All views of a panorama share one place: rotations and the field of view are exact, translation is zero and
depth unknown. Where the pictures come from stands in panorama_views/README.md; tools/panoramas.py cut them.
"""

from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from vggt_lite.data.pictures import open_picture

FOLDER = Path(__file__).with_name("panorama_views")


class Stored(msgspec.Struct):
    """One set of views in views.json: degrees."""

    fov: float
    views: list[tuple[float, float, float]]  # yaw, pitch, roll


class PanoramaViews(NamedTuple):
    """Views of one camera that only turned."""

    panorama: str
    pictures: np.ndarray  # (S, H, W, 3) uint8
    cam_from_world: Tensor  # (S, 3, 4), the first view's camera is the world, translation zero
    intrinsics: Tensor  # (S, 3, 3), pixels; square pixels, the principal point in the middle
    fov: float  # horizontal and vertical, degrees


def rotation_of(yaw: float, pitch: float, roll: float) -> Rotation:
    """The rotation of cam_from_world for a camera turned to the right, then up, then clockwise; degrees.

    The world is the panorama's: x right, y down, z towards its middle column.
    """
    return Rotation.from_euler("YXZ", [yaw, pitch, roll], degrees=True).inv()


def panorama_views() -> list[PanoramaViews]:
    """All bundled sets of views, in order, several of each panorama.

    `model.reconstruct(list(one.pictures))` shows one of them to a model.
    """
    stored = msgspec.json.decode((FOLDER / "views.json").read_bytes(), type=dict[str, list[Stored]])
    found = []
    for name, sets in stored.items():
        strip = np.asarray(open_picture(FOLDER / f"{name}.jpg"))  # (H, all views · H, 3), side by side
        side, first = len(strip), 0
        for one in sets:
            columns = strip[:, first : first + side * len(one.views)]
            first += columns.shape[1]
            pictures = columns.reshape(side, len(one.views), side, 3).swapaxes(0, 1)
            turned = np.stack([rotation_of(*angles).as_matrix() for angles in one.views])
            cameras = torch.zeros(len(one.views), 3, 4, dtype=torch.float64)
            cameras[:, :, :3] = torch.from_numpy(turned @ turned[0].T)
            focal = side / 2 / np.tan(np.radians(one.fov) / 2)
            intrinsics = torch.tensor([[focal, 0, side / 2], [0, focal, side / 2], [0, 0, 1]])
            found.append(
                PanoramaViews(
                    name, np.ascontiguousarray(pictures), cameras.float(),
                    intrinsics.float().repeat(len(one.views), 1, 1), one.fov,
                )
            )  # fmt: skip
    return found
