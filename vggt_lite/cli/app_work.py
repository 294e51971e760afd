"""What the app does with photographs; `app_page.py` is the page around it, and alone needs Gradio."""

import ctypes
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterable
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from threading import Thread

import torch

from vggt_lite import VGGT, Reconstruction, load_images
from vggt_lite.cli.export import FILES, write_formats
from vggt_lite.cli.main import said
from vggt_lite.data.pictures import Photo, find_photos, natural_order
from vggt_lite.data.video import VIDEO_SUFFIXES
from vggt_lite.inference.chunked import chunked
from vggt_lite.inference.memory_estimate import estimate_memory, gigabytes
from vggt_lite.inference.time_estimate import LONG, estimate_time
from vggt_lite.pretrained.loading import CONFIGS
from vggt_lite.utils.runtime import pick_dtype
from vggt_lite.viz import Cameras, Cloud, draw_scene

EDGES, BLACK, WHITE = LEFT_OUT = ("edges", "black background", "white background")
DARK, BRIGHT = 12, 243  # of 255, in every channel: what counts as such a background
HEIGHT = 400  # pixels of the figure: all controls fit on a projector below it
RESULT = "result"  # beside the formats of `vggt-lite export`: all that `scene.save` writes


@dataclass(frozen=True)
class Settings:
    """What one app allows, from the options of `vggt-lite app`."""

    folder: str  # for all files, removed when the app ends
    weights: str
    any_weights: bool  # whether others than these and the bundled ones may be named
    device: torch.device
    most_views: int
    most_bytes: int
    keep: float  # seconds

    @property
    def choices(self) -> list[str]:
        """Weights to choose from."""
        return list(dict.fromkeys([self.weights, *CONFIGS]))


@dataclass
class Session:
    """What one tab of a browser holds: a scene, and files written for it."""

    scene: Reconstruction | None = None
    folder: Path | None = None
    uploads: set[Path] = field(default_factory=set)

    def forget(self) -> None:
        """Delete the files and drop the scene; `keep` of the settings says when the latest."""
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
        for path in self.uploads:
            path.unlink(missing_ok=True)
        self.scene, self.folder, self.uploads = None, None, set()


class Job(Thread):
    """One call in a thread of its own, so that `stop` can end it as Ctrl-C would.

    Attributes:
        result: what the call returned; None if it failed or was stopped.
        error: why it failed.
        notes: what the package warned of meanwhile. Only one job runs at a time.
    """

    def __init__(self, call: Callable[[], object], tell: Callable[[str], None]) -> None:
        super().__init__(daemon=True)
        self.call, self.tell = call, tell
        self.result, self.error, self.notes = None, None, []
        self.context = copy_context()  # by which Gradio knows whose progress it is

    def run(self) -> None:
        self.context.run(self._run)

    def _run(self) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("always", UserWarning)
                warnings.showwarning = self._note
                self.result = self.call()
        except BaseException as error:  # KeyboardInterrupt, too: it ends this thread only
            self.error = error

    def stop(self) -> None:
        """Raise KeyboardInterrupt where the thread is in Python: at the latest when a layer is done."""
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(self.ident), ctypes.py_object(KeyboardInterrupt)
        )

    def _note(self, message, *_) -> None:
        self.notes.append(str(message))
        self.tell(str(message))


def plain(error: BaseException | None, uploads: Iterable[Path]) -> str:
    """What went wrong, as the command line says it, with files called as the user calls them."""
    if error is None or isinstance(error, KeyboardInterrupt):
        return "stopped."
    text = said(error)
    for path in uploads:
        text = text.replace(f"{path.parent}{os.sep}", "")
    return text


def find_uploads(uploads: list[Path], per_second: float, settings: Settings) -> list[Photo]:
    """The photographs, or frames of one video, within the limits.

    Raises:
        ValueError: none, too many, too large, or what `find_photos` refuses.
    """
    if not uploads:
        raise ValueError("there are no photographs yet: drop some, or one video.")
    size = sum(path.stat().st_size for path in uploads)
    if size > settings.most_bytes:
        raise ValueError(
            f"the files have {gigabytes(size)} together, and {gigabytes(settings.most_bytes)} are allowed: "
            "give fewer, or smaller ones (or start the app with a larger --most-megabytes)."
        )
    if len(uploads) > 1 and (videos := [p for p in uploads if p.suffix.lower() in VIDEO_SUFFIXES]):
        raise ValueError(f"{videos[0].name} is a video: give it by itself, or photographs only.")
    source = uploads[0] if len(uploads) == 1 else sorted(uploads, key=natural_order)
    photos = find_photos(source, per_second)
    if len(photos) > settings.most_views:
        raise ValueError(
            f"there are {len(photos)} views, and {settings.most_views} are allowed: leave some out, or take "
            "fewer frames of a second (or start the app with a larger --most-views). For long sequences take "
            "`vggt-lite reconstruct --chunk`."
        )
    return [replace(photo, label=photo.name) for photo in photos]


@lru_cache(maxsize=1)
def load(weights: str, device: torch.device) -> VGGT:
    """The model that was used last stays in memory."""
    return VGGT.from_pretrained(weights).to(device)


def reconstruct(
    uploads: list[Path], masks: list[Path], weights: str, mode: str, per_second: float, settings: Settings,
    tell: Callable[[str], None],
) -> tuple[Reconstruction, str]:  # fmt: skip
    """The scene, and the estimate; raises as `find_uploads`, `VGGT.from_pretrained`, `VGGT.reconstruct`."""
    photos = find_uploads(uploads, per_second, settings)
    tell(f"loading {weights}")
    if not (settings.any_weights or weights in settings.choices):
        raise ValueError(f"weights={weights!r}: this app offers {', '.join(settings.choices)}.")
    model = load(weights, settings.device)
    estimate = estimated(model, photos, mode)
    tell(estimate)
    with tempfile.TemporaryDirectory(dir=settings.folder) as folder:
        for path in masks:
            shutil.copy(path, folder)
        return model.reconstruct(photos, mode=mode, masks=folder if masks else None), estimate


def estimated(model: VGGT, photos: list[Photo], mode: str) -> str:
    """How long one pass takes, in words, by the first photograph's size; of a long one also its memory."""
    device, config = next(model.parameters()).device, model.config
    first = load_images(photos[:1], mode, config.image_size, config.patch_size)
    height, width = first.images.shape[-2:]
    dtype = pick_dtype(device)
    sizes = (len(photos), height, width)
    with chunked(model), torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        time = estimate_time(model, *sizes)
    text = f"{len(photos)} view{'s' * (len(photos) > 1)} of {width}×{height} pixels: about {time}"
    if time.seconds < LONG:  # counting the memory would take as long
        return text
    stored = model.aggregator.matrix_dtype
    return f"{text}, {estimate_memory(config, *sizes, dtype, device=device, stored=stored)}"


def without(scene: Reconstruction, left_out: list[str]) -> Reconstruction:
    """The scene without what `LEFT_OUT` names."""
    if EDGES in left_out:
        scene = scene.without_edges()
    for name, is_background in (
        (BLACK, lambda p: p.amax(-1) <= DARK),
        (WHITE, lambda p: p.amin(-1) >= BRIGHT),
    ):
        if name in left_out:
            pictures = (scene.photograph(view) for view in range(len(scene)))
            scene = scene.with_masks([~is_background(picture) for picture in pictures])
    return scene


def figure(scene: Reconstruction, percent: float, left_out: list[str]):
    """The scene to turn, without the least trusted points and what is left out."""
    clouds = Cloud.each(without(scene, left_out))
    drawn = draw_scene(next(iter(clouds.values())), Cameras.of(scene), percentile=percent)
    return drawn.update_layout(height=HEIGHT)


def write_files(
    session: Session, formats: list[str], percent: float, left_out: list[str], settings: Settings
) -> Path:
    """One archive of the scene in these formats (of `FILES`, or `RESULT`), as it is shown.

    Raises:
        ValueError: no scene, no format, or one that the scene cannot be written in.
    """
    if session.scene is None:
        raise ValueError("there is no scene yet: reconstruct one first.")
    if not formats:
        raise ValueError(f"no format is chosen: tick {RESULT}, {', '.join(FILES)}.")
    scene = without(session.scene, left_out)
    session.folder = session.folder or Path(tempfile.mkdtemp(dir=settings.folder))
    with tempfile.TemporaryDirectory(dir=settings.folder) as folder:
        if RESULT in formats:
            scene.save(Path(folder, RESULT), confidence_percentile=int(percent))
        write_formats(scene, Path(folder), [name for name in FILES if name in formats], int(percent))
        return Path(shutil.make_archive(str(session.folder / "scene"), "zip", folder))
