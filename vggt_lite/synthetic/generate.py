"""`generate_scenes`: seeds in, a `SceneBatch` with exact truth out."""

import torch
from torch import Tensor

from vggt_lite.config import MAX_SIDE, PATHS, PLACES, SceneConfig
from vggt_lite.losses.scene_batch import SceneBatch
from vggt_lite.synthetic.batch_rng import BatchRNG
from vggt_lite.synthetic.camera_effects import PER_VIEW, apply_camera_effects
from vggt_lite.synthetic.cameras import sample_cameras, square_pixel_intrinsics
from vggt_lite.synthetic.layout import sample_layout
from vggt_lite.synthetic.materials import sample_materials
from vggt_lite.synthetic.raycaster import World
from vggt_lite.synthetic.render import raycast_tracks, render
from vggt_lite.utils.runtime import check_memory

FIRST_EVALUATION_SEED = 1_000_000
SCENE_BYTES = 20_000  # of memory for each scene
BYTES = 320  # of memory for each pixel while it is rendered, as measured
MOST_SEED = 2**48
MOST_TRACKS = 100_000
MOST_VIEWS = 300  # of a path
NOISE_SEEDS = 16  # seeds of sensor noise between one scene and the next: longer paths share some of them


def generate_scenes(
    seed: int,
    num_scenes: int,
    num_views: int,
    height: int,
    width: int,
    device: torch.device | str = "cpu",
    num_tracks: int = 0,
    config: SceneConfig | None = None,
    views: Tensor | None = None,
) -> SceneBatch:
    """Draw and render random rooms.

    Scene i has the seed `seed + i`: it is the same whatever the number of scenes, and its first views are
    the same whatever the number of views. Seeds from 1,000,000 on are for evaluation.

    Args:
        seed: Seed of the first scene, ≥ 0.
        num_scenes: B. num_views: S, 1 to 300, in the order of the camera's path.
        height, width: Image size, pixels.
        device: Where to render and where the result lives. The random numbers are drawn on the CPU, so
            every device shows the same scenes up to rounding.
        num_tracks: N points of view 0 to follow through all views; 0 for none.
        config: What to draw; None is `SceneConfig()`, NANO's domain.
        views: (B, n) which of the path's `num_views` views to render, in this order; None is all of them.

    Returns:
        A `SceneBatch` in metres whose world is the room: x east, y north, z up, the floor's middle is
        the origin. Every pixel is valid. With `moving_objects`, depth and point maps are true for the
        moment of their own view, and tracks follow the object; cameras then agree only with what stands
        still.

    Raises:
        ValueError: a number is out of its range. MemoryError: so many pixels do not fit.
    """
    config = config or SceneConfig()
    device = torch.device(device)
    rendered = None if views is None else views.shape[1]
    check_request(seed, num_scenes, num_views, height, width, num_tracks, device, rendered)
    rng = BatchRNG(seed, num_scenes)
    layout = sample_layout(rng, num_views, config)
    materials = sample_materials(rng, layout, config)
    cam_from_world, fov_rad, _ = sample_cameras(rng, num_views, layout.stage, config)
    # Last of all draws, one view after the other: the first views do not depend on how many follow.
    per_view = rng.uniform(0, 1, num_views, 1 + PER_VIEW)
    intrinsics = square_pixel_intrinsics(fov_rad, height, width)[:, None].repeat(1, num_views, 1, 1)
    intrinsics[..., :2, :2] *= 1 + (config.zoom - 1) * per_view[..., :1, None]
    if views is None:
        views = torch.arange(num_views).expand(num_scenes, -1)
    rows = torch.arange(num_scenes)[:, None]
    layout.center = layout.center[rows, views]
    cam_from_world, intrinsics, per_view = (x[rows, views] for x in (cam_from_world, intrinsics, per_view))

    cam_from_world, intrinsics = cam_from_world.to(device), intrinsics.to(device)
    world = World.from_layout(layout, materials).apply(lambda x: x.to(device))
    cameras = cam_from_world.flatten(0, 1), intrinsics.flatten(0, 1)  # V = B · S of them
    images, depth, point_map = render(world, *cameras, height, width, config)
    if config.photographic:
        noise = sensor_noise(seed, views, height, width).to(device)
        images = apply_camera_effects(images, per_view[..., 1:].flatten(0, 1).to(device), noise)
    images, depth, point_map = (x.unflatten(0, views.shape) for x in (images, depth, point_map))
    valid = torch.ones_like(depth, dtype=torch.bool)  # inside a room every ray ends somewhere
    batch = SceneBatch(images, depth, cam_from_world, intrinsics, point_map, valid)
    if num_tracks:
        queries = rng.per_scene(num_tracks, 2) * torch.tensor([width, height])  # (B, N, 2)
        batch.tracks, batch.track_visibility = raycast_tracks(
            world, cam_from_world, intrinsics, queries.to(device), height, width
        )
    return batch


def scene_kinds(seed: int, num_scenes: int, num_views: int, config: SceneConfig) -> list[dict[str, str]]:
    """The "place" of each scene and the "path" of its cameras; arguments as for `generate_scenes`."""
    rng = BatchRNG(seed, num_scenes)
    layout = sample_layout(rng, num_views, config)
    sample_materials(rng, layout, config)  # what is drawn before the path
    _, _, path = sample_cameras(rng, num_views, layout.stage, config)
    pairs = zip(layout.place.tolist(), path.tolist(), strict=True)
    return [{"place": PLACES[place], "path": PATHS[path]} for place, path in pairs]


def sensor_noise(seed: int, views: Tensor, height: int, width: int) -> Tensor:
    """(B · S, 3, H, W) standard normal numbers, the same for a view whatever else is rendered with it."""
    seeds = ((seed + torch.arange(len(views)))[:, None] * NOISE_SEEDS + views).flatten().tolist()
    generators = [torch.Generator().manual_seed(s) for s in seeds]
    return torch.stack([torch.randn(3, height, width, generator=g) for g in generators])


def check_request(
    seed: int, num_scenes: int, num_views: int, height: int, width: int, num_tracks: int = 0,
    device: torch.device | str = "cpu", rendered: int | None = None,
) -> None:  # fmt: skip
    """Raise what `generate_scenes` would raise, before the work begins."""
    ranges = {
        "seed": (seed, 0, MOST_SEED), "num_scenes": (num_scenes, 1, FIRST_EVALUATION_SEED),
        "num_views": (num_views, 1, MOST_VIEWS), "height": (height, 1, MAX_SIDE),
        "width": (width, 1, MAX_SIDE), "num_tracks": (num_tracks, 0, MOST_TRACKS),
    }  # fmt: skip
    for name, (value, least, most) in ranges.items():
        if not least <= value <= most:
            raise ValueError(f"{name}={value} must be {least} to {most:,}.")
    rendered = num_views if rendered is None else rendered
    what = f"num_scenes={num_scenes} with {rendered} views of {height} × {width} pixels"
    check_memory(num_scenes * (SCENE_BYTES + BYTES * rendered * height * width), what, device)
