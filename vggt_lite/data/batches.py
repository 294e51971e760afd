"""Training batches, each a function of (seed, step) and of nothing else.

Nothing is shuffled and no position in a data set is kept. The batch of step 700 can be made without
those before it, so a resumed run sees exactly the scenes that it would have seen.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from vggt_lite.config import SceneConfig, TrainConfig
from vggt_lite.data.augment import augment_colors
from vggt_lite.data.normalize import normalize_scene
from vggt_lite.data.tracks_from_depth import tracks_from_depth
from vggt_lite.geometry.camera import unproject_depth
from vggt_lite.losses.scene_batch import SceneBatch
from vggt_lite.synthetic.generate import FIRST_EVALUATION_SEED, generate_scenes
from vggt_lite.synthetic.prerender import ShardReader


def step_generator(seed: int, step: int) -> torch.Generator:
    """A CPU generator for one step of one run; neighbouring steps and seeds are unrelated."""
    return torch.Generator().manual_seed(int(np.random.SeedSequence([seed, step]).generate_state(1)[0]))


def choose_views(scenes: int, views: int, path: int, progress: float, generator: torch.Generator) -> Tensor:
    """Which views of each scene to show, in random order: (scenes, views) indices along the path.

    All of them lie within a window of the path. At progress 0 it is as short as possible and the views
    are neighbours, from 1 on it is the whole path: small camera motions first, as pixels that move
    little are easy to match.
    """
    if views > path:
        raise ValueError(f"scenes have {path} views, {views} were asked for; set views=(…, {path}).")
    window = views + round((path - views) * min(progress, 1.0))
    start = torch.randint(path - window + 1, (scenes, 1), generator=generator)
    return start + torch.rand(scenes, window, generator=generator).argsort(1)[:, :views]


def draw_batch_shape(config: TrainConfig, step: int) -> tuple[int, int, float, torch.Generator]:
    """(scenes, views, progress of the curriculum, generator) of a step."""
    generator = step_generator(config.seed, step)
    fewest, most = config.views
    views = int(torch.randint(fewest, most + 1, (), generator=generator))
    progress = step / (config.steps * config.curriculum) if config.curriculum else 1.0
    return config.max_images // views, views, progress, generator


def assemble(
    images: Tensor, depth: Tensor, cam_from_world: Tensor, intrinsics: Tensor,
    config: TrainConfig, generator: torch.Generator,
    tracks: Tensor | None = None, visibility: Tensor | None = None,
) -> SceneBatch:  # fmt: skip
    """A training batch from chosen views: colours changed, points and tracks computed, normalised.

    Tracks are made from the depth maps unless they are given, (B, S, N, 2) and (B, S, N).
    """
    point_map = unproject_depth(depth, intrinsics, cam_from_world)
    if tracks is None and config.track_weight:
        tracks, visibility = tracks_from_depth(
            depth, point_map, cam_from_world, intrinsics, config.num_tracks, generator
        )
    if config.augment:
        images = augment_colors(images, generator, config.augment)
    valid = depth > 0
    return normalize_scene(
        SceneBatch(images, depth, cam_from_world, intrinsics, point_map, valid, tracks, visibility)
    )


def image_sides(
    size: int, patch_size: int, aspects: tuple[float, float], generator: torch.Generator
) -> tuple[int, int]:
    """Height and width of a batch's images: the longer side is `size`, the other the nearest whole patches.

    Upright and lying pictures are equally frequent, squares among them even where a side has few patches.
    The released training draws otherwise, see `own.released_sides`.
    """
    low, high = aspects
    if low == high == 1:
        return size, size
    aspect = low * (high / low) ** float(torch.rand((), generator=generator))
    shorter = max(1, round(size * min(aspect, 1 / aspect) / patch_size)) * patch_size
    return (shorter, size) if aspect < 1 else (size, shorter)


class RenderedScenes:
    """Batches of scenes that `render_ahead` wrote to a folder. Needs no memory but the disk's cache."""

    def __init__(self, folder: Path | str, config: TrainConfig) -> None:
        self.reader, self.config = ShardReader(folder), config

    def batch_for_step(self, step: int) -> SceneBatch:
        scenes, views, progress, generator = draw_batch_shape(self.config, step)
        chosen = torch.randint(self.reader.num_scenes, (scenes,), generator=generator)
        which = choose_views(scenes, views, self.reader.num_views, progress, generator)
        images, *truth = self.reader.read(chosen, which)
        return assemble(images.float() / 255, *truth, self.config, generator)


class GeneratedScenes:
    """Batches of scenes rendered on the spot, never the same twice.

    Args:
        config: Views, images and tracks of a batch.
        scene_config: What the scenes look like.
        size: Longer side of the images, pixels.
        path_views: Views along the path of each scene, of which a batch shows some.
        device: Where to render.
        patch_size: Sides of images that are not square are multiples of it.
    """

    def __init__(
        self,
        config: TrainConfig,
        scene_config: SceneConfig,
        size: int = 64,
        path_views: int = 8,
        device: torch.device | str = "cpu",
        patch_size: int = 1,
    ) -> None:
        self.config, self.scene_config, self.patch_size = config, scene_config, patch_size
        self.size, self.path_views, self.device = size, path_views, device

    def batch_for_step(self, step: int) -> SceneBatch:
        scenes, views, progress, generator = draw_batch_shape(self.config, step)
        seed = int(torch.randint(FIRST_EVALUATION_SEED - scenes, (), generator=generator))
        which = choose_views(scenes, views, self.path_views, progress, generator)
        height, width = image_sides(self.size, self.patch_size, self.config.aspects, generator)
        num_tracks = self.config.num_tracks if self.config.track_weight else 0
        seen = generate_scenes(
            seed, scenes, self.path_views, height, width, self.device, num_tracks, self.scene_config, which
        )
        columns = (seen.images, seen.depth, seen.cam_from_world, seen.intrinsics)
        return assemble(*columns, self.config, generator, seen.tracks, seen.track_visibility)


class BatchSource(Protocol):
    """Where training scenes come from: a function of the step alone, so that resuming is exact."""

    def batch_for_step(self, step: int) -> SceneBatch: ...


class Prefetch:
    """Prepares the next batch in a thread while the present one is trained on.

    Worth it where the network runs on another device than the loader; on one core there is nothing to
    gain. The batches are those of the source, since they depend on the step alone.
    """

    def __init__(self, source: BatchSource, ahead: int = 2) -> None:
        self.source, self.ahead = source, ahead
        self.pool = ThreadPoolExecutor(max_workers=1)
        self.waiting: dict[int, Future] = {}

    def batch_for_step(self, step: int) -> SceneBatch:
        for coming in range(step, step + self.ahead + 1):
            if coming not in self.waiting:
                self.waiting[coming] = self.pool.submit(self.source.batch_for_step, coming)
        return self.waiting.pop(step).result()
