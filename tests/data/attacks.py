"""Scenes of others with one thing wrong, made by rule: in a field, in a file's bytes, in an array."""

import copy
import gzip
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tests.data.foreign import write_co3d, write_colmap, write_nerfstudio, write_vkitti2
from vggt_lite.data import check_scene, import_scene, read_scene
from vggt_lite.data.readers import open_scene

Spoil = Callable[[Path], None]  # changes the file at a path

BAD_VALUES = [
    None,
    True,
    -1,
    0,
    0.5,
    1e300,
    2**70,
    float("nan"),
    "",
    "x",
    "a\0b",
    "../x.png",
    [],
    {},
    [[]],
    [1e300],
]
BAD_WORDS = ["nan", "inf", "1e300", "-1", "0", "x", "99999999999999999999999", "../x.png", ""]
BAD_BYTES = [b"\0", b"\xff", b"\x7f", b"\x01"]


def write_scene_folder(root: Path) -> Path:
    return import_scene(write_nerfstudio(root / "theirs"), root / "ours")


# layout: (writer, the files that describe it)
LAYOUTS = {
    "nerfstudio": (write_nerfstudio, ["transforms.json"]),
    "CO3Dv2": (write_co3d, ["../frame_annotations.jgz"]),
    "scene folder": (write_scene_folder, ["scene.json", "cameras.npz", "depths/frame_00001.npz"]),
    "COLMAP text": (
        lambda root: write_colmap(root, binary=False),
        ["sparse/0/cameras.txt", "sparse/0/images.txt", "sparse/0/points3D.txt"],
    ),
    "COLMAP binary": (
        lambda root: write_colmap(root, binary=True),
        ["sparse/0/cameras.bin", "sparse/0/images.bin", "sparse/0/points3D.bin"],
    ),
    "Virtual KITTI 2": (write_vkitti2, ["extrinsic.txt", "intrinsic.txt"]),
}


def fault(folder: Path, out: Path) -> str | None:
    """What goes wrong with a scene that is read, checked and imported; None if all is as it should be.

    It may be refused, with a message of one line or a line for each file; what is taken must be finite.
    """
    try:
        check_scene(folder)
    except Exception as error:
        return f"check_scene: {type(error).__name__}: {error}"
    try:
        open_scene(folder)
        scene = read_scene(import_scene(folder, out, 32))
    except (ValueError, FileNotFoundError) as error:
        return None if len(str(error)) > 20 and str(folder.parent) in str(error) else f"says only {error!r}"
    except Exception as error:
        return f"import_scene: {type(error).__name__}: {error}"
    numbers = (scene.cam_from_world, scene.intrinsics, scene.depth, scene.point_map)
    if not all(x.isfinite().all() for x in numbers):
        return "was taken with numbers that are not finite"
    if (scene.intrinsics[..., [0, 1], [0, 1]] <= 0).any():
        return "was taken with a focal length of 0"
    if (torch.linalg.det(scene.cam_from_world[..., :3]).abs() < 1e-6).any():
        return "was taken with a singular rotation"
    return None


def places(content, path: tuple = ()) -> Iterator[tuple]:
    """The way to each value in JSON: of lists only the first and the last."""
    yield path
    if isinstance(content, dict):
        for key in content:
            yield from places(content[key], (*path, key))
    elif isinstance(content, list) and content:
        for index in {0: 0, len(content) - 1: 0}:
            yield from places(content[index], (*path, index))


def spoil_json(path: tuple, value) -> Spoil:
    """Put a value in some place of a JSON file."""

    def spoil(file: Path) -> None:
        packed = file.suffix == ".jgz"
        content = json.loads(gzip.decompress(file.read_bytes()) if packed else file.read_bytes())
        outer = content = {"": content}
        for key in ("", *path)[:-1]:
            outer = outer[key]
        outer[("", *path)[-1]] = copy.deepcopy(value)
        text = json.dumps(content[""]).encode()
        file.write_bytes(gzip.compress(text) if packed else text)

    return spoil


def json_attacks(file: Path) -> Iterator[tuple[str, Spoil]]:
    content = json.loads(gzip.decompress(file.read_bytes()) if file.suffix == ".jgz" else file.read_bytes())
    for path in places(content):
        for value in BAD_VALUES:
            yield f"{'.'.join(map(str, path))} = {value!r}", spoil_json(path, value)


def text_attacks(file: Path) -> Iterator[tuple[str, Spoil]]:
    lines = file.read_text().splitlines()
    for row in {0: 0, 1: 0, 2: 0, len(lines) - 1: 0}:
        words = lines[row].split()
        for column in range(min(len(words), 12)):
            for bad in BAD_WORDS:
                changed = [
                    *lines[:row],
                    " ".join([*words[:column], bad, *words[column + 1 :]]),
                    *lines[row + 1 :],
                ]
                yield (
                    f"line {row}, word {column}: {bad!r}",
                    lambda f, new=changed: f.write_text("\n".join(new)),
                )
        yield f"line {row} twice", lambda f, r=row: f.write_text("\n".join([*lines, lines[r]]))
        yield f"no line {row}", lambda f, r=row: f.write_text("\n".join(lines[:r] + lines[r + 1 :]))


def byte_attacks(file: Path, count: int = 40) -> Iterator[tuple[str, Spoil]]:
    content = file.read_bytes()
    places = np.unique(np.concatenate([np.arange(24), np.geomspace(24, len(content) - 1, count).astype(int)]))
    for at in places[places < len(content)].tolist():
        yield f"cut at {at}", lambda f, at=at: f.write_bytes(content[:at])
        for bad in BAD_BYTES:
            for length in (1, 8):
                new = content[:at] + bad * length + content[at + length :]
                yield f"{bad} × {length} at {at}", lambda f, new=new: f.write_bytes(new)


def array_attacks(file: Path) -> Iterator[tuple[str, Spoil]]:
    with np.load(file) as opened:
        arrays = dict(opened)
    for name, array in arrays.items():
        numbers = array.astype(float)
        big = np.where(np.arange(array.size).reshape(array.shape) == array.size // 2, 1e300, numbers)
        bad = {
            "1e300": big, "NaN": big * np.nan, "0": array * 0, "negative": -numbers, "empty": array[:0],
            "by columns": np.asfortranarray(array), "none": np.zeros((0,) * array.ndim),
            "flat": array.ravel(), "one": array.ravel()[0], "half": array[..., ::2],
        }  # fmt: skip
        bad |= {kind: array.astype(kind) for kind in ("U9", "i8", "c8", ">f8", "O", "g", "m8[s]", "?")}
        for kind, value in bad.items():
            yield f"{name}: {kind}", lambda f, v=arrays | {name: value}: np.savez(f, **v)
        yield f"{name}: missing", lambda f, n=name: np.savez(f, **{k: v for k, v in arrays.items() if k != n})
        for shape in ("(2147483647, 2147483647)", "(-1, 4)", "(1099511627776,)", "(0,)"):
            yield (
                f"{name}: says {shape}",
                lambda f, n=name, s=shape: f.write_bytes(npz_that_says(arrays, n, s)),
            )


def npz_that_says(arrays: dict[str, np.ndarray], name: str, shape: str) -> bytes:
    """An npz file one of whose arrays states another shape than it has."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for key, array in arrays.items():
            member = io.BytesIO()
            np.save(member, array)
            content = member.getvalue()
            if key == name:
                header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
                content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\0" * 64
            archive.writestr(f"{key}.npy", content)
    return out.getvalue()


def attacks(file: Path) -> Iterator[tuple[str, Spoil]]:
    """All that is tried with a file, by its kind."""
    if file.suffix in (".json", ".jgz"):
        yield from json_attacks(file)
    elif file.suffix == ".txt":
        yield from text_attacks(file)
    elif file.suffix == ".npz":
        yield from array_attacks(file)
    yield from byte_attacks(file)


def picture_bytes(kind: str) -> bytes:
    """A photograph of 40 × 30 pixels as a file of some format."""
    values = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(values).save(out, kind)
    return out.getvalue()
