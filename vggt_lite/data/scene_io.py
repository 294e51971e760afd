"""A scene on disk: the contract between data and training.

    images/*.png|jpg   the views, all of one size
    cameras.npz        cam_from_world (S, 3, 4), intrinsics (S, 3, 3) in pixels
    depths/NAME.npz    optional, one per view: depth (H, W), z in scene units, 0 = none
    masks/NAME.png     optional, one per view: white where depth may be trusted
    tracks.npz         optional: tracks (S, N, 2) pixels, visibility (S, N)
    scene.json         optional: images (file names in order), units, source, license

OpenCV axes; NAME is the image's name without its suffix. Without scene.json the views come in natural
order (2.png before 10.png). `check_scene` looks at a folder more closely than `read_scene` does.
"""

from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vggt_lite.data.parse import picture_size, read_arrays, read_mask
from vggt_lite.data.pictures import list_images
from vggt_lite.data.views import MapFile, View, Views, to_batch
from vggt_lite.losses.scene_batch import SceneBatch
from vggt_lite.utils.files import atomic_folder
from vggt_lite.utils.reading import read_json

KIND = "vggt_lite.scene"


class SceneInfo(msgspec.Struct):
    """scene.json."""

    format: str = KIND
    version: int = 1
    images: list[str] | None = None  # None: in natural order
    units: str = "scene units"
    source: str = ""
    license: str = ""


def write_scene(
    folder: str | Path,
    scene: SceneBatch,
    names: list[str] | None = None,
    units: str = "scene units",
    source: str = "",
    license: str = "",
    overwrite: bool = False,
) -> Path:
    """Write one scene, whole or not at all. Images become 8-bit PNG; everything else is exact.

    Args:
        folder: a new or empty folder, or with `overwrite` one that holds a scene already.
        scene: a batch of one scene.
        names: one per view, without suffix; None counts 000, 001, …
        units, source, license: for scene.json: what 1.0 means ("metres"), where from, on what terms.

    Raises:
        FileExistsError: the folder holds something else. ValueError: the arguments do not fit.
    """
    if len(scene) != 1:
        raise ValueError(f"the batch holds {len(scene)} scenes: give one, for example scene.scene(0).")
    views = scene.apply(lambda x: x[0].detach().cpu())
    count = len(views.images)
    names = names or [f"{view:03d}" for view in range(count)]
    if len(set(names)) != count or len(names) != count or any("/" in name or "\\" in name for name in names):
        raise ValueError(f"names must be {count} different plain names, not {names}.")
    with atomic_folder(folder, KIND, overwrite) as temporary:
        _write_maps(temporary, views, names)
        cameras = {"cam_from_world": views.cam_from_world.numpy(), "intrinsics": views.intrinsics.numpy()}
        np.savez(temporary / "cameras.npz", **cameras)
        if views.tracks is not None:
            visibility = views.track_visibility.numpy()
            np.savez_compressed(temporary / "tracks.npz", tracks=views.tracks.numpy(), visibility=visibility)
        images = [f"{name}.png" for name in names]
        info = SceneInfo(images=images, units=units, source=source, license=license)
        (temporary / "scene.json").write_bytes(msgspec.json.format(msgspec.json.encode(info), indent=1))
    return Path(folder)


def _write_maps(folder: Path, views: SceneBatch, names: list[str]) -> None:
    with_depth = bool((views.depth > 0).any())
    for kind in ("images", *(("depths", "masks") if with_depth else ())):
        (folder / kind).mkdir()
    for view, name in enumerate(names):
        image = (views.images[view].permute(1, 2, 0) * 255).round().clamp(0, 255).byte()  # (H, W, 3)
        Image.fromarray(image.numpy()).save(folder / "images" / f"{name}.png")
        if with_depth:
            np.savez_compressed(folder / "depths" / f"{name}.npz", depth=views.depth[view].numpy())
            mask = views.valid[view].byte() * 255
            Image.fromarray(mask.numpy()).save(folder / "masks" / f"{name}.png")


def read_scene(folder: str | Path) -> SceneBatch:
    """The scene in a folder, with B = 1. Where there is no depth, `depth` is 0 and `valid` False.

    Raises:
        FileNotFoundError: there is no folder.
        ValueError: naming every file that is missing, unreadable or of a wrong size.
    """
    views = read_scene_folder(folder)
    scene = to_batch(views)
    if stored := read_tracks(folder, len(views)):
        scene = replace(scene, tracks=stored[0][None], track_visibility=stored[1][None])
    return scene


def read_scene_folder(folder: str | Path) -> Views:
    """The views of a scene folder, in the order it states; for its tracks see `read_tracks`.

    Raises:
        FileNotFoundError: there is no folder.
        ValueError: naming the file, what is wrong with it and the cure.
    """
    folder = Path(folder).expanduser()
    info = read_info(folder)
    names, path = info.images, folder / "cameras.npz"
    arrays = read_arrays(path, {"S": len(names)}, cam_from_world="S 3 4", intrinsics="S 3 3")
    cameras, intrinsics = (torch.from_numpy(array.astype(np.float64)) for array in arrays)
    images, depths, masks = (folder / name for name in ("images", "depths", "masks"))
    size = None
    for name in names:
        with suppress(ValueError, FileNotFoundError):  # of the first that opens; the others must agree
            size = size or picture_size(images / name)
    if size is None:
        raise ValueError(f"{images}: none of its pictures can be opened: copy them again.")
    views = []
    for name, camera, k in zip(names, cameras, intrinsics, strict=True):
        stem = Path(name).stem
        depth = MapFile(depths / f"{stem}.npz", _read_depth) if depths.is_dir() else None
        mask = MapFile(masks / f"{stem}.png", partial(read_mask, above=127)) if masks.is_dir() else None
        views.append(View(images / name, size, camera, k, depth, mask))
    return Views("scene folder", views, path, None, info.units, info.source, info.license)


def read_info(folder: str | Path) -> SceneInfo:
    """scene.json, or the defaults without it; `images` are those it lists, else all in natural order.

    Raises:
        FileNotFoundError: there is no folder. ValueError: it is not valid, or there are no images.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} does not exist: give a folder with images/ and cameras.npz.")
    path, pictures = folder / "scene.json", folder / "images"
    info = read_json(path, SceneInfo) if path.exists() else SceneInfo()
    if info.images is None:
        info.images = [picture.name for picture in list_images(pictures)] if pictures.is_dir() else []
    stems = {Path(name).stem for name in info.images if Path(name).name == name}
    if len(stems) < len(info.images):
        raise ValueError(f"{path}: images must list different file names, without folders.")
    if not info.images:
        raise ValueError(f"{pictures} holds no pictures: put the views there, PNG or JPEG.")
    return info


def read_tracks(folder: str | Path, num_views: int) -> tuple[Tensor, Tensor] | None:
    """Tracks (S, N, 2) float32 and visibility (S, N) bool of a scene folder, or None.

    Where nothing is seen, a position that is not finite becomes 0.

    Raises:
        ValueError: they cannot be read, or are those of another number of views.
    """
    path = Path(folder).expanduser() / "tracks.npz"
    if not path.exists():
        return None
    tracks, visibility = read_arrays(path, {"S": num_views}, tracks="S N 2", visibility="S N")
    with np.errstate(over="ignore"):
        tracks = torch.from_numpy(tracks.astype(np.float32))
    visibility = torch.from_numpy(visibility.astype(bool))
    return torch.where(visibility[..., None] | tracks.isfinite(), tracks, 0.0), visibility


def _read_depth(path: Path) -> np.ndarray:
    """(H, W) float32 z."""
    with np.errstate(over="ignore"):
        return read_arrays(path, {}, depth="H W")[0].astype(np.float32)
