"""Which format is this? `open_scene` looks for the files that only one of them has."""

from collections.abc import Callable
from pathlib import Path

from vggt_lite.data.readers import co3d, colmap, nerfstudio, vkitti2
from vggt_lite.data.readers.scene_folder import is_scene_folder, read_scene_folder
from vggt_lite.data.readers.views import Views
from vggt_lite.data.sources import natural_order

# Name → (is it this one?, its reader). A nerfstudio folder often holds a COLMAP model too, with pictures
# that are not undistorted, so it is asked first.
FORMATS: dict[str, tuple[Callable[[Path], bool], Callable[[Path], Views]]] = {
    "nerfstudio (transforms.json)": (
        lambda path: (path / nerfstudio.FILE).is_file() or path.suffix == ".json",
        nerfstudio.read_nerfstudio,
    ),
    "CO3Dv2 (the folder of a sequence, beside frame_annotations.jgz)": (
        lambda path: any((folder / co3d.FILE).is_file() for folder in (path, path.parent)),
        co3d.read_co3d,
    ),
    "Virtual KITTI 2 (SceneNN/VARIATION with extrinsic.txt)": (
        lambda path: vkitti2.find_variation(path) is not None,
        vkitti2.read_vkitti2,
    ),
    "COLMAP (sparse/0 with cameras and images, beside images)": (
        lambda path: colmap.find_model(path) is not None,
        colmap.read_colmap,
    ),
}


def is_known(path: str | Path) -> bool:
    """Whether a path is a scene in a format of others. A scene folder of this package is none of them."""
    path = Path(path).expanduser()
    return path.exists() and not is_scene_folder(path) and any(fits(path) for fits, _ in FORMATS.values())


def open_scene(path: str | Path) -> Views:
    """The views of a scene folder, or of a scene in any of the formats above.

    Pictures and depth are read when they are needed.

    Raises:
        FileNotFoundError: there is nothing. ValueError: no format fits, or a file is broken.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: give the folder of a scene.")
    if is_scene_folder(path):
        return read_scene_folder(path)
    for fits, read in FORMATS.values():
        if fits(path):
            return read(path)
    raise ValueError(f"{path} has no format that is known here: {'; '.join(FORMATS)}.")


def find_scenes(path: str | Path) -> list[Path]:
    """The scenes at a path, in natural order: itself, or the folders directly inside it that are scenes.

    A folder with `images` but without cameras counts as a scene, so that somebody says what it lacks.

    Raises:
        FileNotFoundError: the path does not exist. ValueError: there is no scene.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is not a folder: give a scene (images/, cameras.npz) or a folder of them."
        )
    if is_known(path) or (path / "images").is_dir():
        return [path]
    inner = sorted((p for p in path.iterdir() if p.is_dir()), key=natural_order) if path.is_dir() else []
    found = [p for p in inner if is_known(p) or (p / "images").is_dir()]
    if not found:
        raise ValueError(f"{path} holds no scene: images/ and cameras.npz, or {'; '.join(FORMATS)}.")
    return found
