"""The same rooms, made difficult: what is known to lead networks like this one astray, to be switched on."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from vggt_lite.config import SceneConfig
from vggt_lite.geometry import project_points
from vggt_lite.losses.scene_batch import SceneBatch
from vggt_lite.synthetic.generate import generate_scenes

SHUFFLED = (2, 0, 3, 1)  # no two neighbours of the path stay neighbours


@dataclass(frozen=True, kw_only=True)
class Corruptions:
    """What is wrong with a set of photographs; the defaults are a scene as NANO was trained on."""

    texture: str = "rich"  # of every surface: "rich", "repetitive" (the same checks) or "none" (one grey)
    turn_deg: float = 14.0  # round the table from view to view, up to 60
    quarter_turns: int = 0  # by which the camera is rolled in every view but the first
    shuffled: bool = False  # the views come out of order, and another one is the reference
    blur: float = 0.0  # standard deviation in pixels
    moving_objects: int = 0  # how many of nine fly from view to view

    @property
    def scene_config(self) -> SceneConfig:
        """What of it is a matter of drawing the scene."""
        turn = (self.turn_deg, self.turn_deg)
        return SceneConfig(texture=self.texture, turn_deg=turn, moving_objects=self.moving_objects)


def corrupted_scenes(seed: int, num_scenes: int, trouble: Corruptions, size: int = 64) -> SceneBatch:
    """Four views of each of `num_scenes` generated rooms, with this trouble and exact truth.

    Args:
        seed: Of the first scene, as for `generate_scenes`.
        size: Of the square images, pixels.
    """
    scenes = generate_scenes(seed, num_scenes, len(SHUFFLED), size, size, config=trouble.scene_config)
    if trouble.blur:
        scenes.images = blur(scenes.images, trouble.blur)
    if trouble.quarter_turns:
        scenes = replace(scenes, **rolled(scenes, trouble.quarter_turns))
    return scenes.views(list(SHUFFLED)) if trouble.shuffled else scenes


def rolled(scenes: SceneBatch, quarter_turns: int) -> dict[str, Tensor]:
    """What changes when the cameras of all views but the first hold their (square) sensor turned.

    Each quarter turn moves the picture's content counter-clockwise: (x, y) from its middle becomes (y, −x).
    """
    turn = torch.tensor([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]], device=scenes.images.device)
    turn = torch.linalg.matrix_power(turn, quarter_turns)
    pixels = {"images": (-2, -1), "depth": (-2, -1), "valid": (-2, -1), "point_map": (-3, -2)}
    changed = {name: torch.rot90(vars(scenes)[name], quarter_turns, dims) for name, dims in pixels.items()}
    changed["cam_from_world"] = turn @ scenes.cam_from_world
    first = {name: vars(scenes)[name][:, :1] for name in changed}
    return {name: torch.cat([first[name], value[:, 1:]], dim=1) for name, value in changed.items()}


def blur(images: Tensor, sigma: float) -> Tensor:
    """Images (…, 3, H, W) out of focus: a Gaussian of standard deviation `sigma` pixels, edges repeated."""
    reach = max(1, round(3 * sigma))
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=images.device) / sigma) ** 2)
    weights = weights / weights.sum()
    flat = images.flatten(0, -3)[:, None]  # (… · 3, 1, H, W)
    flat = F.conv2d(F.pad(flat, (reach, reach, 0, 0), mode="replicate"), weights.view(1, 1, 1, -1))
    flat = F.conv2d(F.pad(flat, (0, 0, reach, reach), mode="replicate"), weights.view(1, 1, -1, 1))
    return flat.view(images.shape)


def seen_from_first(scenes: SceneBatch, tolerance: float = 0.03) -> Tensor:
    """Share of each view's pixels that the first view sees as well, (B, S): the overlap.

    Args:
        tolerance: how far, as a share of the depth, a point may lie behind what the first view sees there.
    """
    height, width = scenes.depth.shape[-2:]
    points = scenes.point_map.flatten(1, 3)  # (B, S · H · W, 3)
    pixels, z = project_points(points, scenes.cam_from_world[:, 0], scenes.intrinsics[:, 0])
    x, y = pixels.floor().long().unbind(-1)
    inside = (z > 0) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
    index = y.clamp(0, height - 1) * width + x.clamp(0, width - 1)
    surface = scenes.depth[:, 0].flatten(1).gather(1, index)  # (B, S · H · W)
    seen = inside & (z < surface * (1 + tolerance))
    return seen.view(scenes.depth.shape).float().mean((-2, -1))
