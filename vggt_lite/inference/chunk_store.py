"""Finished chunks of a long sequence in a folder, so that a run that was stopped goes on where it was.

sequence.json        what the chunks were made of: pictures, settings, weights, code
views_0000-0007.safetensors, …   a `Chunk` each, with a sum of what it holds
"""

import hashlib
import json
from dataclasses import fields
from pathlib import Path

import msgspec
from safetensors.torch import load_file
from torch import Tensor, nn

from vggt_lite.inference.chunks import Chunk
from vggt_lite.utils.files import write_text
from vggt_lite.utils.fingerprint import differences, fingerprint
from vggt_lite.utils.reading import read_json
from vggt_lite.utils.tensor_files import sum_is_wrong, write_tensors

KIND = "vggt_lite.sequence"
SAYS = "sequence.json"
# Whose results a chunk holds. How chunks are joined afterwards may change.
COMPUTED_BY = (
    "vggt_lite.geometry", "vggt_lite.model", "vggt_lite.data.images", "vggt_lite.data.pixel_map",
    "vggt_lite.data.triangulation", "vggt_lite.inference.pipeline", "vggt_lite.inference.correspondences",
    "vggt_lite.inference.bundle", "vggt_lite.inference.refine", "vggt_lite.inference.chunks",
)  # fmt: skip


class Said(msgspec.Struct):
    """What sequence.json holds."""

    format: str
    identity: dict[str, str]


class ChunkStore:
    """Chunks by their views. Without a folder nothing is kept.

    Raises:
        FileExistsError: the folder holds other files, or chunks of another run, and what differs.
    """

    def __init__(self, folder: str | Path | None, identity: dict[str, str]) -> None:
        self.folder = folder if folder is None else Path(folder).expanduser()
        if self.folder is None:
            return
        if self.folder.exists() and not self.folder.is_dir():
            raise FileExistsError(f"{self.folder} is a file: give a folder for finished chunks.")
        said = self.folder / SAYS
        if said.is_file():
            found = read_json(said, Said)
            if found.format != KIND:
                raise FileExistsError(f"{said} is another program's: give a new folder.")
            if changed := differences(found.identity, identity):
                raise FileExistsError(
                    f"{self.folder} holds chunks of another run ({'; '.join(changed)[:300]}): give a new "
                    "folder, or delete this one."
                )
        elif self.folder.exists() and any(self.folder.iterdir()):
            raise FileExistsError(f"{self.folder} holds other files: give a new or empty folder.")
        else:
            contents = {"format": KIND, "identity": identity}
            write_text(said, json.dumps(contents, indent=1, ensure_ascii=False))

    def load(self, views: tuple[int, ...]) -> Chunk | None:
        """The chunk of these views, if it is finished.

        Raises:
            ValueError: its file is damaged.
        """
        if self.folder is None or not (path := self._path(views)).is_file():
            return None
        try:
            if sum_is_wrong(path):
                raise ValueError("its sum is wrong")
            return Chunk(views=views, **load_file(path))
        except Exception as error:  # a broken header, missing tensors: one answer to all
            raise ValueError(f"{path} is damaged ({error}): delete it, and it is made again.") from error

    def save(self, chunk: Chunk) -> None:
        """Keep a chunk, whole or not at all."""
        if self.folder is not None:
            tensors = {field.name: getattr(chunk, field.name) for field in fields(chunk)}
            tensors = {name: x.contiguous() for name, x in tensors.items() if isinstance(x, Tensor)}
            write_tensors(self._path(chunk.views), tensors, {"views": json.dumps(chunk.views)})

    def _path(self, views: tuple[int, ...]) -> Path:
        runs, text = [], []
        for view in views:
            if runs and view == runs[-1][-1] + 1:
                runs[-1].append(view)
            else:
                runs.append([view])
        text = "_".join(f"{run[0]:04d}-{run[-1]:04d}" for run in runs)
        return self.folder / f"views_{text}.safetensors"


def identity_of(model: nn.Module, batch, **settings) -> dict[str, str]:
    """What chunks depend on, in words: a change of any of it makes them stale."""
    digest = hashlib.sha256()
    for name, picture in zip(batch.names, batch.pictures, strict=True):
        digest.update(f"{name} {tuple(picture.shape)}".encode())
        digest.update(picture.numpy().tobytes())
    sizes = sorted({f"{w}×{h}" for h, w in (pixel_map.original_size for pixel_map in batch.pixel_maps)})
    return {
        "pictures": f"{len(batch)} of {', '.join(sizes)}, SHA-256 {digest.hexdigest()[:16]}",
        **made_by(model, **settings),
    }


def made_by(model: nn.Module, **settings) -> dict[str, str]:
    """What of that is the same for all pictures: weights, code and settings."""
    return {
        "weights": fingerprint(type(model).__name__, model.state_dict()),
        "code": fingerprint(modules=COMPUTED_BY),
        **{name: str(value) for name, value in settings.items()},
    }
