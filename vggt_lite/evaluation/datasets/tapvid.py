"""TAP-Vid-DAVIS: 30 videos with points followed by hand; VGGT's own tracking head is judged.

    ROOT/tapvid_davis.pkl, or ROOT itself the file: {name: {"video": uint8 (T, H, W, 3),
    "points": (N, T, 2) (x, y) in 0 … 1, "occluded": (N, T) bool}}

The file is a pickle, which could run any program: it is read by an unpickler that knows arrays and Python's
plain containers and nothing else. VGGT follows points of its first view, so for each view in which a point is
queried the views are put in another order, that one first, and shown again.

Source: Doersch et al. 2022 (arXiv:2211.03726); README of google-deepmind/tapnet.
"""

import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vggt_lite.evaluation.datasets.sample import Options, Sample, Scored, reconstruction_of
from vggt_lite.metrics.tracks import choose_queries, track_metrics

FILE = "tapvid_davis.pkl"
UNIT = "pixels"
TEXT = (
    "TAP-Vid-DAVIS, {num_scenes} videos, query mode {query_mode!r}, frames at full size fitted by {mode!r} "
    "to the network's input, {window}. Coordinates are scaled to 256 × 256; thresholds 1, 2, 4, 8, 16 "
    "pixels; a point is called visible from probability 0.5. All points queried in one frame are followed "
    "together. Mean over videos."
)
ALLOWED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy.core.numeric", "_frombuffer"),  # protocol 5
    ("numpy._core.numeric", "_frombuffer"),
    ("_codecs", "encode"),  # how Python 2's bytes are written
}


def samples(root: Path, options: Options) -> Iterator[Sample]:
    """The videos, by name.

    Raises:
        ValueError: the file is missing, holds something other than arrays, or of other shapes.
    """
    file = root / FILE if root.is_dir() else root
    videos = read_arrays(file)
    if not isinstance(videos, dict) or not videos:
        raise ValueError(f"{file} must hold a mapping from names to videos: download TAP-Vid-DAVIS again.")
    for name in sorted(videos, key=str):
        yield Sample(str(name), None, truth=_clip(videos[name], f"{file}: {name}"))


class Clip:
    """A video and the points followed in it."""

    def __init__(self, video: np.ndarray, tracks: Tensor, visible: Tensor) -> None:
        self.video = video  # (T, H, W, 3) uint8
        self.tracks = tracks  # (T, N, 2) pixels of the video
        self.visible = visible  # (T, N) bool


def score(model, sample: Sample, options: Options) -> Scored:
    """Tracks of one video, beside points that stand still."""
    clip = sample.truth
    track, asked = choose_queries(clip.visible, options.query_mode)
    true, visible = clip.tracks[:, track], clip.visible[:, track]  # (T, Q, 2), (T, Q)
    start = true[asked, torch.arange(len(track))]  # (Q, 2)
    found = start.expand_as(true).clone()
    seen = torch.zeros_like(visible)
    for view in asked.unique().tolist():
        which = (asked == view).nonzero()[:, 0]
        for others in windows(len(clip.video), view, options):
            frames = [clip.video[index] for index in (view, *others)]
            scene = reconstruction_of(model, frames, options, query_points=start[which])
            if scene.tracks is None:
                raise ValueError("tracks are judged: the model needs its tracking head.")
            for place, index in enumerate(others, start=1):
                found[index, which] = scene.tracks[place]
                seen[index, which] = scene.track_visibility[place] > 0.5
    size = clip.video.shape[1:3]
    judged = {"query_views": asked, "query_mode": options.query_mode}
    still = (start.expand_as(true), torch.ones_like(visible))
    return Scored(
        [str(index) for index in range(len(clip.video))],
        track_figures(track_metrics(found, seen, true, visible, size, **judged)),
        track_figures(track_metrics(*still, true, visible, size, **judged)),
    )


def windows(count: int, query: int, options: Options) -> list[list[int]]:
    """The frames that are to be seen beside the query's, in as many passes as `num_views` asks for."""
    others = [i for i in range(count) if i > query or (options.query_mode == "strided" and i != query)]
    size = max((options.num_views or count) - 1, 1)
    return [others[first : first + size] for first in range(0, len(others), size)]


def track_figures(found: dict[str, float]) -> dict[str, float]:
    """What `track_metrics` found, in per cent, by the keys of `metric_table.ROWS`."""
    names = {
        "track_aj": "average_jaccard",
        "track_delta": "delta_avg",
        "track_oa": "occlusion_accuracy",
    }
    return {ours: 100 * found[theirs] for ours, theirs in names.items()}


def read_arrays(file: Path) -> object:
    """What a pickle of arrays holds.

    Raises:
        ValueError: it is missing, broken, or asks for anything but NumPy's arrays and plain containers.
    """
    try:
        with file.open("rb") as stream:
            return _Arrays(stream).load()
    except FileNotFoundError as error:
        raise ValueError(f"{file} is missing: download tapvid_davis.zip and unpack it there.") from error
    except pickle.UnpicklingError as error:
        raise ValueError(f"{file}: {error}") from error
    except Exception as error:  # a broken pickle can raise almost anything
        raise ValueError(f"{file} cannot be read ({error}): download it again.") from error


class _Arrays(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(
                f"this pickle asks for {module}.{name}, which no file of arrays needs: it is not read. "
                "Download it again from its publisher."
            )
        return super().find_class(module, name)


def _clip(content: object, where: str) -> Clip:
    if not isinstance(content, dict) or not content.keys() >= set(_KEYS):
        raise ValueError(f"{where} must hold {', '.join(_KEYS)}: download it again.")
    video, points, occluded = (np.asarray(content[key]) for key in _KEYS)
    frames, height, width = video.shape[:3] if video.ndim == 4 else (0, 0, 0)
    good = video.dtype == np.uint8 and video.ndim == 4 and video.shape[-1] == 3
    if not good or points.shape != (len(points), frames, 2) or occluded.shape != points.shape[:2]:
        raise ValueError(
            f"{where} has video {video.dtype} {video.shape}, points {points.shape}, occluded "
            f"{occluded.shape}: uint8 (T, H, W, 3), (N, T, 2) and (N, T) are expected."
        )
    scale = torch.tensor([width, height], dtype=torch.float32)
    tracks = torch.from_numpy(points.astype(np.float32)).clamp(0, 1) * scale  # (N, T, 2)
    visible = torch.from_numpy(~occluded.astype(bool))
    return Clip(video, tracks.transpose(0, 1).contiguous(), visible.T.contiguous())


_KEYS = ("video", "points", "occluded")
