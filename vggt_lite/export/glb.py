"""A scene as one binary glTF file: points, cameras, their frusta, and in these the photographs."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vggt_lite.export.pictures import picture_names
from vggt_lite.export.pinholes import Pinholes
from vggt_lite.geometry import as_4x4, camera_center, convert_cameras, normalized_coordinates
from vggt_lite.utils.files import atomic_write

Y_UP = torch.tensor(
    [[1.0, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, 0]], dtype=torch.float64
)  # glTF from our world
REACH = 0.1  # from a camera to its picture, as a share of the points' median distance from the cameras
TEXTURE = 1024  # pixels of a picture's longer side
UNLIT = "KHR_materials_unlit"
EDGES = ((0, 1), (0, 2), (0, 3), (0, 4), (1, 2), (2, 3), (3, 4), (4, 1))  # of a frustum; 0 is the camera


def write_glb(scene, path: str | Path, confidence_percentile: float = 0.0) -> Path:
    """Write points, a camera for each view, its frustum as lines, and its picture on a rectangle.

    glTF's axes: the world is ours turned so that y is up and z backward, and a camera looks along its −z.
    Nodes are called as the pictures are, `frustum NAME` and `picture NAME`. A glTF camera has no principal
    point and no distortion; frusta and rectangles show where the picture's corners lie, without distortion.
    Points are called `points`; their colours are linear, as glTF wants them.

    Args:
        scene: a `Reconstruction` with cameras and points.
        path: the file; an existing one is replaced.
        confidence_percentile: leave out this percentage of the points, the least trusted first.

    Raises:
        ImportError: trimesh is not installed.
        ValueError: a view has no camera.
    """
    try:
        import trimesh
    except ImportError as error:
        raise ImportError("this needs trimesh: pip install 'vggt-lite[export]'.") from error
    cameras, names = Pinholes.of(scene), picture_names(scene)
    points, colors, _, _ = scene.points(confidence_percentile=confidence_percentile)
    poses = as_4x4(Y_UP) @ convert_cameras(
        cameras.cam_from_world, "opencv_cam_from_world", "opengl_world_from_cam"
    )
    reach, result = reach_of(cameras, points), trimesh.Scene()
    if len(points):
        cloud = trimesh.PointCloud((points.double() @ Y_UP[:, :3].T).numpy(), linear(colors))
        result.add_geometry(cloud, node_name="points", geom_name="points")
    for view, (name, pose, photograph) in enumerate(zip(names, poses.numpy(), scene.images, strict=True)):
        corners = reach * frustum(cameras, view)
        lines = trimesh.load_path(np.concatenate([np.zeros((1, 3)), corners])[np.array(EDGES)])
        picture = Image.fromarray(photograph.numpy())
        picture.thumbnail((TEXTURE, TEXTURE))
        material = trimesh.visual.material.PBRMaterial(
            name=name,
            baseColorTexture=as_jpeg(picture),
            doubleSided=True,
            metallicFactor=0.0,
            roughnessFactor=1.0,
        )
        sheet = trimesh.Trimesh(corners, [[0, 1, 2], [0, 2, 3]], process=False)
        sheet.visual = trimesh.visual.TextureVisuals(uv=[[0, 1], [0, 0], [1, 0], [1, 1]], material=material)
        for kind, part in (("frustum", lines), ("picture", sheet)):
            result.add_geometry(part, f"{kind} {name}", f"{kind} {name}", transform=pose)

    def finish(tree: dict) -> None:
        """What trimesh does not write: several cameras, and pictures that need no lamp."""
        tree["cameras"] = [lens(cameras, view, name, reach) for view, name in enumerate(names)]
        for view, (name, pose) in enumerate(zip(names, poses, strict=True)):
            tree["scenes"][0]["nodes"].append(len(tree["nodes"]))
            tree["nodes"].append({"name": name, "camera": view, "matrix": pose.T.flatten().tolist()})
        for material in tree["materials"]:
            if "baseColorTexture" in material.get("pbrMetallicRoughness", {}):
                material["extensions"] = {UNLIT: {}}
        tree["extensionsUsed"] = [UNLIT]

    with atomic_write(path) as temporary:
        temporary.write_bytes(result.export(file_type="glb", tree_postprocessor=finish))
    return Path(path).expanduser()


def lens(cameras: Pinholes, view: int, name: str, reach: float) -> dict:
    """glTF's perspective camera of a view: what its picture spans around the principal point."""
    k, (height, width) = cameras.intrinsics[view], cameras.sizes[view]
    half = torch.tensor([width, height]) / (2 * k[[0, 1], [0, 1]])  # tangents of half the fields of view
    perspective = {"yfov": 2 * half[1].atan().item(), "aspectRatio": (half[0] / half[1]).item()}
    return {"name": name, "type": "perspective", "perspective": perspective | {"znear": reach / 100}}


def frustum(cameras: Pinholes, view: int) -> np.ndarray:
    """(4, 3) where a picture's corners lie at distance 1, in the camera's OpenGL axes: counter-clockwise from
    the upper left, as the camera sees them."""
    height, width = cameras.sizes[view]
    corners = torch.tensor([[0.0, 0], [0, height], [width, height], [width, 0]], dtype=torch.float64)
    x, y = normalized_coordinates(corners, cameras.intrinsics[view]).unbind(-1)
    return torch.stack([x, -y, -torch.ones(4)], dim=-1).numpy()


def reach_of(cameras: Pinholes, points: Tensor) -> float:
    """How far frusta reach, in the scene's unit."""
    middle = camera_center(cameras.cam_from_world).mean(0)
    return REACH * (points.double() - middle).norm(dim=-1).median().item() if len(points) else REACH


def linear(colors: Tensor) -> np.ndarray:
    """sRGB (N, 3) uint8 as linear light, (N, 3) uint8."""
    share = torch.arange(256) / 255
    table = torch.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return (255 * table).round().byte()[colors.long()].numpy()


def as_jpeg(picture: Image.Image) -> Image.Image:
    """The picture marked so that trimesh embeds it as JPEG, a tenth of a PNG's bytes."""
    picture.format = "JPEG"
    return picture
