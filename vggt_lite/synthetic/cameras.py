"""Camera paths (orbit, walk, forward, parallel, dolly, turn) in a ring round something, or in a corridor.

The world is the room: x points east, y north, z up, the floor's middle is the origin, metres. Cameras
are OpenCV's (x right, y down, z forward). A path is a function of the view's number alone, so the first
four views of an eight-view scene are the four-view scene.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from vggt_lite.config import PATHS, SceneConfig
from vggt_lite.synthetic.batch_rng import BatchRNG
from vggt_lite.synthetic.places import Stage


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


def bounce(way: Tensor, length: Tensor) -> Tensor:
    """Go from 0 to `length` and back again, for ever: where one is after `way`. Steps keep their size."""
    return length - (way % (2 * length) - length).abs()


def sample_cameras(
    rng: BatchRNG, num_views: int, stage: Stage, config: SceneConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw one path per scene.

    Args:
        stage: Where cameras may be, and what they look at.

    Returns:
        cam_from_world (B, S, 3, 4), the field of view of the longer side (B,) in radians, and the path (B,),
        numbers of config.PATHS.
    """
    step = torch.arange(num_views, dtype=torch.float32)
    path = rng.choice([PATHS.index(name) for name in config.paths], 1)  # (B, 1)
    position, target = ring_path(rng, step, path, stage, config)
    roll = math.radians(config.roll_deg) * (0.7 * rng.uniform(-1, 1, 1) + 0.3 * wave(rng, step, 0.3, 1.0))
    fov_rad = rng.uniform(*(math.radians(a) for a in config.fov_deg))
    if "interior" in config.places:
        inside = (stage.aisle[:, 1] > 0)[:, None, None]
        others = aisle_path(rng, step, path, stage)
        position, target = (
            torch.where(inside, b, a) for a, b in zip((position, target), others, strict=True)
        )
    if "turn" in config.paths:
        is_turn = (path == PATHS.index("turn"))[..., None]  # (B, 1, 1)
        position = torch.where(is_turn, position[:, :1], position)
        target = torch.where(is_turn, position + turning(rng, step, config), target)
    return look_at(position, target, roll), fov_rad, path[:, 0]


def turning(rng: BatchRNG, step: Tensor, config: SceneConfig) -> Tensor:
    """(B, S, 3) directions of a camera that turns about itself: any way at first, by equal angles."""
    turn = rng.uniform(*(math.radians(a) for a in config.turn_deg), 1) * rng.choice([-1, 1], 1)
    azimuth = rng.uniform(-math.pi, math.pi, 1) + turn * step
    rise = -0.1 + 0.2 * wave(rng, step, 0.2, 0.6)  # radians: mostly a little down
    return torch.stack([azimuth.cos() * rise.cos(), azimuth.sin() * rise.cos(), rise.sin()], dim=-1)


def ring_path(
    rng: BatchRNG, step: Tensor, path: Tensor, stage: Stage, config: SceneConfig
) -> tuple[Tensor, Tensor]:
    """Positions and targets (B, S, 3) in a ring round what is looked at.

    Orbit and walk circle it. Forward comes nearer, ever more slowly. Dolly comes nearer by equal steps, and
    goes back when it is near. Parallel moves to the side without turning.
    """
    is_walk = (path == PATHS.index("walk")).float()
    is_forward, is_parallel, is_dolly = (
        path == PATHS.index(name) for name in ("forward", "parallel", "dolly")
    )

    turn = rng.uniform(*(math.radians(a) for a in config.turn_deg), 1) * rng.choice([-1, 1], 1)
    start = rng.uniform(*(math.radians(a - 90) for a in config.start_deg), 1)  # from the south
    uneven = is_walk * 0.3 * wave(rng, step, 1.0, 2.0)  # a walker's steps differ in length
    way = torch.where(is_forward | is_dolly, 0.15 * step, step + uneven) * ~is_parallel
    azimuth = start + turn * way  # (B, S)

    low, high, span = stage.distance.split(1, dim=1)  # (B, 1) each
    swing = (0.15 + 0.35 * is_walk) * span
    distance = low + span * rng.uniform(0, 1, 1)
    distance = torch.where(is_parallel, 0.9 * distance, distance + swing * wave(rng, step, 0.2, 0.6))
    speed = rng.uniform(0.1, 0.3, 1)
    approach = low + span * torch.exp(-speed * step)
    stride = (0.3 * speed + 0.07) * (low + high) / 2  # metres, a tenth to a sixth of the distance
    distance = torch.where(is_forward, approach, distance)
    distance = torch.where(is_dolly, high - bounce(1.5 * stride * step, span), distance).clamp(low, high)

    low, high, span = stage.height.split(1, dim=1)
    height = low + span * rng.uniform(0, 1, 1)
    height = height + 0.15 * span * ~is_parallel * wave(rng, step, 0.2, 0.8)
    height = height.clamp(low, high)

    position = torch.stack([distance * azimuth.cos(), distance * azimuth.sin(), height], dim=-1)
    position[..., :2] += stage.gaze[:, None, :2]
    wander = torch.stack([wave(rng, step, 0.3, 1.0) for _ in range(3)], dim=-1)  # (B, S, 3)
    stray = 0.7 * rng.uniform(-1, 1, 1, 3) + 0.3 * wander * ~is_parallel[..., None]
    target = stage.gaze[:, None] + config.gaze_jitter * stray

    reach = 0.35 * distance  # to either side
    aside = is_parallel * (bounce(stride * step + reach, 2 * reach) - reach)  # (B, S)
    sideways = torch.stack([-azimuth.sin(), azimuth.cos(), torch.zeros_like(azimuth)], dim=-1)
    shift = aside[..., None] * sideways
    return position + shift, target + shift


def aisle_path(rng: BatchRNG, step: Tensor, path: Tensor, stage: Stage) -> tuple[Tensor, Tensor]:
    """Positions and targets (B, S, 3) along the free middle of a room or corridor.

    Walk looks round while going on, forward and dolly look ahead, parallel to the side, orbit at one point.
    """
    is_walk, is_orbit, is_parallel = (path == PATHS.index(name) for name in ("walk", "orbit", "parallel"))
    width, length = stage.aisle[:, :1], stage.aisle[:, 1:]
    start = rng.uniform(0, 0.6, 1) * length
    along = bounce(start + rng.uniform(0.25, 0.5, 1) * step, 2 * length) - length  # (B, S) in the heading
    across = width * (0.6 * rng.uniform(-1, 1, 1) + 0.4 * wave(rng, step, 0.2, 0.6))
    heading, side = rng.choice([-1, 1], 1), rng.choice([-1, 1], 1)
    height = rng.uniform(0, 1, 1) + 0.1 * wave(rng, step, 0.2, 0.8)
    height = stage.height[:, :1] + stage.height[:, 2:] * height.clamp(0, 1)
    position = torch.stack([across, along, height], dim=-1)

    azimuth = 0.6 * is_walk * wave(rng, step, 0.2, 0.5) + is_parallel * side * rng.uniform(0.9, 1.5, 1)
    ahead = torch.stack([azimuth.sin(), azimuth.cos(), torch.zeros_like(azimuth)], dim=-1)
    target = position + 3 * ahead
    fixed = start - length + rng.uniform(1.5, 3.5, 1)
    fixed = torch.stack([(width + 0.6) * side, fixed, stage.gaze[:, 2:]], dim=-1)  # (B, 1, 3)
    target = torch.where(is_orbit[..., None], fixed, target)
    target[..., 2] += rng.uniform(-0.5, 0.2, 1)
    turned = torch.stack([heading, heading, torch.ones_like(heading)], dim=-1)  # by half a turn, or not
    return position * turned, target * turned


def square_pixel_intrinsics(fov_rad: Tensor, height: int, width: int) -> Tensor:
    """(…, 3, 3) K of a camera with square pixels and its principal point in the image's middle.

    The field of view is that of the image's longer side, so that a camera held upright keeps its lens.
    """
    intrinsics = torch.zeros(*fov_rad.shape, 3, 3)
    intrinsics[..., 0, 0] = intrinsics[..., 1, 1] = max(height, width) / 2 / torch.tan(fov_rad / 2)
    intrinsics[..., 0, 2], intrinsics[..., 1, 2] = width / 2, height / 2
    intrinsics[..., 2, 2] = 1
    return intrinsics
