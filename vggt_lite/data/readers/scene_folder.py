"""The scene folder of this package, as `Views`: what other formats are read into, it is too."""

from pathlib import Path

import numpy as np
from PIL import Image

from vggt_lite.data.decode import to_rgb
from vggt_lite.data.readers.views import View, Views
from vggt_lite.data.scene_files import SceneFiles, read_arrays, read_info


def is_scene_folder(path: Path) -> bool:
    """Whether images/ and cameras.npz are there."""
    return (path / "images").is_dir() and (path / "cameras.npz").is_file()


def read_scene_folder(path: str | Path) -> Views:
    """The views of a scene folder, in the order it states. Its tracks are not read: they have no points.

    Raises:
        FileNotFoundError, ValueError: naming the file, what is wrong with it and the cure.
    """
    folder = Path(path).expanduser()
    info, parts = read_info(folder), SceneFiles(folder, maps=False)
    if parts.problems:
        raise ValueError(f"{folder} cannot be read as a scene:\n" + "\n".join(parts.problems))
    size = _size(folder / "images" / parts.names[0])
    with_depth, with_masks = (folder / "depths").is_dir(), (folder / "masks").is_dir()
    views = []
    for name, camera, k in zip(parts.names, parts.cam_from_world, parts.intrinsics, strict=True):
        stem = Path(name).stem
        views.append(
            View(
                stem,
                folder / "images" / name,
                size,
                camera.double(),
                k.double(),
                depth_file=folder / "depths" / f"{stem}.npz" if with_depth else None,
                read_depth=_read_depth if with_depth else None,
                mask_file=folder / "masks" / f"{stem}.png" if with_masks else None,
                read_mask=_read_mask if with_masks else None,
            )  # fmt: skip
        )
    about = {key: str(info.get(key, "")) for key in ("source", "license")}
    units = str(info.get("units", "scene units"))
    return Views("scene folder", views, folder / "cameras.npz", units=units, **about)


def _size(path: Path) -> tuple[int, int]:
    """(H, W) of a picture, from its first bytes."""
    try:
        with Image.open(path) as picture:
            return picture.height, picture.width
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be opened ({error}): copy it again.") from error


def _read_depth(path: Path) -> np.ndarray:
    """(H, W) float32 z."""
    (depth,) = read_arrays(path, depth="(H, W)")
    return depth.astype(np.float32)


def _read_mask(path: Path) -> np.ndarray:
    """(H, W) bool: True where the mask is white."""
    return np.array(to_rgb(path, str(path)).convert("L")) > 127
