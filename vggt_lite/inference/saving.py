"""A `Reconstruction` in a folder, and its parts back: what `Reconstruction.save` and `load` do.

scene.json    names, pixel maps, conventions, how it was made, the report of a refinement
arrays.npz    cameras, depth, points, confidence, tracks, extras (each as in `Reconstruction`),
              and those of its refinement
images/       the photographs, at display size
masks/        where there are any: white where the photograph counts
points.ply    the coloured points that the page shows when it is opened: a sample where there are many
index.html    the scene to turn around, in any browser
SHA256SUMS    of all of these as they were written, so that overwriting deletes nothing else
"""

import json
import math
import zipfile
from dataclasses import asdict
from operator import attrgetter
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import torch
from PIL import Image

from vggt_lite.data.parse import npy_header, shape_fits
from vggt_lite.data.pixel_map import PixelMap
from vggt_lite.export import write_ply
from vggt_lite.inference.refine import Refinement
from vggt_lite.utils.files import atomic_folder, folder_kind
from vggt_lite.utils.reading import read_json
from vggt_lite.utils.runtime import check_memory

KIND = "vggt_lite.reconstruction"
SHAPES = {  # of what arrays.npz holds
    "colors": "S h w 3", "valid": "S h w", "cam_from_world": "S 3 4", "intrinsics": "S 3 3", "depth": "S h w",
    "depth_conf": "S h w", "point_map": "S h w 3", "point_conf": "S h w", "tracks": "S N 2",
    "track_visibility": "S N", "track_conf": "S N", "refinement.tracks": "S M 2", "refinement.inliers": "S M",
    "refinement.points": "M 3", "refinement.radial": "S",
}  # fmt: skip
DTYPES = {"colors": "uint8", "valid": "bool", "refinement.inliers": "bool", "refinement.radial": "float64"}
REPORT = "refinement."  # before the name of an array in `Reconstruction.refinement`
MOST_HIDDEN = 95  # per cent of the points: where the page's slider ends
EXTRA = "extras."  # before the name of an array in `Reconstruction.extras`
ABOUT = (
    "OpenCV axes (x right, y down, z forward); cam_from_world: p_cam = R p_world + t; intrinsics and tracks "
    "in original pixels, pixel (0, 0) covers [0, 1)²; dense maps on network pixels, network = scale * "
    "original + offset (x, y)"
)


class SavedView(msgspec.Struct):
    """What scene.json says of a view, at least."""

    name: str
    pixel_map: PixelMap


class SavedReport(msgspec.Struct):
    """What scene.json says of a refinement; tensors stand in arrays.npz, and NaN is null."""

    refined: bool
    reason: str
    matches: list[tuple[int, int, int]]  # two views, and how many
    error_before: float | None
    error_after: float | None
    start: str
    lens: str
    seconds: float


class Saved(msgspec.Struct):
    """What scene.json holds, at least."""

    views: Annotated[list[SavedView], msgspec.Meta(min_length=1)]
    masks: bool = False
    refinement: SavedReport | None = None
    made: dict[str, str] = {}


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
        arrays = {
            name: attrgetter(name)(scene)
            for name in SHAPES
            if scene.refinement or not name.startswith(REPORT)
        }
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
        contents = {"format": KIND, "version": 1, "about": ABOUT, "made": scene.made, "views": views}
        if scene.refinement:
            contents["refinement"] = msgspec.to_builtins(_report(scene.refinement))
        if scene.masks is not None:
            contents["masks"] = True
            (temporary / "masks").mkdir()
            for view, mask in enumerate(scene.masks):
                Image.fromarray(mask.numpy()).save(temporary / _mask_name(view))
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
        saved = read_json(folder / "scene.json", Saved)
        views, pixel_maps = saved.views, [view.pixel_map for view in saved.views]
        for kept in pixel_maps:
            if not all(0 < x < math.inf for x in (*kept.original_size, *kept.network_size, *kept.scale)):
                raise ValueError(f"scene.json: {kept} is no map between two pictures")
        arrays = _read_arrays(folder / "arrays.npz", pixel_maps)
        return {
            "names": [view.name for view in views],
            "pixel_maps": pixel_maps,
            "images": [_read_image(folder, _image_name(view), kept) for view, kept in enumerate(pixel_maps)],
            "masks": [_read_mask(folder, *pair) for pair in enumerate(pixel_maps)] if saved.masks else None,
            "made": saved.made,
            "extras": _taken(arrays, EXTRA),
            "refinement": _refinement(saved.refinement, _taken(arrays, REPORT), len(views)),
            **arrays,
        }
    except Exception as error:  # missing members, broken zip files, wrong types: one answer to all
        raise ValueError(f"{folder} is damaged ({error}): save the reconstruction again.") from error


def _image_name(view: int) -> str:
    return f"images/{view:03d}.png"


def _mask_name(view: int) -> str:
    return f"masks/{view:03d}.png"


def _taken(arrays: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """The arrays whose names begin so, taken out, without that beginning."""
    return {key.removeprefix(prefix): arrays.pop(key) for key in list(arrays) if key.startswith(prefix)}


def _report(report: Refinement) -> SavedReport:
    """What scene.json says of it."""
    parts = {name: getattr(report, name) for name in SavedReport.__struct_fields__}
    parts["matches"] = [(*pair, count) for pair, count in report.matches.items()]
    for name in ("error_before", "error_after"):
        parts[name] = parts[name] if math.isfinite(parts[name]) else None
    return SavedReport(**parts)


def _refinement(saved: SavedReport | None, arrays: dict[str, torch.Tensor], views: int) -> Refinement | None:
    """A report and its arrays, put together.

    Raises:
        ValueError: they do not belong together.
    """
    lacking = {"tracks", "inliers", "points"} - arrays.keys() if saved and saved.refined else set()
    if lacking or (arrays and not saved):
        raise ValueError("the refinement of scene.json is not that of arrays.npz")
    if not saved:
        return None
    parts = msgspec.structs.asdict(saved)
    if any(not 0 <= view < views for *pair, _ in saved.matches for view in pair):
        raise ValueError("the refinement matches views that are not there")
    parts["matches"] = {(first, second): count for first, second, count in saved.matches}
    for name in ("error_before", "error_after"):
        parts[name] = math.nan if parts[name] is None else parts[name]
    return Refinement(**parts, **arrays)


def _read_arrays(path: Path, pixel_maps: list[PixelMap]) -> dict[str, torch.Tensor]:
    """The arrays of a reconstruction with these views, each looked at before it is unpacked.

    Raises:
        ValueError: one does not fit the others, or is of another type; or they do not fit into memory.
    """
    sizes = {pixel_map.network_size for pixel_map in pixel_maps}
    if len(sizes) > 1:
        raise ValueError(f"its views have different network sizes: {sorted(sizes)}")
    if not path.is_file():
        raise ValueError(f"{path.name} is missing, or no file")
    known = {"S": len(pixel_maps)} | dict(zip("hw", sizes.pop(), strict=True))
    with zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        headers = {}
        for name in names:
            if name in SHAPES or name.startswith(EXTRA):
                with archive.open(f"{name}.npy") as file:
                    shape, _, dtype = npy_header(file)
                headers[name] = shape, dtype
    if missing := {"colors", "valid"} - headers.keys():  # without these there is no reconstruction
        raise ValueError(f"arrays.npz lacks {', '.join(sorted(missing))}")
    for name, (shape, dtype) in headers.items():
        letters = SHAPES[name] if name in SHAPES else " ".join(["S", *map(str, shape[1:])])
        expected = DTYPES.get(name, "float32") if name in SHAPES else dtype
        if not shape_fits(shape, letters, known) or dtype != expected or dtype.kind not in "fiub":
            raise ValueError(f"{name} is {dtype} {shape}; its shape is {letters}")
    check_memory(sum(math.prod(shape) * dtype.itemsize for shape, dtype in headers.values()), "its arrays")
    with np.load(path, allow_pickle=False) as file:
        return {name: torch.from_numpy(file[name]) for name in headers}


def _read_image(folder: Path, name: str, pixel_map: PixelMap, mode: str = "RGB") -> torch.Tensor:
    """(H, W, 3) uint8, or (H, W), a picture from the folder itself and no larger than the photograph was."""
    path = folder / name
    if not path.is_file() or not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{name} is no file in this folder")
    with Image.open(path, formats=["PNG"]) as image:
        if image.height > pixel_map.original_size[0] or image.width > pixel_map.original_size[1]:
            raise ValueError(f"{name} is larger than the photograph was")
        return torch.from_numpy(np.array(image.convert(mode)))


def _read_mask(folder: Path, view: int, pixel_map: PixelMap) -> torch.Tensor:
    """(H, W) bool, the mask of a view."""
    mask = _read_image(folder, _mask_name(view), pixel_map, "L") > 0
    if mask.shape != pixel_map.original_size:
        raise ValueError(f"{_mask_name(view)} is smaller than the photograph was")
    return mask
