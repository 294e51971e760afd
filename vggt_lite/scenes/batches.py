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
from vggt_lite.geometry.camera import unproject_depth
from vggt_lite.scenes.ahead import ShardReader
from vggt_lite.scenes.augment import augment_colors
from vggt_lite.scenes.batch import SceneBatch
from vggt_lite.scenes.depth_tracks import tracks_from_depth
from vggt_lite.scenes.generate import FIRST_EVALUATION_SEED, generate_scenes
from vggt_lite.scenes.normalize import normalize_scene


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
) -> SceneBatch:  # fmt: skip
    """A training batch from chosen views: colours changed, points and tracks computed, normalised."""
    point_map = unproject_depth(depth, intrinsics, cam_from_world)
    tracks = visibility = None
    if config.track_weight:
        tracks, visibility = tracks_from_depth(
            depth, point_map, cam_from_world, intrinsics, config.num_tracks, generator
        )
    if config.augment:
        images = augment_colors(images, generator, config.augment)
    valid = depth > 0
    return normalize_scene(
        SceneBatch(images, depth, cam_from_world, intrinsics, point_map, valid, tracks, visibility)
    )


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
    """Batches of scenes rendered on the spot, never the same twice: for machines that render fast."""

    def __init__(
        self,
        config: TrainConfig,
        scene_config: SceneConfig,
        size: int = 64,
        path_views: int = 8,
        device: torch.device | str = "cpu",
    ) -> None:
        self.config, self.scene_config = config, scene_config
        self.size, self.path_views, self.device = size, path_views, device

    def batch_for_step(self, step: int) -> SceneBatch:
        scenes, views, progress, generator = draw_batch_shape(self.config, step)
        seed = int(torch.randint(FIRST_EVALUATION_SEED - scenes, (), generator=generator))
        which = choose_views(scenes, views, self.path_views, progress, generator).to(self.device)
        rendered = generate_scenes(
            seed, scenes, self.path_views, self.size, self.size, self.device, config=self.scene_config
        )
        rows = torch.arange(scenes, device=self.device)[:, None]
        columns = (rendered.images, rendered.depth, rendered.cam_from_world, rendered.intrinsics)
        return assemble(*(x[rows, which] for x in columns), self.config, generator)


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
