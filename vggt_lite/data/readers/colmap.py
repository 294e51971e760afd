"""COLMAP: a sparse model, text or binary, and the folder `images` beside it.

Cameras are cam_from_world with our axes, and the centre of the first pixel is (0.5, 0.5), as ours. A sparse
model has no depth maps; its points become tracks. In binary files numbers are little endian; newer models
also have rigs and frames, which repeat what stands in images.

Source: colmap.github.io, Output Format.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vggt_lite.data.parse import below, file_order, numbers, pinhole, read_lines
from vggt_lite.data.views import SparsePoints, View, Views
from vggt_lite.geometry import convert_cameras
from vggt_lite.utils.reading import read_bytes, reading

# Name → (parameters, how many of them are focal lengths); two more are the principal point, the rest
# distortion. In the order of COLMAP's numbers for them. What has no focal lengths here is always distorted.
CAMERA_MODELS = {
    "SIMPLE_PINHOLE": (3, 1), "PINHOLE": (4, 2), "SIMPLE_RADIAL": (4, 1), "RADIAL": (5, 1), "OPENCV": (8, 2),
    "OPENCV_FISHEYE": (8, None), "FULL_OPENCV": (12, 2), "FOV": (5, None), "SIMPLE_RADIAL_FISHEYE": (4, None),
    "RADIAL_FISHEYE": (5, None), "THIN_PRISM_FISHEYE": (12, None), "RAD_TAN_THIN_PRISM_FISHEYE": (16, None),
}  # fmt: skip
# Records of the binary files; what is longer or shorter follows each of them.
CAMERA = np.dtype([("id", "<i4"), ("model", "<i4"), ("size", "<u8", 2)])
PICTURE = np.dtype([("id", "<i4"), ("pose", "<f8", 7), ("camera", "<i4")])
OBSERVATION = np.dtype([("pixel", "<f8", 2), ("point", "<i8")])
POINT = np.dtype([("id", "<u8"), ("world", "<f8", 3), ("color and error", "u1", 11), ("length", "<u8")])


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
        raise ValueError(f"there is no folder images beside {folder}: copy the pictures COLMAP was given.")
    model = read_model(folder)
    if not model.pictures:
        raise ValueError(f"{model.pictures_file} lists no pictures: COLMAP could register none.")
    pictures = sorted(model.pictures, key=lambda picture: file_order(picture.name))
    views = [_view(picture, model, Path(images)) for picture in pictures]
    points = _points(model, pictures) if len(model.points) else None
    return Views("COLMAP", views, model.pictures_file, points, source=f"COLMAP, {path.name}")


def find_model(path: Path) -> Path | None:
    """The folder of the model at a path, or None."""
    folders = (path, path / "sparse", path / "sparse" / "0")
    return next((f for f in folders if _holds_model(f, "bin") or _holds_model(f, "txt")), None)


def _holds_model(folder: Path, suffix: str) -> bool:
    return all((folder / f"{name}.{suffix}").is_file() for name in ("cameras", "images"))


def _view(picture: Picture, model: Model, images: Path) -> View:
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
    return View(below(images, picture.name, where), camera.size, pose, pinhole(fx, fy, cx, cy))


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
    suffix = "bin" if _holds_model(folder, "bin") else "txt"
    read_cameras, read_pictures, read_points = READERS[suffix]
    files = [folder / f"{name}.{suffix}" for name in ("cameras", "images", "points3D")]
    cameras, pictures = {}, {}
    for identifier, model, size, parameters in read_cameras(files[0]):
        where = f"{files[0]}: camera {identifier}"
        number = int(numbers(identifier, where))
        if number in cameras:
            raise ValueError(f"{where} stands there twice: leave one of the two out.")
        width, height = map(int, numbers(size, where, 2))
        cameras[number] = Camera(model, (height, width), numbers(parameters, where, len(parameters)))
    for name, camera, pose, seen in read_pictures(files[1]):
        where = f"{files[1]}: image {name}"
        if name in pictures:
            raise ValueError(f"{where} stands there twice: leave one of the two out.")
        camera, pose = int(numbers(camera, where)), numbers(pose, where, 7)
        seen = numbers(seen, where, len(seen), 3)
        pictures[name] = Picture(name, camera, pose[:4], pose[4:], seen[:, :2], seen[:, 2].long())
    points = {}
    for point in read_points(files[2]) if files[2].is_file() else ():
        if point[0] in points:
            raise ValueError(f"{files[2]}: point {point[0]} stands there twice: export the model again.")
        points[point[0]] = point
    points = numbers(list(points.values()), f"{files[2]}: the points", len(points), 4)
    return Model(cameras, list(pictures.values()), points, files[1])


# Records of text and binary files: cameras (identifier, model, (width, height), parameters), pictures (name,
# camera, seven numbers of the pose, (x, y, identifier) of each point seen) and points (identifier, x, y, z).


def _text_rows(path: Path, lines: Iterable[str], columns: int) -> Iterator[list[str]]:
    """Each line cut into `columns` texts; the last one is the rest of the line."""
    for line in lines:
        row = line.split(maxsplit=columns - 1)
        if len(row) < columns:
            raise ValueError(f"{path}: {line[:80]!r} has {len(row)} columns, not {columns}: export it again.")
        yield row


def _text_cameras(path: Path) -> Iterator[tuple]:
    for identifier, model, width, height, parameters in _text_rows(path, filter(None, read_lines(path)), 5):
        yield identifier, model, (width, height), parameters.split()


def _text_pictures(path: Path) -> Iterator[tuple]:
    lines = "\n".join(read_lines(path)).strip("\n").split("\n")
    lines += [""] * (len(lines) % 2)  # an empty second line: the picture saw no points
    for (_, *pose, camera, name), seen in zip(_text_rows(path, lines[::2], 10), lines[1::2], strict=True):
        seen = seen.split()
        yield name, camera, pose, [seen[i : i + 3] for i in range(0, len(seen) - 2, 3)]


def _text_points(path: Path) -> Iterator[list[str]]:
    return (row[:4] for row in _text_rows(path, filter(None, read_lines(path)), 5))


class _Binary:
    """A binary file, read from front to back."""

    def __init__(self, path: Path) -> None:
        self.path, self.at = path, 0
        with reading(path, "a COLMAP model"):
            self.content = read_bytes(path)

    def take(self, layout: np.dtype | str, count: int = 1) -> np.ndarray:
        """The next `count` records of a layout."""
        try:
            values = np.frombuffer(self.content, layout, int(count), self.at)
        except (ValueError, OverflowError) as error:
            raise ValueError(f"{self.path} ends in the middle: export it from COLMAP again.") from error
        self.at += values.nbytes
        return values

    def records(self, layout: np.dtype) -> Iterator[np.ndarray]:
        """One after the other, for what follows each of them to be taken; their number stands in front."""
        return (self.take(layout)[0] for _ in range(self.take("<u8")[0]))


def _binary_cameras(path: Path) -> Iterator[tuple]:
    file, models = _Binary(path), dict(enumerate(CAMERA_MODELS))
    for camera in file.records(CAMERA):
        model = models.get(int(camera["model"]))
        if model is None:
            raise ValueError(f"{path}: camera model {camera['model']} is unknown: export as PINHOLE.")
        yield camera["id"], model, camera["size"], file.take("<f8", CAMERA_MODELS[model][0])


def _binary_pictures(path: Path) -> Iterator[tuple]:
    file = _Binary(path)
    for picture in file.records(PICTURE):
        end = file.content.find(b"\0", file.at)
        name = file.take("u1", (end if end > 0 else len(file.content)) + 1 - file.at).tobytes()[:-1]
        seen = file.take(OBSERVATION, file.take("<u8")[0])
        sightings = np.column_stack([seen["pixel"], seen["point"]])
        yield name.decode("utf-8", errors="replace"), picture["camera"], picture["pose"], sightings


def _binary_points(path: Path) -> Iterator[tuple]:
    file = _Binary(path)
    for point in file.records(POINT):
        file.take("<u8", point["length"])  # which views saw it: stands in images, too
        yield point["id"], *point["world"]


READERS = {
    "txt": (_text_cameras, _text_pictures, _text_points),
    "bin": (_binary_cameras, _binary_pictures, _binary_points),
}
