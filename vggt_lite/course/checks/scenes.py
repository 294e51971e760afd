"""How scenes are drawn and normalised: checks of the exercises, with the mistakes people make."""

import math

import torch

from vggt_lite.course.checks.check import Check
from vggt_lite.data.normalize import normalize_geometry
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


def _far_root(origin, direction, center, radius):
    a, b = direction.square().sum(-1), (direction * (origin - center)).sum(-1)
    inside = b**2 - a * ((origin - center).square().sum(-1) - radius**2)
    far = (-b + inside.clamp_min(0).sqrt()) / a
    return torch.where((inside >= 0) & (far > 0), far, math.inf)


def _unit_length_assumed(origin, direction, center, radius):
    b = (direction * (origin - center)).sum(-1)
    inside = b**2 - ((origin - center).square().sum(-1) - radius**2)
    near = -b - inside.clamp_min(0).sqrt()
    return torch.where((inside >= 0) & (near > 0), near, math.inf)


def _behind_counts(origin, direction, center, radius):
    a, b = direction.square().sum(-1), (direction * (origin - center)).sum(-1)
    inside = b**2 - a * ((origin - center).square().sum(-1) - radius**2)
    return torch.where(inside >= 0, (-b - inside.clamp_min(0).sqrt()) / a, math.inf)


def _missed_is_zero(origin, direction, center, radius):
    return first_hit_of(origin, direction, center, radius).nan_to_num(posinf=0.0)


def _two_formulas(origin, direction, center, radius):
    a, b = direction.square().sum(-1), (direction * (origin - center)).sum(-1)
    inside = b**2 - 4 * a * ((origin - center).square().sum(-1) - radius**2)
    near = (-b - inside.clamp_min(0).sqrt()) / (2 * a)
    return torch.where((inside >= 0) & (near > 0), near, math.inf)


def _no_number(origin, direction, center, radius):
    a, b = direction.square().sum(-1), (direction * (origin - center)).sum(-1)
    return (-b - (b**2 - a * ((origin - center).square().sum(-1) - radius**2)).sqrt()) / a


def rays(count: int, seed: int):
    generator = torch.Generator().manual_seed(seed)
    across = 1.6 * torch.rand(count, 2, generator=generator) - 0.8
    return torch.cat([across, torch.ones(count, 1)], dim=-1)


first_hit = Check(
    name="a ray meets a ball",
    reference=first_hit_of,
    cases=lambda: [
        (
            "straight ahead, aslant and past it",
            (
                torch.zeros(3),
                torch.tensor([[0.0, 0, 1], [0.2, 0, 1], [1, 0, 1]]),
                torch.tensor([0.0, 0, 4]),
                1.0,
            ),
        ),
        ("40 rays", (torch.tensor([0.1, 0.2, -0.5]), rays(40, 0), torch.tensor([0.3, -0.1, 3.0]), 1.2)),
        ("the ball is behind", (torch.zeros(3), rays(5, 1), torch.tensor([0.0, 0.0, -4.0]), 1.0)),
    ],
    mutants={
        "you took the far side of the ball: the smaller root is where the ray enters": _far_root,
        "you took d · d for 1: these directions have camera z = 1, not length 1": _unit_length_assumed,
        "a ball behind the camera was seen: t must be positive": _behind_counts,
        "you mixed two formulas: with b = d · (o − c) the root holds b² − a c, and all is divided by a": (
            _two_formulas
        ),
        "you took the root of a negative number, and nobody asked whether the ball lies behind": _no_number,
        "you returned 0 where the ray misses: such a ray ends infinitely far away": _missed_is_zero,
        "you returned the distance along the ray: depth is t itself": lambda o, d, c, r: (
            first_hit_of(o, d, c, r) * d.norm(dim=-1)
        ),
    },
    hint="|origin + t·direction − center|² = radius² reads a t² + 2 b t + c = 0: find a, b and c.",
)


def normalized(cam_from_world, points, depth, valid):
    """Cameras (S, 3, 4), points (S, H, W, 3), depth (S, H, W) of a scene in its first camera's frame."""
    found = normalize_geometry(*(x[None] for x in (cam_from_world, points, depth, valid)))
    return tuple(x[0] for x in found[:3])


def _normalized_by(cam_from_world, points, depth, distance, *, cameras=True, depths=True):
    """As `normalized`, with another unit, or one that is not applied everywhere."""
    scale = distance
    moved = compose(cam_from_world, invert_rigid(cam_from_world[:1]))
    inside = transform_points(cam_from_world[0], points)
    if cameras:
        moved = torch.cat([moved[..., :3], moved[..., 3:] / scale], dim=-1)
    return moved, inside / scale, depth / scale if depths else depth


def _scale_of(cam_from_world, points, valid):
    return transform_points(cam_from_world[0], points)[valid].norm(dim=-1).mean()


def _all_pixels(cam_from_world, points, depth, valid):
    scale = _scale_of(cam_from_world, points, torch.ones_like(valid))
    return _normalized_by(cam_from_world, points, depth, scale)


def _unit_by(statistic):
    """The unit is another statistic of the valid points' distances than their mean."""

    def wrong(cam_from_world, points, depth, valid):
        inside = transform_points(cam_from_world[0], points)[valid]  # (N, 3)
        return _normalized_by(cam_from_world, points, depth, statistic(inside))

    return wrong


def _not_moved(cam_from_world, points, depth, valid):
    scale = _scale_of(cam_from_world, points, valid)
    cameras = torch.cat([cam_from_world[..., :3], cam_from_world[..., 3:] / scale], dim=-1)
    return cameras, points / scale, depth / scale


def _all_of_the_matrix(cam_from_world, points, depth, valid):
    scale = _scale_of(cam_from_world, points, valid)
    cameras, points, depth = _normalized_by(cam_from_world, points, depth, scale)
    return torch.cat([cameras[..., :3] / scale, cameras[..., 3:]], dim=-1), points, depth


def _from_the_origin(cam_from_world, points, depth, valid):
    return _normalized_by(cam_from_world, points, depth, points[valid].norm(dim=-1).mean())


def _mean_depth(cam_from_world, points, depth, valid):
    return _normalized_by(cam_from_world, points, depth, depth[valid].mean())


def _cameras_forgotten(cam_from_world, points, depth, valid):
    scale = _scale_of(cam_from_world, points, valid)
    return _normalized_by(cam_from_world, points, depth, scale, cameras=False)


def _depth_forgotten(cam_from_world, points, depth, valid):
    scale = _scale_of(cam_from_world, points, valid)
    return _normalized_by(cam_from_world, points, depth, scale, depths=False)


def _wrong_side(cam_from_world, points, depth, valid):
    cameras, points, depth = normalized(cam_from_world, points, depth, valid)
    scale = _scale_of(cam_from_world, points, valid)
    other = compose(invert_rigid(cam_from_world[:1]), cam_from_world)
    return torch.cat([other[..., :3], other[..., 3:] / scale], dim=-1), points, depth


def scene_case(seed: int, views: int, holes: float):
    """A small room; the pixels of a share `holes` have no truth."""
    scene = generate_scenes(seed, 1, views, 6, 8)
    valid = torch.rand(scene.valid.shape, generator=torch.Generator().manual_seed(seed)) >= holes
    depth, points = scene.depth.clone(), scene.point_map.clone()
    depth[~valid], points[~valid] = 0.0, 100.0
    return scene.cam_from_world[0], points[0], depth[0], valid[0]


def _hand_case():
    camera = torch.tensor([[[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 2]]])  # it stands at z = −2
    points = torch.tensor([[[[0.0, 0, 0], [0, 0, 1], [3, 0, 2]]]])
    return camera, points, torch.tensor([[[2.0, 3, 4]]]), torch.ones(1, 1, 3, dtype=torch.bool)


normalize = Check(
    name="normalisation",
    reference=normalized,
    cases=lambda: [
        ("three points by hand", _hand_case()),
        ("a room of three views, some pixels without truth", scene_case(0, 3, 0.3)),
        ("one view", scene_case(1, 1, 0.1)),
    ],
    mutants={
        "you averaged over all pixels: those without truth do not count": _all_pixels,
        "you measured from the world's origin: distances count from the first camera": _from_the_origin,
        "you averaged depths: the unit is the mean distance |p| of the points": _mean_depth,
        "you took the median distance: the unit is the mean": _unit_by(lambda p: p.norm(dim=-1).median()),
        "you divided by the largest distance: the unit is the mean": _unit_by(lambda p: p.norm(dim=-1).max()),
        "you averaged the points, then measured: measure each point's distance first": _unit_by(
            lambda p: p.mean(0).norm()
        ),
        "you found the unit but stayed in the old frame: move all into the first camera's": _not_moved,
        "you divided the whole matrix: a rotation has no length": _all_of_the_matrix,
        "you forgot the translations: cameras move in the same unit as points": _cameras_forgotten,
        "you forgot the depths": _depth_forgotten,
        "you composed on the wrong side: cam_from_first = cam_from_world · world_from_first": _wrong_side,
    },
    atol=2e-3,  # the package divides by the count + 0.001, as the release does
    rtol=2e-3,
    hint="Move everything into the first camera's frame, find one number, divide three things by it.",
)
