"""TAP-Vid-DAVIS: 30 videos with points followed by hand; VGGT's own tracking head is judged.

    ROOT/tapvid_davis.pkl, or ROOT itself the file: {name: {"video": uint8 (T, H, W, 3),
    "points": (N, T, 2) (x, y) in 0 … 1, "occluded": (N, T) bool}}

The file is a pickle, which could run any program: `array_pickle` reads it and runs none. VGGT follows points
of its first view, so for each view in which a point is queried the views are put in another order, that one
first, and shown again.

Source: Doersch et al. 2022 (arXiv:2211.03726); README of google-deepmind/tapnet.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import torch
from torch import Tensor

from vggt_lite.data.pictures import MIN_SIDE
from vggt_lite.evaluation.datasets.array_pickle import StoredArray, read_arrays
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
MARGIN = 0.1  # of the picture: further outside no point was set by hand


class Video(msgspec.Struct):
    """One entry of the file."""

    video: StoredArray
    points: StoredArray
    occluded: StoredArray


@dataclass
class Clip:
    """A video, still in its file, and the points followed in it."""

    file: Path
    video: StoredArray  # (T, H, W, 3) uint8
    tracks: Tensor  # (T, N, 2) pixels of the video; 0 where a point is hidden
    visible: Tensor  # (T, N) bool


def samples(root: Path, options: Options) -> Iterator[Sample]:
    """The videos, by name.

    Raises:
        ValueError: the file is missing, holds something other than arrays, of other shapes, or a video has no
            point to follow.
    """
    file = root / FILE if root.is_dir() else root
    videos = read_arrays(file, Annotated[dict[str, Video], msgspec.Meta(min_length=1)])
    for name in sorted(videos):
        yield Sample(name, None, truth=Clip(file, videos[name].video, *_points(videos[name], file, name)))


def score(model, sample: Sample, options: Options) -> Scored:
    """Tracks of one video, beside points that stand still."""
    clip = sample.truth
    video = clip.video.read(clip.file)
    track, asked = choose_queries(clip.visible, options.query_mode)
    true, visible = clip.tracks[:, track], clip.visible[:, track]  # (T, Q, 2), (T, Q)
    start = true[asked, torch.arange(len(track))]  # (Q, 2)
    found = start.expand_as(true).clone()
    seen = torch.zeros_like(visible)
    for view in asked.unique().tolist():
        which = (asked == view).nonzero()[:, 0]
        for others in windows(len(video), view, options):
            frames = [video[index] for index in (view, *others)]
            scene = reconstruction_of(model, frames, options, query_points=start[which])
            if scene.tracks is None:
                raise ValueError("tracks are judged: the model needs its tracking head.")
            for place, index in enumerate(others, start=1):
                found[index, which] = scene.tracks[place]
                seen[index, which] = scene.track_visibility[place] > 0.5
    size = video.shape[1:3]
    judged = {"query_views": asked, "query_mode": options.query_mode}
    still = (start.expand_as(true), torch.ones_like(visible))
    return Scored(
        [str(index) for index in range(len(video))],
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


def _points(entry: Video, file: Path, name: str) -> tuple[Tensor, Tensor]:
    """Tracks (T, N, 2) in pixels of the video, and where they are visible (T, N)."""
    where = f"{file}: {name}"
    video, points, occluded = entry.video, entry.points, entry.occluded
    frames, height, width, channels = video.shape if len(video.shape) == 4 else (0, 0, 0, 0)
    kinds = video.dtype == np.uint8 and points.dtype in (np.float32, np.float64) and occluded.dtype == bool
    shapes = points.shape[1:] == (frames, 2) and occluded.shape == points.shape[:2] and channels == 3
    if not (kinds and shapes) or frames < 2 or min(height, width) < MIN_SIDE:
        raise ValueError(
            f"{where} has video {video.dtype} {video.shape}, points {points.dtype} {points.shape}, occluded "
            f"{occluded.dtype} {occluded.shape}: give uint8 (T ≥ 2, H, W, 3), float (N, T, 2), bool (N, T)."
        )
    places = torch.from_numpy(points.read(file)).double()  # (N, T, 2)
    visible = torch.from_numpy(~occluded.read(file))  # (N, T)
    if not visible[:, :-1].any():
        raise ValueError(f"{where} has no visible point that could be followed: leave this video out.")
    if not ((places[visible] >= -MARGIN) & (places[visible] <= 1 + MARGIN)).all():  # NaN is not either
        raise ValueError(
            f"{where} has visible points that are not in the picture (0 … 1): download it again."
        )
    size = torch.tensor([width, height])
    places = torch.where(visible[..., None], places.clamp(0, 1) * size, 0.0).float()
    return places.transpose(0, 1).contiguous(), visible.T.contiguous()
