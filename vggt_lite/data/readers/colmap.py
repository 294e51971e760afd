"""COLMAP: a sparse model, text or binary, and the folder `images` beside it.

Cameras are cam_from_world with our axes, and the centre of the first pixel is (0.5, 0.5), as ours. A sparse
model has no depth maps; its points become tracks. In binary files numbers are little endian; newer models
also have rigs and frames, which repeat what stands in images.

Source: colmap.github.io, Output Format.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vggt_lite.data.parse import file_order, inside, numbers, pinhole, plain_names, read_lines
from vggt_lite.data.views import SparsePoints, View, Views
from vggt_lite.geometry import convert_cameras

# Name → (parameters, how many of them are focal lengths); two more are the principal point, the rest
# distortion. In the order of COLMAP's numbers for them. What has no focal lengths here is always distorted.
CAMERA_MODELS = {
    "SIMPLE_PINHOLE": (3, 1), "PINHOLE": (4, 2), "SIMPLE_RADIAL": (4, 1), "RADIAL": (5, 1), "OPENCV": (8, 2),
    "OPENCV_FISHEYE": (8, None), "FULL_OPENCV": (12, 2), "FOV": (5, None), "SIMPLE_RADIAL_FISHEYE": (4, None),
    "RADIAL_FISHEYE": (5, None), "THIN_PRISM_FISHEYE": (12, None), "RAD_TAN_THIN_PRISM_FISHEYE": (16, None),
}  # fmt: skip
OBSERVATION = np.dtype([("xy", "<f8", 2), ("point", "<i8")])


class Camera(NamedTuple):
    """A line of cameras.txt."""

    model: str
    size: tuple[int, int]  # (H, W)
    parameters: Tensor  # float64


class Picture(NamedTuple):
    """Two lines of images.txt."""

    name: str
    camera: int
    quat_wxyz: Tensor  # (4,) float64
    translation: Tensor  # (3,) float64
    pixels: Tensor  # (M, 2) float64 (x, y)
    points: Tensor  # (M,) identifiers, −1 = none


class Model(NamedTuple):
    """What a model folder holds."""

    cameras: dict[int, Camera]
    pictures: list[Picture]
    points: Tensor  # (N, 4) float64: identifier, then x, y, z; N = 0 without points3D
    pictures_file: Path


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
    pictures = sorted(model.pictures, key=lambda picture: file_order(picture.name))
    names = plain_names([picture.name for picture in pictures])
    views = [_view(picture, name, model, Path(images)) for picture, name in zip(pictures, names, strict=True)]
    points = _points(model, pictures) if len(model.points) else None
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
    _, focal = CAMERA_MODELS.get(camera.model, (0, None))
    if focal is None or len(camera.parameters) < focal + 2 or camera.parameters[focal + 2 :].any():
        raise ValueError(
            f"{model.pictures_file.with_stem('cameras')}: camera {picture.camera} is a {camera.model}, whose "
            "pictures are distorted. Run `colmap image_undistorter --image_path images --input_path sparse/0 "
            "--output_path undistorted` and give undistorted."
        )
    fx, fy, cx, cy = camera.parameters[[0, focal - 1, focal, focal + 1]].tolist()
    return View(name, inside(images, picture.name, where), camera.size, pose, pinhole(fx, fy, cx, cy))


def _points(model: Model, pictures: list[Picture]) -> SparsePoints:
    place = {identifier: index for index, identifier in enumerate(model.points[:, 0].long().tolist())}
    ids, pixels = [], []
    for picture in pictures:
        index = torch.tensor([place.get(point, -1) for point in picture.points.tolist()], dtype=torch.long)
        ids.append(index[index >= 0])
        pixels.append(picture.pixels[index >= 0])
    return SparsePoints(model.points[:, 1:], ids, pixels, model.pictures_file)


def read_model(folder: Path) -> Model:
    """Read the binary files, or if there are none, the text.

    Raises:
        ValueError: naming the file, what is wrong with it and the cure.
    """
    binary = (folder / "images.bin").is_file()
    files = [folder / f"{name}.{'bin' if binary else 'txt'}" for name in ("cameras", "images", "points3D")]
    read_cameras, read_pictures, read_points = BINARY if binary else TEXT
    cameras, pictures, points = {}, [], []
    for identifier, model, size, parameters in read_cameras(files[0]):
        where = f"{files[0]}: camera {identifier}"
        cameras[identifier] = Camera(model, size, numbers(parameters, where, len(parameters)))
    for name, camera, pose, seen in read_pictures(files[1]):
        pose = numbers(pose, f"{files[1]}: image {name}", 7)
        pixels, ids = torch.from_numpy(seen["xy"].copy()), torch.from_numpy(seen["point"].copy())
        pictures.append(Picture(name, camera, pose[:4], pose[4:], pixels, ids))
    if files[2].is_file():
        points = list(read_points(files[2]))
    return Model(cameras, pictures, numbers(points, f"{files[2]}: the points", len(points), 4), files[1])


# Records of cameras: (identifier, model, (H, W), parameters); of pictures: (name, camera, seven numbers of
# the pose, OBSERVATIONs); of points: (identifier, x, y, z).


def _text_cameras(path: Path) -> Iterator[tuple]:
    for line in filter(None, read_lines(path)):
        columns = line.split()
        where = f"{path}: camera {columns[0]}"
        if len(columns) < 7:
            raise ValueError(f"{where} has {len(columns)} columns, not 7 or more: export the model again.")
        key, width, height = numbers([columns[0], *columns[2:4]], where, 3).int().tolist()
        yield key, columns[1], (height, width), columns[4:]


def _text_pictures(path: Path) -> Iterator[tuple]:
    lines = "\n".join(read_lines(path)).strip("\n").split("\n")
    lines += [""] * (len(lines) % 2)  # an empty second line: the picture saw no points
    for first, second in zip(lines[::2], lines[1::2], strict=True):
        columns = first.split(maxsplit=9)
        where = f"{path}: image {columns[-1] if columns else '?'}"
        if len(columns) != 10:
            raise ValueError(
                f"{where} has {len(columns)} columns, not 10: export the model from COLMAP again."
            )
        values = second.split()
        count = len(values) // 3
        values = numbers(values[: 3 * count], where, 3 * count).reshape(count, 3).numpy()
        seen = np.empty(count, OBSERVATION)
        seen["xy"], seen["point"] = values[:, :2], values[:, 2]
        yield columns[9], int(numbers(columns[8], where)), columns[1:8], seen


def _text_points(path: Path) -> Iterator[list[str]]:
    return (line.split(maxsplit=4)[:4] for line in read_lines(path) if line)


class _Binary:
    """A binary file, read from front to back, never beyond its end."""

    def __init__(self, path: Path) -> None:
        try:
            self.path, self.content, self.at = path, path.read_bytes(), 0
        except OSError as error:
            raise ValueError(f"{path} cannot be read ({error}): copy it, too.") from error

    def take(self, layout: str) -> tuple:
        """The numbers of a struct layout."""
        return struct.unpack("<" + layout, self.bytes(struct.calcsize("<" + layout)))

    def bytes(self, count: int) -> bytes:
        if not 0 <= count <= len(self.content) - self.at:
            raise ValueError(f"{self.path} ends in the middle: export the model from COLMAP again.")
        self.at += count
        return self.content[self.at - count : self.at]

    def text(self) -> str:
        """Up to the next zero byte."""
        text = self.bytes(self.content.find(b"\0", self.at) - self.at)
        self.at += 1
        return text.decode("utf-8", errors="replace")


def _binary_cameras(path: Path) -> Iterator[tuple]:
    file, models = _Binary(path), list(CAMERA_MODELS)
    for _ in range(file.take("Q")[0]):
        identifier, model, width, height = file.take("iiQQ")
        if not 0 <= model < len(models):
            raise ValueError(
                f"{path}: camera {identifier} has the unknown model {model}: export it as PINHOLE."
            )
        name = models[model]
        yield identifier, name, (height, width), file.take(f"{CAMERA_MODELS[name][0]}d")


def _binary_pictures(path: Path) -> Iterator[tuple]:
    file = _Binary(path)
    for _ in range(file.take("Q")[0]):
        _, *pose, camera = file.take("i7di")
        name = file.text()
        yield (
            name,
            camera,
            pose,
            np.frombuffer(file.bytes(file.take("Q")[0] * OBSERVATION.itemsize), OBSERVATION),
        )


def _binary_points(path: Path) -> Iterator[tuple]:
    file = _Binary(path)
    for _ in range(file.take("Q")[0]):
        yield file.take("Q3d")
        file.take("3Bd")  # colour and error
        file.bytes(8 * file.take("Q")[0])  # which views saw it: stands in images, too


TEXT = (_text_cameras, _text_pictures, _text_points)
BINARY = (_binary_cameras, _binary_pictures, _binary_points)
