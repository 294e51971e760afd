"""Masks: what of the photographs does not count, such as people who move, the sky, or the turntable."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vggt_lite.data.parse import read_mask
from vggt_lite.data.pixel_map import look_up


def with_masks(scene, masks):
    """The scene without what masks leave out: black (0, False) is left out, as in COLMAP.

    Clouds, pages and exports lack it, and `refine` uses no point of it. A second call leaves out more.

    Args:
        scene: a `Reconstruction`.
        masks: S masks, each (H, W) or a picture file, of the original photographs' sizes; or a folder of
            pictures that are called as the photographs: photo.jpg.png, as COLMAP has them, or photo.png.

    Returns:
        A new `Reconstruction`. A pixel of the network is valid if the mask is at its centre. Of an earlier
        refinement, observations are dropped where a mask leaves them out, and points that fewer than two
        are left of.

    Raises:
        FileNotFoundError, ValueError: a mask is missing, has another size, or leaves nothing of a view.
    """
    masks = read_masks(masks, scene.names, scene.original_sizes)
    if scene.masks is not None:
        masks = [mask & old for mask, old in zip(masks, scene.masks, strict=True)]
    valid = [on_network(*pair) for pair in zip(masks, scene.pixel_maps, strict=True)]
    changes = {"masks": masks, "valid": scene.valid & torch.stack(valid)}
    if scene.refinement and scene.refinement.refined:
        changes["refinement"] = without_masked(scene.refinement, masks)
    return replace(scene, **changes)


def read_masks(masks, names: list[str], sizes: list[tuple[int, int]]) -> list[Tensor]:
    """S masks (H, W) bool, True where the photograph counts; raises as `with_masks`."""
    if isinstance(masks, (str, Path)):
        masks = [mask_file(Path(masks).expanduser(), Path(name)) for name in names]
    if len(masks) != len(names):
        raise ValueError(f"there are {len(masks)} masks for {len(names)} views: give one for each.")
    found = []
    for mask, name, (height, width) in zip(masks, names, sizes, strict=True):
        mask = read_mask(Path(mask)) if isinstance(mask, (str, Path)) else mask
        mask = mask if isinstance(mask, Tensor) else torch.from_numpy(np.array(mask))
        if mask.shape != (height, width):
            raise ValueError(
                f"the mask of {name} has shape {tuple(mask.shape)}: give ({height}, {width}), that of the "
                "photograph."
            )
        if not mask.any():
            raise ValueError(f"the mask of {name} is all black, which leaves nothing: leave the view out.")
        found.append(mask.cpu() != 0)
    return found


def mask_file(folder: Path, name: Path) -> Path:
    """The mask of a photograph in a folder of masks."""
    tried = [folder / f"{name.name}.png", folder / f"{name.stem}.png"]
    for path in tried:
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"{folder} has no mask for {name}: looked for {tried[0].name} and {tried[1].name}."
    )


def on_network(mask: Tensor, pixel_map) -> Tensor:
    """(h, w) bool on the network's pixels: the mask (H, W) at the centre of each."""
    rows, columns = (torch.arange(side, dtype=torch.float64) + 0.5 for side in pixel_map.network_size)
    centers = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1)  # (h, w, 2)
    return look_up(mask, pixel_map.to_original(centers), False)


def in_masks(masks: Sequence[Tensor] | None, pixels: Tensor) -> Tensor:
    """(S, N) bool: pixels (S, N, 2) of the original photographs that count; all do without masks."""
    if masks is None:
        return torch.ones(pixels.shape[:2], dtype=torch.bool)
    return torch.stack([look_up(mask, places, False) for mask, places in zip(masks, pixels, strict=True)])


def without_masked(report, masks: Sequence[Tensor]):
    """The `Refinement` without observations that masks leave out."""
    kept = in_masks(masks, report.tracks)  # NaN is in no mask
    inliers = report.inliers & kept
    inliers = inliers & (inliers.sum(0) >= 2)
    return replace(
        report,
        tracks=report.tracks.masked_fill(~kept[..., None], torch.nan),
        inliers=inliers,
        points=report.points.masked_fill(~inliers.any(0)[:, None], torch.nan),
    )
