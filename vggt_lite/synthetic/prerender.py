"""Scenes rendered ahead: written once to shards on disk, then read at the price of a copy.

A folder holds `index.json` (what was rendered, and by which code) and files of some hundred scenes each.
Images are stored as bytes and depths as half floats (0.05 % of the depth); point maps and tracks follow from
these and the cameras, so they are computed when a batch is made.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from vggt_lite.config import SceneConfig
from vggt_lite.losses.scene_batch import SceneBatch
from vggt_lite.synthetic.generate import FIRST_EVALUATION_SEED, check_request, generate_scenes
from vggt_lite.utils.files import atomic_write
from vggt_lite.utils.fingerprint import differences, fingerprint
from vggt_lite.utils.runtime import progress

AT_ONCE = 16  # scenes rendered in one call, to bound the memory
COLUMNS = ("images", "depth", "cam_from_world", "intrinsics")  # of a shard
GENERATOR = ("vggt_lite.synthetic", "vggt_lite.geometry")  # the code that decides what a scene looks like


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
    if first_seed < 0 or first_seed + num_scenes > FIRST_EVALUATION_SEED:
        raise ValueError(
            f"seeds {first_seed} … {first_seed + num_scenes - 1}: there are none below 0, and those from "
            f"{FIRST_EVALUATION_SEED:,} on are for evaluation. Try first_seed=0."
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
        if differ := differences(json.loads(index.read_text(encoding="utf-8")), asked):
            raise ValueError(f"{folder} holds other scenes: {'; '.join(differ)}. Give another folder.")
    else:
        with atomic_write(index) as path:
            path.write_text(json.dumps(asked, indent=1), encoding="utf-8")

    paths = shard_paths(folder, num_scenes, shard_scenes)[worker[0] :: worker[1]]
    first_seeds = range(first_seed, first_seed + num_scenes, shard_scenes)[worker[0] :: worker[1]]
    missing = [both for both in zip(paths, first_seeds, strict=True) if not both[0].exists()]
    for shard, first in progress(missing, desc="render ahead", unit="shard"):
        seeds = range(first, min(first + shard_scenes, first_seed + num_scenes))
        tensors = render_shard(seeds, num_views, size, config)
        with atomic_write(shard) as path:
            save_file(tensors, path)
    return folder


def render_shard(seeds: range, num_views: int, size: int, config: SceneConfig) -> dict[str, Tensor]:
    """The tensors of one shard, compact: the scene with seed seeds[i] is in row i of each."""
    groups = [seeds[i : i + AT_ONCE] for i in range(0, len(seeds), AT_ONCE)]
    parts = [generate_scenes(g[0], len(g), num_views, size, size, config=config) for g in groups]
    batch = SceneBatch.cat(parts)
    images = (batch.images * 255).round().to(torch.uint8)
    tensors = (images, batch.depth.half(), batch.cam_from_world.float(), batch.intrinsics.float())
    return dict(zip(COLUMNS, tensors, strict=True))


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
        self.index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        self.num_scenes, self.num_views = self.index["num_scenes"], self.index["num_views"]
        paths = shard_paths(folder, self.num_scenes, self.index["shard_scenes"])
        if missing := [path.name for path in paths if not path.exists()]:
            lacks = f"lacks {len(missing)} of {len(paths)} shards ({missing[0]} …)"
            raise FileNotFoundError(f"{folder} {lacks}: rendering has not finished, call render_ahead again.")
        self.shards = [load_file(path) for path in paths]

    def read(self, scenes: Tensor, views: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Chosen views (B, S) of chosen scenes (B): images uint8, depth, cam_from_world, intrinsics."""
        places = [divmod(scene, self.index["shard_scenes"]) for scene in scenes.tolist()]
        rows = [(self.shards[shard], row, which) for (shard, row), which in zip(places, views, strict=True)]
        images, depth, cameras, intrinsics = (
            torch.stack([shard[name][row][which] for shard, row, which in rows]) for name in COLUMNS
        )
        return images, depth.float(), cameras, intrinsics
