"""Camera paths round the table: orbit, walk, forward.

The world is the room: x points east, y north, z up, the floor's middle is the origin, metres. Cameras
are OpenCV's (x right, y down, z forward). A path is a function of the view's number alone, so the first
four views of an eight-view scene are the four-view scene.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from vggt_lite.config import SceneConfig
from vggt_lite.synthetic.batch_rng import BatchRNG

PATHS = ("orbit", "walk", "forward")


def look_at(position: Tensor, target: Tensor, roll: Tensor) -> Tensor:
    """Cameras that see `target` in the middle of the image.

    Args:
        position, target: (…, 3) world points; must not stand one above the other.
        roll: (…) turn about the viewing direction, radians; positive turns the picture's content
            counter-clockwise.

    Returns:
        cam_from_world (…, 3, 4).
    """
    up = torch.tensor([0.0, 0.0, 1.0], device=position.device).expand_as(position)
    forward = F.normalize(target - position, dim=-1)
    right = F.normalize(torch.linalg.cross(forward, up), dim=-1)
    down = torch.linalg.cross(forward, right)
    cos, sin = roll.cos()[..., None], roll.sin()[..., None]
    rotation = torch.stack([cos * right + sin * down, cos * down - sin * right, forward], dim=-2)
    translation = -(rotation * position[..., None, :]).sum(-1, keepdim=True)
    return torch.cat([rotation, translation], dim=-1)


def wave(rng: BatchRNG, step: Tensor, slowest: float, fastest: float) -> Tensor:
    """(B, S) a smooth wandering in [-1, 1], with its own phase and speed (radians per view) per scene."""
    return torch.sin(rng.uniform(0, 2 * math.pi, 1) + rng.uniform(slowest, fastest, 1) * step)


def sample_cameras(
    rng: BatchRNG, num_views: int, center: Tensor, config: SceneConfig
) -> tuple[Tensor, Tensor]:
    """Draw one path per scene.

    Args:
        center: (B, 3) middle of the table's objects, world.

    Returns:
        cam_from_world (B, S, 3, 4), and the field of view of the longer side (B,) in radians.
    """
    step = torch.arange(num_views, dtype=torch.float32)
    kind = rng.choice([PATHS.index(name) for name in config.paths], 1)  # (B, 1)
    is_walk, is_forward = (kind == PATHS.index("walk")).float(), kind == PATHS.index("forward")

    turn = rng.uniform(*(math.radians(a) for a in config.turn_deg), 1) * rng.choice([-1, 1], 1)
    start = rng.uniform(*(math.radians(a - 90) for a in config.start_deg), 1)  # from the south
    uneven = is_walk * 0.3 * wave(rng, step, 1.0, 2.0)  # a walker's steps differ in length
    azimuth = start + turn * torch.where(is_forward, 0.15 * step, step + uneven)  # (B, S)

    low, high = config.camera_distance
    swing = (0.15 + 0.35 * is_walk) * (high - low)
    distance = rng.uniform(low, high, 1) + swing * wave(rng, step, 0.2, 0.6)
    approach = low + (high - low) * torch.exp(-rng.uniform(0.1, 0.3, 1) * step)
    distance = torch.where(is_forward, approach, distance).clamp(low, high)

    low, high = config.camera_height
    height = rng.uniform(low, high, 1) + 0.15 * (high - low) * wave(rng, step, 0.2, 0.8)
    height = height.clamp(low, high)

    position = torch.stack([distance * azimuth.cos(), distance * azimuth.sin(), height], dim=-1)
    position[..., :2] += center[:, None, :2]
    wander = torch.stack([wave(rng, step, 0.3, 1.0) for _ in range(3)], dim=-1)  # (B, S, 3)
    stray = 0.7 * rng.uniform(-1, 1, 1, 3) + 0.3 * wander
    target = center[:, None] + config.gaze_jitter * stray
    roll = math.radians(config.roll_deg) * (0.7 * rng.uniform(-1, 1, 1) + 0.3 * wave(rng, step, 0.3, 1.0))

    fov_rad = rng.uniform(*(math.radians(a) for a in config.fov_deg))
    return look_at(position, target, roll), fov_rad


def square_pixel_intrinsics(fov_rad: Tensor, height: int, width: int) -> Tensor:
    """(…, 3, 3) K of a camera with square pixels and its principal point in the image's middle.

    The field of view is that of the image's longer side, so that a camera held upright keeps its lens.
    """
    intrinsics = torch.zeros(*fov_rad.shape, 3, 3)
    intrinsics[..., 0, 0] = intrinsics[..., 1, 1] = max(height, width) / 2 / torch.tan(fov_rad / 2)
    intrinsics[..., 0, 2], intrinsics[..., 1, 2] = width / 2, height / 2
    intrinsics[..., 2, 2] = 1
    return intrinsics
