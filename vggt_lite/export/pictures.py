"""The photographs of a scene as files."""

from pathlib import Path

from PIL import Image
from torch import Tensor

SUFFIXES = (".png", ".jpg", ".jpeg")


def picture_names(scene) -> list[str]:
    """A file name for each view: its own, with .png where it has no suffix of a picture.

    Where two are the same, all begin with the view's number, so that their order stays.
    """
    names = [Path(name).name for name in scene.names]
    names = [name if name.lower().endswith(SUFFIXES) else f"{name}.png" for name in names]
    if len(set(names)) < len(names):
        names = [f"{view:03d}_{name}" for view, name in enumerate(names)]
    return names


def write_pictures(pictures: list[Tensor], names: list[str], folder: Path) -> None:
    """Write photographs (H, W, 3) uint8, upright and whole, into a new folder."""
    folder.mkdir(parents=True)
    for name, picture in zip(names, pictures, strict=True):
        Image.fromarray(picture.numpy()).save(folder / name, quality=95)
