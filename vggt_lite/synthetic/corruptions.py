"""Generated scenes with optional corruptions that are known failure cases of networks like this one."""

from dataclasses import dataclass, replace

import torch

from vggt_lite.config import SceneConfig
from vggt_lite.losses.scene_batch import SceneBatch
from vggt_lite.synthetic.camera_effects import gaussian_blur
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
        """Those corruptions that are a matter of drawing the scene."""
        turn = (self.turn_deg, self.turn_deg)
        return SceneConfig(texture=self.texture, turn_deg=turn, moving_objects=self.moving_objects)


def corrupted_scenes(seed: int, num_scenes: int, corruptions: Corruptions, size: int = 64) -> SceneBatch:
    """Four views of each of `num_scenes` generated rooms, corrupted, with exact truth.

    Args:
        seed: Of the first scene, as for `generate_scenes`.
        size: Of the square images, pixels.
    """
    scenes = generate_scenes(seed, num_scenes, len(SHUFFLED), size, size, config=corruptions.scene_config)
    if corruptions.blur:
        images = scenes.images.flatten(0, 1)  # (V, 3, H, W)
        sigma = torch.full((len(images),), corruptions.blur)
        reach = max(1, round(3 * corruptions.blur))
        scenes.images = gaussian_blur(images, sigma, reach).view_as(scenes.images)
    if corruptions.quarter_turns:
        scenes = roll_cameras(scenes, corruptions.quarter_turns)
    return scenes.views(list(SHUFFLED)) if corruptions.shuffled else scenes


def roll_cameras(scenes: SceneBatch, quarter_turns: int) -> SceneBatch:
    """The cameras of all views but the first hold their (square) sensor turned.

    Each quarter turn moves the picture's content counter-clockwise: (x, y) from its middle becomes (y, −x).
    """
    turn = torch.tensor([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]], device=scenes.images.device)
    rolled = {"cam_from_world": torch.linalg.matrix_power(turn, quarter_turns) @ scenes.cam_from_world}
    rows_and_columns = {"images": (-2, -1), "depth": (-2, -1), "valid": (-2, -1), "point_map": (-3, -2)}
    for name, dims in rows_and_columns.items():
        rolled[name] = torch.rot90(getattr(scenes, name), quarter_turns, dims)
    for name, value in rolled.items():
        value[:, :1] = getattr(scenes, name)[:, :1]
    return replace(scenes, **rolled)
