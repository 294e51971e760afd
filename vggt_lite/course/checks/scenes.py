"""How scenes are drawn and normalised: checks of the exercises, with the mistakes people make."""

import math

import torch
import torch.nn.functional as F

from vggt_lite.course.checks.check import Check, draw
from vggt_lite.course.checks.seeds import generator, shifted
from vggt_lite.geometry import compose, invert_rigid, transform_points
from vggt_lite.synthetic.generate import generate_scenes


def first_hit_of(origin, direction, center, radius: float):
    """Ray parameter t (R,) at which rays enter a ball; infinite where they miss it or it lies behind."""
    a = direction.square().sum(-1)
    b = (direction * (origin - center)).sum(-1)
    c = (origin - center).square().sum(-1) - radius**2
    inside = b**2 - a * c
    near = (-b - inside.clamp_min(0).sqrt()) / a
    return torch.where((inside >= 0) & (near > 0), near, math.inf)


def rays_case(across, origin: tuple, center: tuple, radius: float):
    """Rays (R, 3) with camera z = 1 that go `across` (R, 2), and a ball."""
    return torch.tensor(origin), F.pad(across, (0, 1), value=1.0), torch.tensor(center), radius


first_hit = Check(
    name="a ray meets a ball",
    reference=first_hit_of,
    cases=lambda: {
        "straight ahead, aslant and past it": rays_case(
            torch.tensor([[0.0, 0], [0.2, 0], [1, 0]]), (0.0, 0.0, 0.0), (0.0, 0.0, 4.0), 1.0
        ),
        "40 rays": rays_case(0.5 * draw(40, 2), (0.1, 0.2, -0.5), (0.3, -0.1, 3.0), 1.2),
        "the ball is behind": rays_case(0.2 * draw(5, 2), (0.0, 0.0, 0.0), (0.0, 0.0, -4.0), 1.0),
    },
    mutants={
        "you took the far side of the ball: the smaller root is where the ray enters": "-b - → -b +",
        "you took d · d for 1: these directions have camera z = 1, not length 1":
            "a = direction.square().sum(-1) → a = 1.0",
        "a ball behind the camera was seen: t must be positive": "& (near > 0) →",
        "you mixed two formulas: with b = d · (o − c) the root holds b² − a c, and all is divided by a":
            "a * c → 4 * a * c; / a → / (2 * a)",
        "you took the root of a negative number, and nobody asked whether the ball lies behind":
            ".clamp_min(0) →; torch.where((inside >= 0) & (near > 0), near, math.inf) → near",
        "the radius is not squared: |p − center|² = radius²": "radius**2 → radius",
        "you returned 0 where the ray misses: such a ray ends infinitely far away": "math.inf → 0.0",
        "you returned the distance along the ray: depth is t itself":
            "near, math.inf → near * direction.norm(dim=-1), math.inf",
    },
    hint="|origin + t·direction − center|² = radius² reads a t² + 2 b t + c = 0: find a, b and c.",
)  # fmt: skip


def normalized(cam_from_world, points, depth, valid):
    """Cameras (S, 3, 4), points (S, H, W, 3), depth (S, H, W): first camera's frame, mean distance 1."""
    moved = compose(cam_from_world, invert_rigid(cam_from_world[:1]))
    inside = transform_points(cam_from_world[0], points)
    unit = inside[valid].norm(dim=-1).mean()
    cameras = torch.cat([moved[..., :3], moved[..., 3:] / unit], dim=-1)
    return cameras, inside / unit, depth / unit


def scene_case(seed: int, views: int, holes: float):
    """A small room; the pixels of a share `holes` have no truth."""
    scene = generate_scenes(shifted(seed), 1, views, 6, 8)
    depth, points = scene.depth[0], scene.point_map[0]
    valid = torch.rand(depth.shape, generator=generator(seed)) >= holes
    depth[~valid], points[~valid] = 0.0, 100.0
    return scene.cam_from_world[0], points, depth, valid


def _hand_case():
    camera = torch.tensor([[[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 2]]])  # it stands at z = −2
    points = torch.tensor([[[[0.0, 0, 0], [0, 0, 1], [3, 0, 2]]]])
    return camera, points, torch.tensor([[[2.0, 3, 4]]]), torch.ones(1, 1, 3, dtype=torch.bool)


normalize = Check(
    name="normalisation",
    reference=normalized,
    cases=lambda: {
        "three points by hand": _hand_case(),
        "a room of three views, some pixels without truth": scene_case(0, 3, 0.3),
        "one view": scene_case(1, 1, 0.1),
    },
    mutants={
        "you averaged over all pixels: those without truth do not count": "inside[valid] → inside",
        "you measured from the world's origin: distances count from the first camera": "inside[ → points[",
        "you averaged depths: the unit is the mean distance |p| of the points":
            "inside[valid].norm(dim=-1) → depth[valid]",
        "you took the median distance: the unit is the mean": "mean() → median()",
        "you divided by the largest distance: the unit is the mean": "mean() → max()",
        "you averaged the points, then measured: measure each point's distance first":
            "norm(dim=-1).mean() → mean(0).norm()",
        "you found the unit but stayed in the old frame: move all into the first camera's":
            "compose(cam_from_world, invert_rigid(cam_from_world[:1])) → cam_from_world; "
            "inside / unit → points / unit",
        "you divided the whole matrix: a rotation has no length": "moved[..., :3], → moved[..., :3] / unit,",
        "you forgot the translations: cameras move in the same unit as points": "3:] / unit → 3:]",
        "you forgot the depths": "depth / unit → depth",
        "you inverted the others, not the first: cam_from_first = cam_from_world · world_from_first":
            "cam_from_world, invert_rigid(cam_from_world[:1]) "
            "→ cam_from_world[:1], invert_rigid(cam_from_world)",
        "you did not invert the first pose: what you need is world_from_first":
            "invert_rigid(cam_from_world[:1]) → cam_from_world[:1]",
        "you composed on the wrong side: cam_from_first = cam_from_world · world_from_first":
            "cam_from_world, invert_rigid(cam_from_world[:1]) "
            "→ invert_rigid(cam_from_world[:1]), cam_from_world",
    },
    atol=2e-3,  # the package divides by the count + 0.001, as the release does
    rtol=2e-3,
    hint="Move everything into the first camera's frame, find one number, divide three things by it.",
)  # fmt: skip
