"""COLMAP's model files: cameras, images and points3D, each as .bin or .txt, as plain records.

Source: colmap.github.io, Output Format. Numbers are little endian; newer models also have rigs and frames,
which repeat what stands in images.
"""

import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vggt_lite.data.readers.parse import numbers, read_lines

# In the order of COLMAP's numbers for them: (name, number of parameters).
MODELS = (
    ("SIMPLE_PINHOLE", 3), ("PINHOLE", 4), ("SIMPLE_RADIAL", 4), ("RADIAL", 5), ("OPENCV", 8),
    ("OPENCV_FISHEYE", 8), ("FULL_OPENCV", 12), ("FOV", 5), ("SIMPLE_RADIAL_FISHEYE", 4),
    ("RADIAL_FISHEYE", 5), ("THIN_PRISM_FISHEYE", 12), ("RAD_TAN_THIN_PRISM_FISHEYE", 16),
)  # fmt: skip
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


class Points(NamedTuple):
    """What points3D says of N points."""

    identifiers: Tensor  # (N,)
    world: Tensor  # (N, 3) float64


class Model(NamedTuple):
    """What a model folder holds."""

    cameras: dict[int, Camera]
    pictures: list[Picture]
    points: Points | None  # None without points3D
    pictures_file: Path


def read_model(folder: Path) -> Model:
    """Read the binary files, or if there are none, the text.

    Raises:
        ValueError: naming the file, what is wrong with it and the cure.
    """
    if (folder / "images.bin").is_file():
        files = [folder / f"{name}.bin" for name in ("cameras", "images", "points3D")]
        readers = (_binary_cameras, _binary_pictures, _binary_points)
    else:
        files = [folder / f"{name}.txt" for name in ("cameras", "images", "points3D")]
        readers = (_text_cameras, _text_pictures, _text_points)
    cameras, pictures = readers[0](files[0]), readers[1](files[1])
    points = readers[2](files[2]) if files[2].is_file() else None
    return Model(cameras, pictures, points, files[1])


def _text_cameras(path: Path) -> dict[int, Camera]:
    cameras = {}
    for line in filter(None, read_lines(path)):
        columns = line.split()
        where = f"{path}: camera {columns[0]}"
        if len(columns) < 7:
            raise ValueError(f"{where} has {len(columns)} columns, not 7 or more: export the model again.")
        width, height, *parameters = numbers(columns[2:], where, len(columns) - 2)
        key = int(numbers(columns[0], where).item())
        cameras[key] = Camera(columns[1], (int(height), int(width)), torch.stack(parameters))
    return cameras


def _text_pictures(path: Path) -> list[Picture]:
    lines, pictures = read_lines(path), []
    while lines and not lines[-1]:
        lines.pop()
    while lines and not lines[0]:
        lines.pop(0)
    for first, second in zip(
        lines[::2], [*lines[1::2], ""], strict=False
    ):  # an empty second line: saw no points
        columns = first.split(maxsplit=9)
        where = f"{path}: image {columns[-1] if columns else '?'}"
        if len(columns) != 10:
            raise ValueError(
                f"{where} has {len(columns)} columns, not 10: export the model from COLMAP again."
            )
        pose = numbers(columns[1:9], where, 8)
        seen = second.split()
        seen = numbers(seen[: len(seen) // 3 * 3], where, len(seen) // 3 * 3).reshape(-1, 3)
        pictures.append(
            Picture(columns[9], int(pose[7]), pose[:4], pose[4:7], seen[:, :2], seen[:, 2].long())
        )
    return pictures


def _text_points(path: Path) -> Points:
    rows = [line.split(maxsplit=4)[:4] for line in read_lines(path) if line]
    values = numbers(rows, f"{path}: the points", len(rows), 4)
    return Points(values[:, 0].long(), values[:, 1:])


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


def _binary_cameras(path: Path) -> dict[int, Camera]:
    file, cameras = _Binary(path), {}
    for _ in range(file.take("Q")[0]):
        identifier, model, width, height = file.take("iiQQ")
        if not 0 <= model < len(MODELS):
            raise ValueError(
                f"{path}: camera {identifier} has the unknown model {model}: export it as PINHOLE."
            )
        name, count = MODELS[model]
        values = numbers(file.take(f"{count}d"), f"{path}: camera {identifier}", count)
        cameras[identifier] = Camera(name, (height, width), values)
    return cameras


def _binary_pictures(path: Path) -> list[Picture]:
    file, pictures = _Binary(path), []
    for _ in range(file.take("Q")[0]):
        _, *pose, camera = file.take("i7di")
        name = file.text()
        pose = numbers(pose, f"{path}: image {name}", 7)
        seen = np.frombuffer(file.bytes(file.take("Q")[0] * OBSERVATION.itemsize), OBSERVATION)
        pixels, points = torch.from_numpy(seen["xy"].copy()), torch.from_numpy(seen["point"].copy())
        pictures.append(Picture(name, camera, pose[:4], pose[4:], pixels, points))
    return pictures


def _binary_points(path: Path) -> Points:
    file, identifiers, world = _Binary(path), [], []
    for _ in range(file.take("Q")[0]):
        identifier, *place = file.take("Q3d")
        identifiers.append(identifier)
        world.append(place)
        file.take("3Bd")  # colour and error
        file.bytes(8 * file.take("Q")[0])  # which views saw it: stands in images, too
    return Points(torch.tensor(identifiers), numbers(world, f"{path}: the points", len(world), 3))
