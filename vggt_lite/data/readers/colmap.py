"""COLMAP: a sparse model, text or binary, and the folder `images` beside it.

Cameras are cam_from_world with our axes, and the centre of the first pixel is (0.5, 0.5), as ours. A sparse
model has no depth maps; its points become tracks.
"""

from pathlib import Path

import torch
from torch import Tensor

from vggt_lite.data.readers.colmap_files import Camera, Model, Picture, read_model
from vggt_lite.data.readers.parse import file_order, inside, pinhole, plain_names
from vggt_lite.data.readers.views import SparsePoints, View, Views
from vggt_lite.geometry import convert_cameras

# Name → how many focal lengths it has; what follows the principal point is distortion.
FOCAL_LENGTHS = {
    "SIMPLE_PINHOLE": 1,
    "PINHOLE": 2,
    "SIMPLE_RADIAL": 1,
    "RADIAL": 1,
    "OPENCV": 2,
    "FULL_OPENCV": 2,
}


def read_colmap(path: str | Path, images: str | Path | None = None) -> Views:
    """The registered pictures of a COLMAP model, in natural order of their names.

    Args:
        path: the folder of the model, or one that holds it as sparse/ or sparse/0/.
        images: the folder of the pictures; None looks for `images` beside the model, or two levels above.

    Raises:
        ValueError: naming the file, what is wrong with it and the cure; distortion is refused.
    """
    path = Path(path).expanduser()
    folder = find_model(path)
    if folder is None:
        raise ValueError(f"{path} holds no COLMAP model: cameras and images, as .bin or .txt.")
    if images is None:
        images = next((f for base in (folder, *folder.parents[:2]) if (f := base / "images").is_dir()), None)
    if images is None:
        raise ValueError(
            f"there is no folder images beside {folder}: copy the pictures that COLMAP was given."
        )
    model = read_model(folder)
    if not model.pictures:
        raise ValueError(f"{model.pictures_file} lists no pictures: COLMAP could register none.")
    model = model._replace(pictures=sorted(model.pictures, key=lambda picture: file_order(picture.name)))
    names = plain_names([picture.name for picture in model.pictures])
    views = [
        _view(picture, name, model, Path(images)) for picture, name in zip(model.pictures, names, strict=True)
    ]
    points = _points(model) if model.points and len(model.points.world) else None
    return Views("COLMAP", views, model.pictures_file, points, source=f"COLMAP, {path.name}")


def find_model(path: Path) -> Path | None:
    """The folder of the model at a path, or None."""
    for folder in (path, path / "sparse", path / "sparse" / "0"):
        for suffix in ("bin", "txt"):
            if all((folder / f"{name}.{suffix}").is_file() for name in ("cameras", "images")):
                return folder
    return None


def _view(picture: Picture, name: str, model: Model, images: Path) -> View:
    where = f"{model.pictures_file}: image {picture.name}"
    if picture.camera not in model.cameras:
        raise ValueError(f"{where} has camera {picture.camera}, which cameras lacks: export the model again.")
    norm = picture.quat_wxyz.norm()
    if not norm > 0.5:  # of length 1 but for rounding
        raise ValueError(f"{where} has the quaternion {picture.quat_wxyz.tolist()}: export the model again.")
    pose = convert_cameras((picture.quat_wxyz / norm, picture.translation), "colmap", "opencv_cam_from_world")
    camera = model.cameras[picture.camera]
    k = _intrinsics(camera, f"{model.pictures_file.with_stem('cameras')}: camera {picture.camera}")
    return View(name, inside(images, picture.name, where), camera.size, pose, k)


def _intrinsics(camera: Camera, where: str) -> Tensor:
    """K (3, 3) in pixels."""
    focal = FOCAL_LENGTHS.get(camera.model)
    if focal is None or len(camera.parameters) < focal + 2 or camera.parameters[focal + 2 :].any():
        raise ValueError(
            f"{where} is a {camera.model}, whose pictures are distorted. Run `colmap image_undistorter "
            "--image_path images --input_path sparse/0 --output_path undistorted` and give undistorted."
        )
    cx, cy = camera.parameters[focal : focal + 2].tolist()
    return pinhole(camera.parameters[0].item(), camera.parameters[focal - 1].item(), cx, cy)


def _points(model: Model) -> SparsePoints:
    place = {identifier: index for index, identifier in enumerate(model.points.identifiers.tolist())}
    ids, pixels = [], []
    for picture in model.pictures:
        index = torch.tensor([place.get(point, -1) for point in picture.points.tolist()], dtype=torch.long)
        ids.append(index[index >= 0])
        pixels.append(picture.pixels[index >= 0])
    return SparsePoints(model.points.world, ids, pixels, model.pictures_file)
