"""A `Reconstruction` in a folder, and back.

scene.json    names, pixel maps, conventions
arrays.npz    cameras, depth, points, confidence, tracks (each as in `Reconstruction`)
images/       the photographs, at display size, and the network's input colours
points.ply    the coloured cloud
index.html    the scene to turn around, in any browser
"""

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from vggt_lite.data.pixel_map import PixelMap
from vggt_lite.export import write_ply
from vggt_lite.inference.reconstruction import PREDICTED, Reconstruction
from vggt_lite.utils.files import atomic_folder, folder_kind

KIND = "vggt_lite.reconstruction"
ARRAYS = ("colors", "valid", *PREDICTED)
ABOUT = (
    "OpenCV axes (x right, y down, z forward); cam_from_world: p_cam = R p_world + t; intrinsics and tracks "
    "in original pixels, pixel (0, 0) covers [0, 1)²; dense maps on network pixels, network = scale * "
    "original + offset (x, y)"
)


def save_reconstruction(scene: Reconstruction, folder: str | Path, overwrite: bool = False) -> Path:
    """Write the folder whole or not at all; returns its path.

    Raises:
        FileExistsError: the folder holds something else, or an earlier result and overwrite is False.
    """
    from vggt_lite.viz import write_html

    with atomic_folder(folder, KIND, overwrite) as temporary:
        arrays = {name: getattr(scene, name) for name in ARRAYS}
        np.savez_compressed(
            temporary / "arrays.npz", **{k: v.numpy() for k, v in arrays.items() if v is not None}
        )
        (temporary / "images").mkdir()
        for view, image in enumerate(scene.images):
            Image.fromarray(image.numpy()).save(temporary / "images" / f"{view:03d}.png")
        views = [
            {"name": name, "image": f"images/{view:03d}.png", "pixel_map": pixel_map.to_dict()}
            for view, (name, pixel_map) in enumerate(zip(scene.names, scene.pixel_maps, strict=True))
        ]
        contents = {"format": KIND, "version": 1, "about": ABOUT, "views": views}
        text = json.dumps(contents, indent=1, ensure_ascii=False)
        (temporary / "scene.json").write_text(text, encoding="utf-8")
        if scene.sources:
            xyz, rgb, _, _ = scene.points()
            write_ply(temporary / "points.ply", xyz, rgb)
            if len(xyz):
                write_html(scene, temporary / "index.html")
    return Path(folder)


def load_reconstruction(folder: str | Path) -> Reconstruction:
    """What `save_reconstruction` wrote.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it holds something else, or is damaged.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} does not exist: give a folder written by Reconstruction.save.")
    if folder_kind(folder) != KIND:
        raise ValueError(f"{folder} holds no saved reconstruction: its scene.json must say format {KIND!r}.")
    try:
        contents = json.loads((folder / "scene.json").read_text(encoding="utf-8"))
        with np.load(folder / "arrays.npz", allow_pickle=False) as file:
            arrays = {name: torch.from_numpy(file[name]) for name in file.files if name in ARRAYS}
        return Reconstruction(
            names=[view["name"] for view in contents["views"]],
            pixel_maps=[PixelMap.from_dict(view["pixel_map"]) for view in contents["views"]],
            images=[_read_image(folder / view["image"]) for view in contents["views"]],
            **arrays,
        )
    except Exception as error:  # missing members, broken zip files, wrong types: one answer to all
        raise ValueError(f"{folder} is damaged ({error}): save the reconstruction again.") from error


def _read_image(path: Path) -> torch.Tensor:
    with Image.open(path) as image:
        return torch.from_numpy(np.array(image.convert("RGB")))
