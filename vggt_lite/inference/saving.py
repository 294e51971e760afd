"""A `Reconstruction` in a folder, and its parts back: what `Reconstruction.save` and `load` do.

scene.json    names, pixel maps, conventions
arrays.npz    cameras, depth, points, confidence, tracks, extras (each as in `Reconstruction`)
images/       the photographs, at display size, and the network's input colours
points.ply    the coloured points that the page shows when it is opened: a sample where there are many
index.html    the scene to turn around, in any browser
"""

import json
from dataclasses import asdict
from pathlib import Path

import msgspec
import numpy as np
import torch
from PIL import Image

from vggt_lite.data.pixel_map import PixelMap
from vggt_lite.export import write_ply
from vggt_lite.utils.files import atomic_folder, folder_kind

KIND = "vggt_lite.reconstruction"
SHAPES = {  # of what arrays.npz holds
    "colors": "S h w 3", "valid": "S h w", "cam_from_world": "S 3 4", "intrinsics": "S 3 3", "depth": "S h w",
    "depth_conf": "S h w", "point_map": "S h w 3", "point_conf": "S h w", "tracks": "S N 2",
    "track_visibility": "S N", "track_conf": "S N",
}  # fmt: skip
MOST_HIDDEN = 95  # per cent of the points: where the page's slider ends
EXTRA = "extras."  # before the name of an array in `Reconstruction.extras`
ABOUT = (
    "OpenCV axes (x right, y down, z forward); cam_from_world: p_cam = R p_world + t; intrinsics and tracks "
    "in original pixels, pixel (0, 0) covers [0, 1)²; dense maps on network pixels, network = scale * "
    "original + offset (x, y)"
)


def save_reconstruction(
    scene,
    folder: str | Path,
    overwrite: bool = False,
    source: str | None = None,
    confidence_percentile: int = 0,
) -> Path:
    """Write arrays, photographs, points.ply and index.html into a folder, whole or not at all.

    points.ply and the page are left out if there is no point.

    Args:
        scene: A `Reconstruction`.
        folder: Where; it may be empty.
        overwrite: Replace an earlier result.
        source: Whose points the page shows first and points.ply holds, one of `Reconstruction.sources`;
            None takes the first that has points.
        confidence_percentile: Leave this percentage of the points out of points.ply, the least trusted
            first; the page's slider starts there.

    Returns:
        The folder's path.

    Raises:
        FileExistsError: the folder holds something else, or an earlier result and overwrite is False.
        ValueError: no such source, or a percentage outside 0 … 95.
    """
    from vggt_lite.viz import Cloud, write_html

    if source is not None and source not in scene.sources:
        raise ValueError(f"no points from source={source!r}; this reconstruction has {scene.sources}.")
    if not 0 <= confidence_percentile <= MOST_HIDDEN:
        raise ValueError(f"confidence_percentile={confidence_percentile} must lie in 0 … {MOST_HIDDEN}.")
    with atomic_folder(folder, KIND, overwrite) as temporary:
        arrays = {name: getattr(scene, name) for name in SHAPES}
        arrays |= {f"{EXTRA}{name}": value for name, value in scene.extras.items()}
        arrays = {name: value.numpy() for name, value in arrays.items() if value is not None}
        np.savez_compressed(temporary / "arrays.npz", **arrays)
        (temporary / "images").mkdir()
        for view, image in enumerate(scene.images):
            Image.fromarray(image.numpy()).save(temporary / _image_name(view))
        views = [
            {"name": name, "image": _image_name(view), "pixel_map": asdict(pixel_map)}
            for view, (name, pixel_map) in enumerate(zip(scene.names, scene.pixel_maps, strict=True))
        ]
        contents = {"format": KIND, "version": 1, "about": ABOUT, "views": views}
        text = json.dumps(contents, indent=1, ensure_ascii=False)
        (temporary / "scene.json").write_text(text, encoding="utf-8")
        sources = scene.sources if source is None else (source, *scene.sources)
        clouds = (Cloud.of(scene, name) for name in sources)
        if cloud := next((cloud for cloud in clouds if len(cloud)), None):
            shown = cloud.select()  # the page's sample, then what its slider leaves of it
            shown = shown[cloud.rank[shown] >= confidence_percentile]
            write_ply(temporary / "points.ply", cloud.points[shown], cloud.colors[shown])
            page = temporary / "index.html"
            write_html(scene, page, source=source, confidence_percentile=confidence_percentile)
    return Path(folder).expanduser()


def load_parts(folder: str | Path) -> dict:
    """The fields of the `Reconstruction` that `save_reconstruction` wrote.

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
            held = {"colors", "valid", *file.files}  # without these two there is no reconstruction
            arrays = {name: torch.from_numpy(file[name]) for name in SHAPES if name in held}
            extra = [name for name in file.files if name.startswith(EXTRA)]
            extras = {name.removeprefix(EXTRA): torch.from_numpy(file[name]) for name in extra}
        _check_shapes(arrays, len(contents["views"]))
        return {
            "names": [view["name"] for view in contents["views"]],
            "pixel_maps": [msgspec.convert(view["pixel_map"], PixelMap) for view in contents["views"]],
            "images": [_read_image(folder / _image_name(view)) for view in range(len(contents["views"]))],
            "extras": extras,
            **arrays,
        }
    except Exception as error:  # missing members, broken zip files, wrong types: one answer to all
        raise ValueError(f"{folder} is damaged ({error}): save the reconstruction again.") from error


def _image_name(view: int) -> str:
    return f"images/{view:03d}.png"


def _check_shapes(arrays: dict[str, torch.Tensor], views: int) -> None:
    """Raises: ValueError: an array that does not fit the others, or is of another type."""
    known = {"S": views}
    for name, value in arrays.items():
        letters, dtype = SHAPES[name].split(), {"colors": torch.uint8, "valid": torch.bool}.get(name)
        sizes = zip(letters, value.shape, strict=False)
        fits = all(size == (int(x) if x.isdigit() else known.setdefault(x, size)) for x, size in sizes)
        if not fits or len(letters) != value.ndim or value.dtype != (dtype or torch.float32):
            raise ValueError(f"{name} is {value.dtype} {tuple(value.shape)}; its shape is {SHAPES[name]}")


def _read_image(path: Path) -> torch.Tensor:
    with Image.open(path) as image:
        return torch.from_numpy(np.array(image.convert("RGB")))
