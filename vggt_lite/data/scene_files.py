"""Reading a scene folder, file by file: every problem is collected, none is raised."""

import json
from pathlib import Path

import numpy as np
import torch

from vggt_lite.data.decode import to_rgb
from vggt_lite.data.sources import list_images

READ_WITH = "numpy.savez, numbers only, no objects"


def read_info(folder: str | Path) -> dict:
    """scene.json: images, units, source, license. Without it, the images in natural order."""
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} does not exist: give a folder with images/ and cameras.npz.")
    path = folder / "scene.json"
    info = {}
    if path.exists():
        try:
            info = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} is not valid JSON ({error}): write it again, or remove it.") from error
        if not isinstance(info, dict):
            raise ValueError(f"{path} must hold an object with keys images, units, source, license.")
    if "images" not in info:
        pictures = list_images(folder / "images") if (folder / "images").is_dir() else []
        info["images"] = [picture.name for picture in pictures]
    return info


def read_arrays(path: Path, **shapes: str) -> list[np.ndarray]:
    """The named arrays of an npz file; `shapes` says what each should be, in words.

    Raises:
        FileNotFoundError, ValueError: naming the file and what it must hold.
    """
    wanted = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: it must hold {wanted} ({READ_WITH}).")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except Exception as error:  # a broken archive can raise almost anything
        raise ValueError(f"{path} cannot be read ({error}): write {wanted} with {READ_WITH}.") from error
    if missing := [name for name in shapes if name not in arrays]:
        raise ValueError(f"{path} lacks {missing}, it holds {sorted(arrays)}: write {wanted}.")
    if text := [name for name in shapes if arrays[name].dtype.kind not in "fiub"]:
        raise ValueError(f"{path}: {text} are no numbers: write {wanted} with {READ_WITH}.")
    return [arrays[name] for name in shapes]


class SceneFiles:
    """Everything a scene folder holds, as arrays. What cannot be read is None and named in `problems`.

    Args:
        folder: the scene.
        maps: open pictures, depths, masks and tracks, too; False reads the list of views and their cameras.
    """

    def __init__(self, folder: str | Path, maps: bool = True) -> None:
        self.folder = Path(folder).expanduser()
        self.problems: list[str] = []
        self.size: tuple[int, int] | None = None  # (H, W) of the first image; the others must agree
        self.cam_from_world = self.intrinsics = self.tracks = self.visibility = self.depth = self.masks = None
        self.names: list[str] = self._attempt(self._read_names) or []
        self.images = [self._attempt(self._read_image, name) for name in self.names] if maps else []
        self._attempt(self._read_cameras)
        if not maps:
            return
        stems = [Path(name).stem for name in self.names]
        if (self.folder / "depths").is_dir():
            self.depth = [self._attempt(self._read_depth, stem) for stem in stems]
        if (self.folder / "masks").is_dir():
            self.masks = [self._attempt(self._read_mask, stem) for stem in stems]
        if (self.folder / "tracks.npz").exists():
            self._attempt(self._read_tracks)

    def _attempt(self, read, *arguments):
        try:
            return read(*arguments)
        except (ValueError, FileNotFoundError) as error:
            self.problems.append(str(error))
            return None

    def _read_names(self) -> list[str]:
        names = read_info(self.folder)["images"]
        plain = isinstance(names, list) and all(isinstance(n, str) and Path(n).name == n for n in names)
        if not plain or len({Path(name).stem for name in names}) < len(names):
            raise ValueError(
                f"{self.folder / 'scene.json'}: images must list different file names, without folders."
            )
        if not names:
            raise ValueError(f"{self.folder / 'images'} holds no pictures: put the views there, PNG or JPEG.")
        return names

    def _read_image(self, name: str) -> np.ndarray:
        """(H, W, 3) uint8."""
        path = self.folder / "images" / name
        image = np.array(to_rgb(path, str(path)))
        self.size = self.size or image.shape[:2]
        self._check_size(path, image.shape[:2])
        return image

    def _read_depth(self, stem: str) -> np.ndarray:
        """(H, W) float32."""
        path = self.folder / "depths" / f"{stem}.npz"
        (depth,) = read_arrays(path, depth="(H, W)")
        self._check_size(path, depth.shape)
        return depth.astype(np.float32)

    def _read_mask(self, stem: str) -> np.ndarray:
        """(H, W) bool."""
        path = self.folder / "masks" / f"{stem}.png"
        mask = np.array(to_rgb(path, str(path)).convert("L")) > 127
        self._check_size(path, mask.shape)
        return mask

    def _read_cameras(self) -> None:
        path, count = self.folder / "cameras.npz", len(self.names)
        cameras, intrinsics = read_arrays(path, cam_from_world="(S, 3, 4)", intrinsics="(S, 3, 3)")
        for name, array, shape in (("cam_from_world", cameras, (3, 4)), ("intrinsics", intrinsics, (3, 3))):
            if array.shape[1:] != shape or (count and len(array) != count):
                raise ValueError(
                    f"{path}: {name} has shape {array.shape}; {count} images need {(count, *shape)}, in the "
                    "order of scene.json."
                )
        self.cam_from_world = torch.from_numpy(cameras.astype(np.float32))
        self.intrinsics = torch.from_numpy(intrinsics.astype(np.float32))

    def _read_tracks(self) -> None:
        path, count = self.folder / "tracks.npz", len(self.names)
        tracks, visibility = read_arrays(path, tracks="(S, N, 2)", visibility="(S, N)")
        fits = tracks.ndim == 3 and tracks.shape[::2] == (count, 2) and visibility.shape == tracks.shape[:2]
        if not fits:
            raise ValueError(
                f"{path}: tracks {tracks.shape} and visibility {visibility.shape} must be ({count}, N, 2) "
                f"and ({count}, N): one row per image."
            )
        self.tracks = torch.from_numpy(tracks.astype(np.float32))
        self.visibility = torch.from_numpy(visibility.astype(bool))

    def _check_size(self, path: Path, size: tuple[int, ...]) -> None:
        if self.size is not None and tuple(size) != self.size:
            raise ValueError(
                f"{path} is {'×'.join(map(str, size))} (rows × columns), the first image "
                f"{self.size[0]}×{self.size[1]}: bring all images, depths, masks and intrinsics to one size."
            )
