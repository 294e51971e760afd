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

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from vggt_lite.data.scene_files import SceneFiles, read_info
from vggt_lite.geometry import unproject_depth
from vggt_lite.losses.scene_batch import SceneBatch
from vggt_lite.utils.files import atomic_folder

KIND = "vggt_lite.scene"


def write_scene(
    folder: str | Path,
    scene: SceneBatch,
    index: int | None = None,
    names: list[str] | None = None,
    units: str = "scene units",
    source: str = "",
    license: str = "",
    overwrite: bool = False,
) -> Path:
    """Write one scene, whole or not at all. Images become 8-bit PNG; everything else is exact.

    Args:
        folder: a new or empty folder, or with `overwrite` one that holds a scene already.
        scene: the batch; with more than one scene, `index` says which.
        index: which scene of the batch.
        names: one per view, without suffix; None counts 000, 001, …
        units, source, license: for scene.json: what 1.0 means ("metres"), where from, on what terms.

    Raises:
        FileExistsError: the folder holds something else. ValueError: the arguments do not fit.
    """
    if index is None and len(scene) != 1:
        raise ValueError(f"the batch holds {len(scene)} scenes: say which one, for example index=0.")
    views = scene.apply(lambda x: x[index or 0].detach().cpu())
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
        info = {"format": KIND, "version": 1, "images": [f"{name}.png" for name in names]}
        info |= {"units": units, "source": source, "license": license}
        text = json.dumps(info, indent=1, ensure_ascii=False)
        (temporary / "scene.json").write_text(text, encoding="utf-8")
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
        FileNotFoundError, ValueError: naming every file that is missing, unreadable or of a wrong size.
    """
    read_info(folder)  # a missing folder is a FileNotFoundError
    parts = SceneFiles(folder)
    if parts.problems:
        raise ValueError(f"{folder} cannot be read as a scene:\n" + "\n".join(parts.problems))
    images = torch.from_numpy(np.stack(parts.images)).permute(0, 3, 1, 2).contiguous().float() / 255
    depth = torch.zeros_like(images[:, 0]) if parts.depth is None else torch.from_numpy(np.stack(parts.depth))
    depth = depth.nan_to_num(0.0, 0.0, 0.0)  # (S, H, W)
    valid = depth > 0
    if parts.masks is not None:
        valid &= torch.from_numpy(np.stack(parts.masks))
    scene = {"images": images, "depth": depth, "valid": valid}
    scene |= {"cam_from_world": parts.cam_from_world, "intrinsics": parts.intrinsics}
    scene["point_map"] = unproject_depth(depth, parts.intrinsics, parts.cam_from_world)
    if parts.tracks is not None:
        scene |= {"tracks": parts.tracks, "track_visibility": parts.visibility}
    return SceneBatch(**{name: value[None] for name, value in scene.items()})
