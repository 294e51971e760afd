"""Scenes rendered ahead: written once to shards on disk, then read at the price of a copy.

A folder holds `index.json` (what was rendered, and by which code) and files of some hundred scenes each.
Images are stored as bytes and depths as half floats (0.05 % of the depth); point maps and tracks follow from
these and the cameras, so they are computed when a batch is made.
"""

import hashlib
import json
import os
import time
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from vggt_lite.config import SceneConfig
from vggt_lite.losses.scene_batch import SceneBatch
from vggt_lite.synthetic.generate import FIRST_EVALUATION_SEED, check_request, generate_scenes
from vggt_lite.utils.files import atomic_write
from vggt_lite.utils.fingerprint import differences, fingerprint
from vggt_lite.utils.reading import read_json, reading
from vggt_lite.utils.runtime import progress

NO_SHARE = (2**31, 1)  # as `worker`: renders none of the shards, but checks and writes the index
AT_ONCE = 16  # scenes rendered in one call, to bound the memory
COLUMNS = ("images", "depth", "cam_from_world", "intrinsics")  # of a shard
Count = Annotated[int, msgspec.Meta(ge=1, le=FIRST_EVALUATION_SEED)]
GENERATOR = ("vggt_lite.synthetic", "vggt_lite.geometry")  # the code that decides what a scene looks like


class Index(msgspec.Struct):
    """index.json; the arguments of `render_ahead`."""

    num_scenes: Count
    num_views: Count
    size: Count
    first_seed: Annotated[int, msgspec.Meta(ge=0)]
    shard_scenes: Count
    scene_config: dict
    generator: str

    def shards(self, folder: Path) -> list["Shard"]:
        """The files of a folder, whether they exist or not."""
        seeds = range(self.first_seed, self.first_seed + self.num_scenes)
        parts = [seeds[k : k + self.shard_scenes] for k in range(0, len(seeds), self.shard_scenes)]
        return [Shard(folder / f"scenes_{k:05d}.safetensors", part) for k, part in enumerate(parts)]


class Shard(NamedTuple):
    """A file of scenes."""

    path: Path
    seeds: range

    def metadata(self, index: Index) -> dict[str, str]:
        """What the file says of itself: which scenes, of which index."""
        said = msgspec.json.encode((index.scene_config, index.generator, self.seeds.start), order="sorted")
        return {"scenes": hashlib.sha256(said).hexdigest()}

    def read(self, index: Index) -> dict[str, Tensor]:
        """Its tensors; they stay on disk, mapped into memory.

        Raises:
            ValueError: it is damaged, or holds other scenes than the index says.
        """
        size, scenes = index.size, (len(self.seeds), index.num_views)
        shapes = [(3, size, size), (size, size), (3, 4), (3, 3)]
        with reading(self.path, "a shard of scenes"), safe_open(self.path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in COLUMNS}
            fits = [tensors[name].shape == (*scenes, *s) for name, s in zip(COLUMNS, shapes, strict=True)]
            own = self.metadata(index)
            if not all(fits) or (file.metadata() or own) != own:  # older ones say nothing
                raise ValueError("it holds other scenes than index.json says")
        return tensors


def render_ahead(
    folder: Path | str,
    config: SceneConfig,
    num_scenes: int,
    num_views: int = 8,
    size: int = 64,
    first_seed: int = 0,
    shard_scenes: int = 256,
    worker: tuple[int, int] = (0, 1),
) -> Path:
    """Render scenes with seeds first_seed … first_seed + num_scenes − 1 into `folder`.

    Shards that exist are kept, so a second call finishes what a first one began.

    Args:
        folder: Made if need be. If it holds scenes already, they must come from the same arguments and the
            same code of `GENERATOR`.
        config: What the scenes look like.
        num_views: Views along the camera path of each scene.
        size: Height and width, pixels.
        worker: (index, count). Worker i of n renders every n-th shard; start n processes to share work.

    Returns:
        The folder.

    Raises:
        ValueError: A seed is reserved for evaluation, objects move, or the folder holds other scenes; the
            message says what differs.
    """
    check_request(first_seed, min(num_scenes, AT_ONCE), num_views, size, size)
    if shard_scenes < 1:
        raise ValueError(f"shard_scenes={shard_scenes} must be at least 1, for example 256.")
    if first_seed + num_scenes > FIRST_EVALUATION_SEED:
        raise ValueError(
            f"seeds {first_seed} … {first_seed + num_scenes - 1}: those from {FIRST_EVALUATION_SEED:,} on "
            "are for evaluation. Try first_seed=0."
        )
    if config.moving_objects:
        raise ValueError(f"moving_objects={config.moving_objects}: stored scenes need moving_objects=0.")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    asked = Index(
        num_scenes, num_views, size, first_seed, shard_scenes, json.loads(json.dumps(config.to_dict())),
        fingerprint(modules=GENERATOR),
    )  # fmt: skip
    path = folder / "index.json"
    if path.exists():
        if differ := differences(*map(msgspec.to_builtins, (read_json(path, Index), asked))):
            raise ValueError(f"{folder} holds other scenes: {'; '.join(differ)}. Give another folder.")
    else:
        with atomic_write(path) as temporary:
            temporary.write_bytes(msgspec.json.format(msgspec.json.encode(asked), indent=1))

    mine = asked.shards(folder)[worker[0] :: worker[1]]
    for shard in mine:
        if shard.path.exists():
            shard.read(asked)  # raises if it cannot be used
    missing = [shard for shard in mine if not shard.path.exists()]
    for shard in progress(missing, desc="render ahead", unit="shard"):
        content = save(render_shard(shard.seeds, num_views, size, config), shard.metadata(asked))
        with atomic_write(shard.path) as temporary:
            temporary.write_bytes(content)
    return folder


def render_shard(seeds: range, num_views: int, size: int, config: SceneConfig) -> dict[str, Tensor]:
    """The tensors of one shard, compact: the scene with seed seeds[i] is in row i of each."""
    groups = [seeds[i : i + AT_ONCE] for i in range(0, len(seeds), AT_ONCE)]
    parts = [generate_scenes(g[0], len(g), num_views, size, size, config=config) for g in groups]
    batch = SceneBatch.cat(parts)
    images = (batch.images * 255).round().to(torch.uint8)
    tensors = (images, batch.depth.half(), batch.cam_from_world.float(), batch.intrinsics.float())
    return dict(zip(COLUMNS, tensors, strict=True))


def render_meanwhile(folder: Path | str, *scenes, **options) -> BaseProcess:
    """`render_ahead` in a process of its own, on one thread, while this one goes on; arguments as there.

    Returns:
        The process, for `ShardReader`. It ends with this one.

    Raises:
        ValueError: as `render_ahead`, and before anything is rendered or read.
    """
    render_ahead(folder, *scenes, **options, worker=NO_SHARE)
    process = get_context("spawn").Process(
        target=render_quietly, args=(folder, *scenes), kwargs=options, daemon=True
    )
    process.start()
    return process


def render_quietly(*scenes, **options) -> None:
    """On one thread, without a bar: what runs in the process of `render_meanwhile`."""
    torch.set_num_threads(1)
    os.environ["VGGT_LITE_QUIET"] = "1"
    render_ahead(*scenes, **options)


class ShardReader:
    """Random access to a folder of scenes. The files stay on disk, mapped into memory.

    Args:
        folder: From `render_ahead`.
        rendering: The process that still renders it: scenes that are not there yet are waited for.
    """

    def __init__(self, folder: Path | str, rendering: BaseProcess | None = None) -> None:
        folder = Path(folder)
        self.rendering = rendering
        if not (folder / "index.json").exists():
            make = "render_ahead(folder, SceneConfig(), num_scenes=2000)"
            raise FileNotFoundError(f"{folder} has no index.json: make a folder of scenes with {make}.")
        index = read_json(folder / "index.json", Index)
        self.index = msgspec.to_builtins(index)
        self.num_scenes, self.num_views = index.num_scenes, index.num_views
        self.shards = index.shards(folder)
        missing = [shard.path.name for shard in self.shards if not shard.path.exists()]
        if missing and rendering is None:
            lacks = f"lacks {len(missing)} of {len(self.shards)} shards ({missing[0]} …)"
            raise FileNotFoundError(f"{folder} {lacks}: rendering has not finished, call render_ahead again.")
        self.opened = {} if missing else {k: shard.read(index) for k, shard in enumerate(self.shards)}

    def wait_for(self, path: Path) -> None:
        """Raises: RuntimeError: the process that renders has ended without it."""
        while self.rendering is not None and not path.exists():
            if not self.rendering.is_alive() and not path.exists():
                raise RuntimeError(f"{path} is missing: rendering ended early, its own message says why.")
            time.sleep(0.1)

    def shard(self, number: int) -> dict[str, Tensor]:
        """The tensors of one shard, as soon as they are there."""
        if number not in self.opened:
            self.wait_for(self.shards[number].path)
            self.opened[number] = self.shards[number].read(msgspec.convert(self.index, Index))
        return self.opened[number]

    def read(self, scenes: Tensor, views: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Chosen views (B, S) of chosen scenes (B): images uint8, depth, cam_from_world, intrinsics."""
        places = [divmod(scene, self.index["shard_scenes"]) for scene in scenes.tolist()]
        rows = [(self.shard(number), row, which) for (number, row), which in zip(places, views, strict=True)]
        images, depth, cameras, intrinsics = (
            torch.stack([shard[name][row][which] for shard, row, which in rows]) for name in COLUMNS
        )
        return images, depth.float(), cameras, intrinsics
