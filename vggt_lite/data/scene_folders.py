"""Training batches from your own scenes: folders of any format that `open_scene` knows.

Every batch draws how many views a scene shows and which shape its pictures have; all its scenes share both,
and the number of pictures in a batch stays about the same. So a network meets pairs and long sequences, wide
and square pictures, at one price in memory. As in `batches.py`, a batch depends on (seed, step) alone.

Source: the sampling of the released training code (arXiv:2503.11651, section 4.1 and appendix).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from vggt_lite.config import TrainConfig
from vggt_lite.config_fields import check_multiple
from vggt_lite.data import batches
from vggt_lite.data.readers import find_scenes, open_scene
from vggt_lite.data.views import Views, to_batch
from vggt_lite.geometry import project_points, unproject_depth
from vggt_lite.losses.scene_batch import SceneBatch
from vggt_lite.training.identity import described
from vggt_lite.training.loop import BatchSource

ZOOMS = (0.8, 1.2)  # share of each side that is kept, at most all of it
LEAST_OVERLAP = 0.2  # of the pictures; below that two views do not count as overlapping
GRID = 6  # places tried per side of a picture to measure overlap
DEPTHS_READ = 8  # views whose depth is read to learn the usual distance


@dataclass(eq=False)
class SceneFolders:
    """Batches of scenes on disk.

    Depth may be missing in pixels, in whole views, or (COLMAP) everywhere but at the points of the sparse
    model: `valid` says where there is some, and the losses look nowhere else. Tracks are followed through
    depth as if nothing moved; where a scene has points only, they are its tracks.

    Raises:
        FileNotFoundError, ValueError: no scene, a broken one, or one from which nothing can be learned; the
            message names it.
    """

    folders: Iterable[Path | str]  # scenes, or folders of scenes
    config: TrainConfig  # views, aspects and number of pictures of a batch; tracks, colours, seed
    size: int  # the longer side of the pictures, pixels; a multiple of the patch
    patch_size: int  # pixels
    zooms: tuple[float, float] = ZOOMS  # lowest and highest share of a picture's sides kept; (1, 1) keeps all
    worker: tuple[int, int] = (0, 1)  # (rank, world_size); each process makes its own scenes

    def __post_init__(self) -> None:
        zooms = self.zooms
        check_multiple("size", self.size, self.patch_size)
        if not 0 < zooms[0] <= zooms[1]:
            raise ValueError(f"zooms={zooms} must be the lowest and highest share kept, such as (0.8, 1.2).")
        self.folders = [scene for folder in self.folders for scene in find_scenes(folder)]
        self.scenes = [open_scene(folder) for folder in self.folders]
        if not self.scenes:
            raise ValueError("no folder was given: name at least one scene to train on.")
        for folder, scene in zip(self.folders, self.scenes, strict=True):
            if not references(scene):
                raise ValueError(
                    f"{folder} has neither depth maps nor the points of a sparse model: add depths/, or give "
                    "the COLMAP folder that the scene came from."
                )
        most = max(map(len, self.scenes))
        self.config = self.config.with_(views=tuple(min(views, most) for views in self.config.views))
        batches.shard_batch(self.config.max_images // self.config.views[1], self.worker)  # raises if too few
        self.overlaps: dict[int, Tensor] = {}

    def batch_for_step(self, step: int) -> SceneBatch:
        num_scenes, num_views, progress, generator = batches.draw_batch_shape(self.config, step)
        size = batches.image_sides(self.size, self.patch_size, self.config.aspects, generator, released=True)
        able = [number for number, scene in enumerate(self.scenes) if len(scene) >= num_views]
        drawn = torch.randint(len(able), (num_scenes,), generator=generator)
        mine = drawn[batches.shard_batch(num_scenes, self.worker)].tolist()
        own = batches.own_generator(generator, self.worker)
        return SceneBatch.cat([self.scene(able[i], num_views, size, progress, own) for i in mine])

    def description(self) -> dict:
        """The scenes and how they are shown, for `run_identity`; where they lie does not matter."""
        scenes = [f"{folder.name} ({len(s)})" for folder, s in zip(self.folders, self.scenes, strict=True)]
        return {"scenes": scenes, "size": self.size, "patch_size": self.patch_size, "zooms": self.zooms}

    def scene(
        self, number: int, num_views: int, size: tuple[int, int], progress: float, generator: torch.Generator
    ) -> SceneBatch:
        """Some views of scene `number`, cut to `size` (H, W), coloured and normalised (B = 1).

        Raises:
            ValueError: a file cannot be read; the message names the scene.
        """
        try:
            scene = self.scenes[number]
            if number not in self.overlaps:
                self.overlaps[number] = view_overlap(scene, usual_depth(scene))
            which = near_views(self.overlaps[number], references(scene), num_views, progress, generator)
            chosen = scene.choose(which)
            low, high = self.zooms
            kept = (low + (high - low) * torch.rand(num_views, generator=generator)).clamp(max=1.0)
            batch = to_batch(chosen, size, zooms=(1 / kept).tolist())
            sparse = not any(view.depth for view in chosen.views)
            depth = depth_of_points(chosen, batch) if sparse else batch.depth * batch.valid
            tracks = seen = None
            if sparse and "track" in self.config.loss_weights:
                tracks, seen = tracks_of_points(batch, self.config.num_tracks, generator)
            columns = (batch.images, depth, batch.cam_from_world, batch.intrinsics)
            return batches.assemble(*columns, self.config, generator, tracks, seen)
        except Exception as error:
            raise ValueError(f"{self.folders[number]} cannot be trained on: {error}") from error


@dataclass(eq=False)
class MixtureSource:
    """Batches of one source or another, drawn for each step: old scenes among new ones."""

    sources: Sequence[BatchSource]
    shares: Sequence[float]  # of each source's steps, any positive numbers
    seed: int = 0  # of the draw

    def source_for_step(self, step: int) -> int:
        """Which source makes the batch of a step."""
        shares = torch.tensor(self.shares, dtype=torch.float64)
        return int(torch.multinomial(shares, 1, generator=batches.step_generator(self.seed, step)))

    def batch_for_step(self, step: int) -> SceneBatch:
        return self.sources[self.source_for_step(step)].batch_for_step(step)

    def description(self) -> dict:
        sources = [described(source) for source in self.sources]
        return {"shares": list(map(float, self.shares)), "sources": sources}


def references(scene: Views) -> list[int]:
    """The views that can come first: there must be depth, for the loss of the cameras asks for it."""
    if with_depth := [number for number, view in enumerate(scene.views) if view.depth]:
        return with_depth
    seen = scene.points.ids if scene.points is not None else []
    return [number for number, ids in enumerate(seen) if len(ids)]


def usual_depth(scene: Views) -> float:
    """The median z of what is seen: of the points of a sparse model, else of some views' depth maps.

    Returns:
        In the unit of the scene's translations; 1 where the depth maps hold nothing.
    """
    if scene.points is not None and len(scene.points.world):
        _, z = project_points(scene.points.world, scene.cam_from_world, scene.intrinsics)  # (S, N)
        seen = torch.cat([z[view, ids] for view, ids in enumerate(scene.points.ids)])
    else:
        with_depth = [view for view in scene.views if view.depth]
        step = -(-len(with_depth) // DEPTHS_READ) or 1
        read = [view.depth_in() for view in with_depth[::step]]
        seen = torch.cat([depth[(depth > 0) & trusted] for depth, trusted in read] or [torch.zeros(0)])
    return float(seen.median()) if len(seen) else 1.0


def view_overlap(scene: Views, distance: float) -> Tensor:
    """How much of a picture two views share, if all they see stands upright at one distance.

    Args:
        scene: S views.
        distance: z of everything, in the unit of the translations.

    Returns:
        (S, S) in 0 … 1, symmetric: the smaller of the shares that either finds in the other's picture; 0
        where they look in opposite directions, for then they see two sides of a thing.
    """
    cameras, k = scene.cam_from_world.float(), scene.intrinsics.float()
    sizes = torch.tensor([view.size for view in scene.views]).flip(-1)  # (S, 2) width, height
    to_grid = torch.diag_embed(F.pad(GRID / sizes, (0, 1), value=1.0))  # (S, 3, 3) grid from pixels
    flat = torch.full((len(scene), GRID, GRID), distance)
    points = unproject_depth(flat, to_grid @ k, cameras).flatten(1, 2)  # (S, GRID², 3)
    share = torch.zeros(len(scene), len(scene))
    for view in range(len(scene)):
        pixels, z = project_points(points[view], cameras, k)  # (S, GRID², 2)
        inside = (z > 0) & (pixels >= 0).all(-1) & (pixels <= sizes[:, None]).all(-1)
        share[view] = inside.float().mean(-1)
    ahead = cameras[:, 2, :3]  # (S, 3) where each camera looks, in the world
    return torch.minimum(share, share.T) * (ahead @ ahead.T > 0)


def near_views(
    overlap: Tensor, first: list[int], num_views: int, progress: float, generator: torch.Generator
) -> list[int]:
    """Views of a scene that see much of the same: a reference, and others that overlap it, in random order.

    At progress 0 the others are those that overlap the reference most; from 1 on they are drawn among all
    that overlap it enough (by `LEAST_OVERLAP`), as in `choose_views`.

    Args:
        overlap: (S, S), see `view_overlap`.
        first: Those that may be the reference.
        num_views: How many in all.
        progress: Of the curriculum.
    """
    reference = first[int(torch.randint(len(first), (), generator=generator))]
    row = overlap[reference].clone()
    row[reference] = -1  # last of all
    order = row.argsort(descending=True, stable=True)
    enough = max(int((row >= LEAST_OVERLAP).sum()), num_views - 1)
    window = num_views - 1 + round((enough - num_views + 1) * min(progress, 1.0))
    others = order[torch.randperm(window, generator=generator)[: num_views - 1]]
    return [reference, *others.tolist()]


def depth_of_points(views: Views, batch: SceneBatch) -> Tensor:
    """(1, S, H, W) z of the points that each view saw, at the pixels where they project; 0 elsewhere."""
    height, width = batch.depth.shape[-2:]
    nearest = torch.full_like(batch.depth[0].flatten(1), torch.inf)  # (S, H · W)
    for view, ids in enumerate(views.points.ids):
        world = views.points.world[ids].float()
        pixels, z = project_points(world, batch.cam_from_world[0, view], batch.intrinsics[0, view])
        inside = (z > 0) & (pixels >= 0).all(-1) & (pixels < torch.tensor([width, height])).all(-1)
        column, row = pixels[inside].long().unbind(-1)
        nearest[view].scatter_reduce_(0, row * width + column, z[inside], "amin")
    return torch.where(nearest.isinf(), 0.0, nearest).view_as(batch.depth)


def tracks_of_points(batch: SceneBatch, num_tracks: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Tracks (1, S, N, 2) and visibility (1, S, N) of points seen in the first view, drawn with repeats.

    Where there are none, nothing is visible, and no loss looks at the positions.
    """
    seen = [] if batch.tracks is None else batch.track_visibility[0, 0].nonzero()[:, 0]
    if len(seen) == 0:
        views = batch.images.shape[1]
        return torch.zeros(1, views, num_tracks, 2), torch.zeros(1, views, num_tracks, dtype=torch.bool)
    drawn = seen[torch.randint(len(seen), (num_tracks,), generator=generator)]
    return batch.tracks[:, :, drawn], batch.track_visibility[:, :, drawn]
