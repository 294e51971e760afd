"""Scenes rendered ahead: written once to shards on disk, then read at the price of a copy.

A folder holds `index.json` (what was rendered, and by which code) and files of some hundred scenes each.
Images are stored as bytes and depths as half floats (0.05 % of the depth); point maps and tracks follow from
these and the cameras, so they are computed when a batch is made.
"""

import json
from pathlib import Path
from typing import Annotated

import msgspec
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from vggt_lite.config import SceneConfig
from vggt_lite.losses.scene_batch import SceneBatch
from vggt_lite.synthetic.generate import FIRST_EVALUATION_SEED, check_request, generate_scenes
from vggt_lite.utils.files import atomic_write
from vggt_lite.utils.fingerprint import differences, fingerprint
from vggt_lite.utils.reading import read_json, reading
from vggt_lite.utils.runtime import progress

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
    check_request(first_seed, num_scenes, num_views, size, size)
    if shard_scenes < 1:
        raise ValueError(f"shard_scenes={shard_scenes} must be at least 1, for example 256.")
    if first_seed + num_scenes > FIRST_EVALUATION_SEED:
        raise ValueError(
            f"seeds {first_seed} … {first_seed + num_scenes - 1}: those from {FIRST_EVALUATION_SEED:,} on "
            "are for evaluation. Try first_seed=0."
        )
    if config.moving_objects:
        raise ValueError(f"moving_objects={config.moving_objects}: stored scenes need moving_objects=0.")
    check_request(first_seed, min(num_scenes, AT_ONCE), num_views, size, size)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    asked = {
        "num_scenes": num_scenes, "num_views": num_views, "size": size, "first_seed": first_seed,
        "shard_scenes": shard_scenes, "scene_config": json.loads(json.dumps(config.to_dict())),
        "generator": fingerprint(modules=GENERATOR),
    }  # fmt: skip
    index = folder / "index.json"
    if index.exists():
        if differ := differences(msgspec.to_builtins(read_json(index, Index)), asked):
            raise ValueError(f"{folder} holds other scenes: {'; '.join(differ)}. Give another folder.")
    else:
        with atomic_write(index) as path:
            path.write_text(json.dumps(asked, indent=1), encoding="utf-8")

    paths = shard_paths(folder, num_scenes, shard_scenes)[worker[0] :: worker[1]]
    first_seeds = range(first_seed, first_seed + num_scenes, shard_scenes)[worker[0] :: worker[1]]
    seeds = [range(first, min(first + shard_scenes, first_seed + num_scenes)) for first in first_seeds]
    missing = []
    for shard, its in zip(paths, seeds, strict=True):
        if shard.exists():
            read_shard(shard, len(its), num_views, size)  # raises if it cannot be used
        else:
            missing.append((shard, its))
    for shard, its in progress(missing, desc="render ahead", unit="shard"):
        content = save(render_shard(its, num_views, size, config))
        with atomic_write(shard) as path:
            path.write_bytes(content)
    return folder


def render_shard(seeds: range, num_views: int, size: int, config: SceneConfig) -> dict[str, Tensor]:
    """The tensors of one shard, compact: the scene with seed seeds[i] is in row i of each."""
    groups = [seeds[i : i + AT_ONCE] for i in range(0, len(seeds), AT_ONCE)]
    parts = [generate_scenes(g[0], len(g), num_views, size, size, config=config) for g in groups]
    batch = SceneBatch.cat(parts)
    images = (batch.images * 255).round().to(torch.uint8)
    tensors = (images, batch.depth.half(), batch.cam_from_world.float(), batch.intrinsics.float())
    return dict(zip(COLUMNS, tensors, strict=True))


def read_shard(path: Path, num_scenes: int, num_views: int, size: int) -> dict[str, Tensor]:
    """The tensors of a shard; the file stays on disk, mapped into memory.

    Raises:
        ValueError: it is damaged, or holds scenes of another number, of other views or of another size.
    """
    shapes = {
        "images": (3, size, size),
        "depth": (size, size),
        "cam_from_world": (3, 4),
        "intrinsics": (3, 3),
    }
    with reading(path, "a shard of scenes"):
        tensors = load_file(path)
        wrong = [name for name in COLUMNS if tensors[name].shape != (num_scenes, num_views, *shapes[name])]
        if wrong:
            name = wrong[0]
            raise ValueError(f"{name} has the shape {tuple(tensors[name].shape)}: these are other scenes")
    return tensors


def shard_paths(folder: Path, num_scenes: int, shard_scenes: int) -> list[Path]:
    """The files of a folder, whether they exist or not."""
    return [folder / f"scenes_{k:05d}.safetensors" for k in range(-(-num_scenes // shard_scenes))]


class ShardReader:
    """Random access to a folder of scenes. The files stay on disk, mapped into memory."""

    def __init__(self, folder: Path | str) -> None:
        folder = Path(folder)
        if not (folder / "index.json").exists():
            make = "render_ahead(folder, SceneConfig(), num_scenes=2000)"
            raise FileNotFoundError(f"{folder} has no index.json: make a folder of scenes with {make}.")
        index = read_json(folder / "index.json", Index)
        self.index = msgspec.to_builtins(index)
        self.num_scenes, self.num_views = index.num_scenes, index.num_views
        paths = shard_paths(folder, self.num_scenes, index.shard_scenes)
        if missing := [path.name for path in paths if not path.exists()]:
            lacks = f"lacks {len(missing)} of {len(paths)} shards ({missing[0]} …)"
            raise FileNotFoundError(f"{folder} {lacks}: rendering has not finished, call render_ahead again.")
        counts = [
            min(index.shard_scenes, self.num_scenes - k * index.shard_scenes) for k in range(len(paths))
        ]
        shards = zip(paths, counts, strict=True)
        self.shards = [read_shard(path, count, self.num_views, index.size) for path, count in shards]

    def read(self, scenes: Tensor, views: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Chosen views (B, S) of chosen scenes (B): images uint8, depth, cam_from_world, intrinsics."""
        places = [divmod(scene, self.index["shard_scenes"]) for scene in scenes.tolist()]
        rows = [(self.shards[shard], row, which) for (shard, row), which in zip(places, views, strict=True)]
        images, depth, cameras, intrinsics = (
            torch.stack([shard[name][row][which] for shard, row, which in rows]) for name in COLUMNS
        )
        return images, depth.float(), cameras, intrinsics
