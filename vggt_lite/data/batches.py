"""Training batches, each a function of (seed, step) and of nothing else.

Nothing is shuffled and no position in a data set is kept. The batch of step 700 can be made without
those before it, so a resumed run sees exactly the scenes that it would have seen.

Where several processes train together, each makes its own scenes of a batch: `worker` is its (rank,
world_size). Which scenes and views a batch has does not depend on how many share them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from vggt_lite.config import SceneConfig, TrainConfig
from vggt_lite.data.augment import augment_colors
from vggt_lite.data.normalize import normalize_scene
from vggt_lite.data.tracks_from_depth import tracks_from_depth
from vggt_lite.geometry.camera import unproject_depth
from vggt_lite.losses.scene_batch import SceneBatch
from vggt_lite.synthetic.generate import FIRST_EVALUATION_SEED, generate_scenes
from vggt_lite.synthetic.prerender import ShardReader
from vggt_lite.training.identity import described
from vggt_lite.training.loop import BatchSource

LOADERS = 4  # processes that read scenes ahead


def step_generator(seed: int, step: int) -> torch.Generator:
    """A CPU generator for one step of one run; neighbouring steps and seeds are unrelated."""
    return torch.Generator().manual_seed(int(np.random.SeedSequence([seed, step]).generate_state(1)[0]))


def choose_views(
    num_scenes: int, num_views: int, path_views: int, progress: float, generator: torch.Generator
) -> Tensor:
    """Which views of each scene to show, in random order: (num_scenes, num_views) indices along the path.

    All of them lie within a window of the path. At progress 0 it is as short as possible and the views
    are neighbours, from 1 on it is the whole path: small camera motions first, as pixels that move
    little are easy to match.
    """
    if num_views > path_views:
        asked = f"{num_views} were asked for; set views=(…, {path_views})"
        raise ValueError(f"scenes have {path_views} views, {asked}.")
    window = num_views + round((path_views - num_views) * min(progress, 1.0))
    start = torch.randint(path_views - window + 1, (num_scenes, 1), generator=generator)
    return start + torch.rand(num_scenes, window, generator=generator).argsort(1)[:, :num_views]


def draw_batch_shape(config: TrainConfig, step: int) -> tuple[int, int, float, torch.Generator]:
    """(num_scenes, num_views, progress of the curriculum, generator) of a step."""
    generator = step_generator(config.seed, step)
    fewest, most = config.views
    num_views = int(torch.randint(fewest, most + 1, (), generator=generator))
    progress = step / (config.steps * config.curriculum) if config.curriculum else 1.0
    return config.max_images // num_views, num_views, progress, generator


def shard_batch(num_scenes: int, worker: tuple[int, int]) -> slice:
    """The scenes of a batch that a process makes: equally many in each; a rest at the end is left out.

    Raises:
        ValueError: a process would have none.
    """
    rank, world_size = worker
    if num_scenes < world_size:
        fits = f"start at most {num_scenes}, or raise max_images"
        raise ValueError(f"{num_scenes} scenes cannot be shared by {world_size} processes: {fits}.")
    each = num_scenes // world_size
    return slice(rank * each, (rank + 1) * each)


def own_generator(generator: torch.Generator, worker: tuple[int, int]) -> torch.Generator:
    """For what a process draws for its own scenes only; `generator` itself if it makes the whole batch."""
    rank, world_size = worker
    if world_size == 1:
        return generator
    return torch.Generator().manual_seed(int(torch.randint(2**62, (world_size,), generator=generator)[rank]))


def assemble(
    images: Tensor, depth: Tensor, cam_from_world: Tensor, intrinsics: Tensor,
    config: TrainConfig, generator: torch.Generator,
    tracks: Tensor | None = None, visibility: Tensor | None = None,
) -> SceneBatch:  # fmt: skip
    """A training batch from chosen views: colours changed, points and tracks computed, normalised.

    Tracks are made from the depth maps unless they are given, (B, S, N, 2) and (B, S, N).
    """
    point_map = unproject_depth(depth, intrinsics, cam_from_world)
    if tracks is None and "track" in config.loss_weights:
        tracks, visibility = tracks_from_depth(
            depth, point_map, cam_from_world, intrinsics, config.num_tracks, generator
        )
    if config.augment:
        images = augment_colors(images, generator, config.augment)
    valid = depth > 0
    truth = (depth, cam_from_world, intrinsics, point_map, valid, tracks, visibility)
    return normalize_scene(SceneBatch(images, *truth))


def image_sides(
    size: int, patch_size: int, aspects: tuple[float, float], generator: torch.Generator, released=False
) -> tuple[int, int]:
    """Height and width of a batch's images: the longer side is `size`, the other is whole patches.

    Upright and lying pictures are equally frequent, and the shorter side is the nearest that fits. `released`
    draws as the released training does: height ÷ width is uniform in `aspects`, at two decimals, and the
    shorter side is rounded down. There aspects end at 1; beyond it pictures are upright here.
    """
    low, high = aspects
    if low == high == 1:
        return size, size
    drawn = float(torch.rand((), generator=generator))
    if released:
        aspect = round(low + (high - low) * drawn, 2)
        patches = int(size * min(aspect, 1 / aspect)) // patch_size
    else:
        aspect = low * (high / low) ** drawn
        patches = round(size * min(aspect, 1 / aspect) / patch_size)
    shorter = max(1, patches) * patch_size
    return (shorter, size) if aspect < 1 else (size, shorter)


class RenderedScenes:
    """Batches of scenes that `render_ahead` wrote to a folder. Needs no memory but the disk's cache.

    The stored pictures are squares; `config.aspects` are cut from their middle, in whole patches.

    Args:
        window: Each step draws from so many neighbouring scenes, and over the run they move from the first
            ones to the last: each scene is seen equally often, and the last may still be rendered while the
            first are seen. 0 is all of them, at any time.
        rendering: The process that renders, if it has not finished (`render_meanwhile`).
    """

    def __init__(
        self, folder: Path | str, config: TrainConfig, worker: tuple[int, int] = (0, 1), patch_size: int = 1,
        window: int = 0, rendering: BaseProcess | None = None,
    ) -> None:  # fmt: skip
        self.reader, self.config, self.worker = ShardReader(folder, rendering), config, worker
        self.patch_size, self.window = patch_size, window or self.reader.num_scenes
        if not 0 <= window <= self.reader.num_scenes:
            raise ValueError(f"window={window} must be 0 to {self.reader.num_scenes}, the scenes there are.")
        shard_batch(config.max_images // config.views[1], worker)  # raises if too few

    def batch_for_step(self, step: int) -> SceneBatch:
        num_scenes, num_views, progress, generator = draw_batch_shape(self.config, step)
        first = (self.reader.num_scenes - self.window) * step // self.config.steps
        chosen = first + torch.randint(self.window, (num_scenes,), generator=generator)
        which = choose_views(num_scenes, num_views, self.reader.num_views, progress, generator)
        mine = shard_batch(num_scenes, self.worker)
        images, depth, cameras, intrinsics = self.reader.read(chosen[mine], which[mine])
        size = images.shape[-1]
        height, width = image_sides(size, self.patch_size, self.config.aspects, generator)
        top, left = (size - height) // 2, (size - width) // 2
        rows, columns = slice(top, top + height), slice(left, left + width)
        intrinsics[..., :2, 2] -= torch.tensor([left, top])  # the principal point counts from the new corner
        return assemble(
            images[..., rows, columns].float() / 255, depth[..., rows, columns], cameras, intrinsics,
            self.config, own_generator(generator, self.worker),
        )  # fmt: skip

    def description(self) -> dict:
        """What was rendered, for `run_identity`; where it lies does not matter."""
        cut = {"patch_size": self.patch_size} if self.config.aspects != (1.0, 1.0) else {}
        moves = {"window": self.window} if self.window < self.reader.num_scenes else {}
        return {**self.reader.index, **cut, **moves}


@dataclass(eq=False)
class GeneratedScenes:
    """Batches of scenes rendered on the spot, never the same twice."""

    config: TrainConfig  # views, images and tracks of a batch
    scene_config: SceneConfig  # what the scenes look like
    size: int = 64  # longer side of the images, pixels
    path_views: int = 8  # views along the path of each scene, of which a batch shows some
    device: torch.device | str = "cpu"  # where to render
    patch_size: int = 1  # sides of images that are not square are multiples of it
    worker: tuple[int, int] = (0, 1)  # see the top of this file

    def __post_init__(self) -> None:
        shard_batch(self.config.max_images // self.config.views[1], self.worker)  # raises if too few

    def batch_for_step(self, step: int) -> SceneBatch:
        num_scenes, num_views, progress, generator = draw_batch_shape(self.config, step)
        seed = int(torch.randint(FIRST_EVALUATION_SEED - num_scenes, (), generator=generator))
        which = choose_views(num_scenes, num_views, self.path_views, progress, generator)
        height, width = image_sides(self.size, self.patch_size, self.config.aspects, generator)
        num_tracks = self.config.num_tracks if "track" in self.config.loss_weights else 0
        mine = shard_batch(num_scenes, self.worker)
        seen = generate_scenes(
            seed + mine.start, mine.stop - mine.start, self.path_views, height, width, self.device,
            num_tracks, self.scene_config, which[mine],
        )  # fmt: skip
        columns = (seen.images, seen.depth, seen.cam_from_world, seen.intrinsics)
        own = own_generator(generator, self.worker)
        return assemble(*columns, self.config, own, seen.tracks, seen.track_visibility)

    def description(self) -> dict:
        """What is rendered, for `run_identity`."""
        settings = {key: getattr(self, key) for key in ("size", "path_views", "patch_size")}
        return {**settings, "scene_config": self.scene_config.to_dict()}


def load_ahead(source: BatchSource, steps: int, device: torch.device) -> BatchSource:
    """The source for a run on `device`: with processes that read ahead where that is not the CPU itself."""
    if device.type == "cpu":
        return source
    return StepLoader(source, steps, LOADERS, pin_memory=device.type == "cuda")


@dataclass(eq=False)
class StepLoader:
    """Batches of a source, made ahead of their steps by PyTorch's `DataLoader` in processes of its own.

    Worth it where the network runs on another device than the loader; on one core there is nothing to
    gain. The batches are those of the source, since they depend on the step alone.
    """

    source: BatchSource  # makes batches on the CPU
    steps: int  # of the run; none is made beyond them
    num_workers: int  # processes; 0 makes each batch when it is asked for
    pin_memory: bool = False  # for training on a CUDA device
    next_step: int | None = field(default=None, init=False)
    batches: Iterator[SceneBatch] = field(default=iter(()), init=False)

    def batch_for_step(self, step: int) -> SceneBatch:
        if step != self.next_step:  # the first one asked for, or not the one after the last
            loader = DataLoader(
                range(self.steps),
                batch_size=None,  # a step is a batch already
                sampler=range(step, self.steps),
                collate_fn=self.source.batch_for_step,
                generator=torch.Generator(),  # its own, or it would draw from the one that dropout uses
                num_workers=self.num_workers,
                pin_memory=self.pin_memory,
            )
            self.batches = iter(loader)
        self.next_step = step + 1
        return next(self.batches)

    def description(self) -> dict:
        return described(self.source)
