"""Cameras in the conventions of other programs.

| name                    | cameras are                   | axes                       | used by           |
|-------------------------|-------------------------------|----------------------------|-------------------|
| `opencv_cam_from_world` | (…, 3, 4)                     | x right, y down, z forward | OpenCV, VGGT, us  |
| `opencv_world_from_cam` | (…, 4, 4)                     | x right, y down, z forward | ScanNet           |
| `opengl_world_from_cam` | (…, 4, 4)                     | x right, y up, z backward  | NeRF, Blender     |
| `colmap`                | qvec (…, 4) wxyz, tvec (…, 3) | x right, y down, z forward | COLMAP images.txt |
| `pytorch3d`             | R (…, 3, 3), T (…, 3)         | x left, y up, z forward    | PyTorch3D         |

PyTorch3D multiplies rows: p_cam = p_world R + T. COLMAP's qvec and tvec are those of cam_from_world.
Only the camera's description changes. The world stays the world: if a program expects z up, turn it apart.
"""

import torch
from torch import Tensor

from vggt_lite.geometry.camera import invert_rigid
from vggt_lite.geometry.rotations import matrix_from_quat_xyzw, quat_xyzw_from_matrix

Cameras = Tensor | tuple[Tensor, Tensor]


def convert_cameras(cameras: Cameras, from_convention: str, to_convention: str) -> Cameras:
    """Describe the same cameras in another convention.

    Args:
        cameras: a tensor or a pair of tensors, as the table above says for `from_convention`. Transforms
            may be (…, 3, 4) or (…, 4, 4).
        from_convention: a name of the table.
        to_convention: a name of the table.

    Returns:
        The cameras as the table says for `to_convention`.

    Raises:
        ValueError: unknown name, or cameras of the wrong kind.
    """
    for argument, name in (("from_convention", from_convention), ("to_convention", to_convention)):
        if name not in CONVENTIONS:
            raise ValueError(f"{argument}={name!r} is unknown; choose one of {', '.join(CONVENTIONS)}.")
    is_pair = from_convention in ("colmap", "pytorch3d")
    if is_pair != isinstance(cameras, tuple | list):
        kind = "a pair of tensors (rotation, translation)" if is_pair else "one tensor (…, 3, 4) or (…, 4, 4)"
        raise ValueError(f"cameras in {from_convention!r} are {kind}, not {type(cameras).__name__}.")
    to_ours, _ = CONVENTIONS[from_convention]
    _, from_ours = CONVENTIONS[to_convention]
    return from_ours(to_ours(cameras))


def _flip(axes: tuple[float, float, float], like: Tensor) -> Tensor:
    return like.new_tensor(axes).diag()


def _from_world_from_cam(world_from_cam: Tensor) -> Tensor:
    return invert_rigid(world_from_cam)[..., :3, :]


def _from_opengl(world_from_cam: Tensor) -> Tensor:
    return _flip((1, -1, -1), world_from_cam) @ _from_world_from_cam(world_from_cam)


def _to_opengl(cam_from_world: Tensor) -> Tensor:
    return invert_rigid(_flip((1, -1, -1), cam_from_world) @ cam_from_world)


def _from_colmap(cameras: tuple[Tensor, Tensor]) -> Tensor:
    quat_wxyz, translation = cameras
    rotation = matrix_from_quat_xyzw(quat_wxyz.roll(-1, dims=-1))
    return torch.cat([rotation, translation[..., None]], dim=-1)


def _to_colmap(cam_from_world: Tensor) -> tuple[Tensor, Tensor]:
    return quat_xyzw_from_matrix(cam_from_world[..., :3]).roll(1, dims=-1), cam_from_world[..., 3]


def _from_pytorch3d(cameras: tuple[Tensor, Tensor]) -> Tensor:
    rotation, translation = cameras
    return _flip((-1, -1, 1), rotation) @ torch.cat([rotation.mT, translation[..., None]], dim=-1)


def _to_pytorch3d(cam_from_world: Tensor) -> tuple[Tensor, Tensor]:
    flipped = _flip((-1, -1, 1), cam_from_world) @ cam_from_world
    return flipped[..., :3].mT, flipped[..., 3]


# name -> (to opencv_cam_from_world, from opencv_cam_from_world)
CONVENTIONS = {
    "opencv_cam_from_world": (lambda cameras: cameras[..., :3, :], lambda cameras: cameras),
    "opencv_world_from_cam": (_from_world_from_cam, invert_rigid),
    "opengl_world_from_cam": (_from_opengl, _to_opengl),
    "colmap": (_from_colmap, _to_colmap),
    "pytorch3d": (_from_pytorch3d, _to_pytorch3d),
}
