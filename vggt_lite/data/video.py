"""A video → its sharpest frames, upright, at a given rate (`video_frames`)."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from vggt_lite.config import FRAMES_PER_SECOND
from vggt_lite.utils.runtime import check_memory

VIDEO_SUFFIXES = {".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv"}
# FFmpeg may start no other reader: playlists, for one, would open further files and addresses.
CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,asf"
MOST_FRAMES = 300
THUMBNAIL = 64  # pixels a side of what two frames are compared by
SAME = 2.0  # grey levels of 255, mean difference of two thumbnails: less is the same picture again
CUT_OFF = 1.0  # seconds of the stated length that may be missing


class Frame(NamedTuple):
    """A picture of a video."""

    name: str  # with its time: walk_0012.50s.png
    seconds: float  # since the first frame
    image: Image.Image  # upright, 8-bit RGB


def video_frames(
    path: str | Path, per_second: float = FRAMES_PER_SECOND, most: int = MOST_FRAMES
) -> list[Frame]:
    """The sharpest frame of each window of 1 / `per_second` seconds, without near-duplicates.

    Sharpness is the variance of the Laplacian of the grey picture. A frame that hardly differs from the last
    one kept is left out: the camera stood still.

    Args:
        path: a file that FFmpeg reads: MP4, MOV, AVI, MKV, WebM, MPEG or WMV.
        per_second: windows a second, > 0.
        most: frames that may come out.

    Raises:
        ImportError: PyAV is not installed.
        FileNotFoundError: there is no such file.
        ValueError: it is no video, has no frames, is damaged or cut off, or would give too many.
        MemoryError: its frames do not fit.
    """
    av, path = import_av(), Path(path).expanduser()
    if not per_second > 0 or per_second == float("inf"):
        raise ValueError(f"frames per second = {per_second}: give a number above 0, such as 2.")
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist, or is no file: give a video.")
    with _opened(av, path) as container:
        if not container.streams.video:
            raise ValueError(f"{path} holds no pictures, only {_kinds(container)}: give a video.")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        length = _length(av, container, stream)
        _check_count(path, length, per_second, most)
        size = 3 * stream.codec_context.width * stream.codec_context.height
        check_memory(int(max(1, length * per_second)) * size, f"the frames of {path}")
        found, end = _sharpest(av, path, container, per_second, most)
    if not found:
        raise ValueError(f"{path} holds no frame that can be read: it is damaged, or was never finished.")
    if length - end > max(CUT_OFF, 0.05 * length):
        raise ValueError(
            f"{path} is cut off: {end:.1f} of {length:.1f} seconds can be read. Copy it again, or save the "
            "part that plays as a new file."
        )
    return found


def import_av():
    """PyAV, or an ImportError that says how to get it."""
    try:
        import av
    except ImportError as error:
        raise ImportError("reading a video needs PyAV: pip install 'vggt-lite[video]'.") from error
    av.logging.set_level(av.logging.PANIC)  # what FFmpeg prints; its errors are raised
    return av


def _sharpest(av, path: Path, container, per_second: float, most: int) -> tuple[list[Frame], float]:
    """The frames that are kept, and the time where the last one of all ends, seconds."""
    kept: list[Frame] = []
    window, best, sharpest, thumbnail, first, end = 0, None, -1.0, None, None, 0.0

    def keep() -> None:
        nonlocal thumbnail
        image = _upright(best)
        small = np.asarray(image.convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX), float)
        if thumbnail is None or np.abs(small - thumbnail).mean() >= SAME:
            thumbnail, seconds = small, best.time - first
            kept.append(Frame(f"{path.stem}_{seconds:07.2f}s.png", seconds, image))

    with _damage(av, path, lambda: end):
        for frame in container.decode(video=0):
            if frame.time is None:
                raise ValueError(f"{path} has frames without a time: convert it to MP4.")
            first = frame.time if first is None else first
            seconds = frame.time - first
            if int(seconds * per_second) != window:
                keep()
                window, sharpest = int(seconds * per_second), -1.0
                _check_count(path, seconds, per_second, most)
            score = ndimage.laplace(frame.to_ndarray(format="gray").astype(np.float32)).var()
            if score > sharpest:
                best, sharpest = frame, score
            rate = frame.duration * frame.time_base if frame.duration and frame.time_base else 0
            end = float(seconds + rate)
        if best is not None:
            keep()
    return kept, end


def _upright(frame) -> Image.Image:
    """The frame in RGB, turned as the file says."""
    image = frame.to_image()
    return image.rotate(frame.rotation, expand=True) if frame.rotation else image


def _check_count(path: Path, seconds: float, per_second: float, most: int) -> None:
    if seconds * per_second > most:
        raise ValueError(
            f"{path} lasts {seconds:.0f} seconds or more: {per_second:g} frames a second would be more than "
            f"{most}. Take {most / seconds:.2g} a second at most (--frames-per-second), or cut it."
        )


def _length(av, container, stream) -> float:
    """Seconds that the file says it lasts; 0 where it does not say."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return (container.duration or 0) / av.time_base


def _kinds(container) -> str:
    return " and ".join(sorted({stream.type for stream in container.streams})) or "nothing"


@contextmanager
def _opened(av, path: Path) -> Iterator:
    try:
        container = av.open(str(path.resolve()), options={"format_whitelist": CONTAINERS})
    except (av.FFmpegError, OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ValueError(f"{path} is no video that can be read, or was cut off ({why}).") from error
    with container:
        yield container


@contextmanager
def _damage(av, path: Path, where) -> Iterator[None]:
    try:
        yield
    except av.FFmpegError as error:
        why = error.strerror or error
        raise ValueError(
            f"{path} is damaged after {where():.1f} seconds ({why}): copy it again, or save the part that "
            "plays as a new file."
        ) from error
