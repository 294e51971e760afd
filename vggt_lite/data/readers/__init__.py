"""Scenes in the formats of others, and which format a folder has (`open_scene`).

Each reader returns `Views`: cameras in our convention, pictures and depth still on disk. `import_scene`
brings them to one size and writes a scene folder of this package.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from vggt_lite.data.pictures import natural_order
from vggt_lite.data.readers import co3d, colmap, nerfstudio, vkitti2
from vggt_lite.data.scene_io import KIND, read_scene_folder, write_scene
from vggt_lite.data.views import Views, to_batch
from vggt_lite.utils.files import folder_target

# Name → (is it this one?, its reader); the first that fits. A nerfstudio folder often holds a COLMAP model,
# too, with pictures that are not undistorted.
FORMATS: dict[str, tuple[Callable[[Path], object], Callable[[Path], Views]]] = {
    "a scene folder (images/ and cameras.npz)": (
        lambda path: (path / "images").is_dir() and (path / "cameras.npz").is_file(), read_scene_folder
    ),
    "nerfstudio (transforms.json)": (
        lambda path: (path / nerfstudio.FILE).is_file() or path.suffix == ".json", nerfstudio.read_nerfstudio
    ),
    "CO3Dv2 (the folder of a sequence, beside frame_annotations.jgz)": (
        lambda path: (path / co3d.FILE).is_file() or (path.parent / co3d.FILE).is_file(), co3d.read_co3d
    ),
    "Virtual KITTI 2 (SceneNN/VARIATION with extrinsic.txt)": (vkitti2.find_variation, vkitti2.read_vkitti2),
    "COLMAP (sparse/0 with cameras and images, beside images)": (colmap.find_model, colmap.read_colmap),
}  # fmt: skip


def open_scene(path: str | Path) -> Views:
    """The views of a scene in any of the formats above.

    Pictures and depth are read when they are needed.

    Raises:
        FileNotFoundError: there is nothing. ValueError: no format fits, or a file is broken.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: give the folder of a scene.")
    if read := _reader(path):
        return read(path)
    raise ValueError(f"{path} has no format that is known here: {'; '.join(FORMATS)}.")


def _reader(path: Path) -> Callable[[Path], Views] | None:
    """What reads a path, if it is a scene; one with images alone is a scene folder that lacks something."""
    known = next((read for fits, read in FORMATS.values() if fits(path)), None)
    return known or (read_scene_folder if (path / "images").is_dir() else None)


def find_scenes(path: str | Path) -> list[Path]:
    """The scenes at a path, in natural order: itself, or the folders directly inside it that are scenes.

    Raises:
        FileNotFoundError: the path does not exist. ValueError: there is no scene.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"{path} is not a folder: give a scene or a folder of scenes.")
    if _reader(path):
        return [path]
    inner = sorted((p for p in path.iterdir() if p.is_dir()), key=natural_order) if path.is_dir() else []
    if found := list(filter(_reader, inner)):
        return found
    raise ValueError(f"{path} holds no scene: {'; '.join(FORMATS)}.")


def import_scene(
    source: str | Path,
    folder: str | Path,
    size: int | tuple[int, int] | None = None,
    views: int | slice | Sequence[int] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a scene of any format that is read here as a scene folder of this package.

    Args:
        source: what `open_scene` takes.
        folder: a new or empty folder, or with `overwrite` one that holds a scene already.
        size: (H, W) of all views, one number for squares, or None: as they are; see `to_batch`.
        views: so many, evenly spaced; a slice; given numbers; or all.

    Raises:
        FileExistsError, FileNotFoundError, ValueError: naming the file and what to do about it.
    """
    folder_target(folder, KIND, overwrite)
    chosen = open_scene(source).choose(views)
    about = {"units": chosen.units, "source": chosen.source, "license": chosen.license}
    return write_scene(folder, to_batch(chosen, size), names=chosen.names, overwrite=overwrite, **about)
