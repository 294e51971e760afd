"""Where does a ray meet a shape? Analytic answers for many rays and shapes at once.

Every shape is a stretched, turned and shifted copy of a *unit* shape: the set of points whose norm is
at most 1. Only the norm differs.

    ellipsoid   x² + y² + z² ≤ 1              box         |x|, |y|, |z| ≤ 1
    cylinder    x² + y² ≤ 1  and  |z| ≤ 1     octahedron  |x| + |y| + |z| ≤ 1
    cone        x² + y² ≤ w²  and  |z| ≤ 1, where w = (1 − z) / 2 shrinks from 1 at the foot to 0 at the tip

So a ray is moved into the shape's unit space once (`to_unit_space`) and then cut with the unit shape.
All are convex: a ray is inside during one interval [near, far] of its parameter t, and the
interval of an intersection of sets is the intersection of their intervals. A ray that misses gets an
empty interval, near > far.

Rays are p(t) = origin + t · direction with the direction's camera z equal to 1: **t is the z-depth**.

Letters: V views (of all scenes in flight) · K shapes · R rays of one view. Rays lie last, so that the
inner loops of torch run over contiguous memory. Masks are avoided on (V, K, R) tensors: on a CPU
`where` costs ten times as much as a multiplication.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

Vector = tuple[Tensor, Tensor, Tensor]  # x, y, z kept apart: each is contiguous along the rays

FAR_AWAY = 1e9  # depth of a miss, scene units
NEAREST = 1e-4  # intersections closer than this are the surface the ray started on


def to_unit_space(
    origin: Vector, direction: Vector, center: Vector, yaw: Tensor, half: Vector
) -> tuple[Vector, Vector]:
    """Express rays in the frame where a shape is its unit shape.

    Args:
        origin: Three (V, 1, 1) or (V, 1, R); world.
        direction: Three (V, 1, R); world.
        center: Three (V, K, 1); world.
        yaw: (V, K, 1) turn about the vertical axis, radians.
        half: Three (V, K, 1) half sizes along the shape's own axes, scene units.

    Returns:
        origin and direction, three (V, K, 1 or R) each. t keeps its meaning: the map is affine.
    """
    cos, sin = yaw.cos(), yaw.sin()
    xx, xy, yx, yy, zz = cos / half[0], sin / half[0], -sin / half[1], cos / half[1], 1 / half[2]
    x, y, z = (origin[i] - center[i] for i in range(3))
    unit_origin = (xx * x + xy * y, yx * x + yy * y, zz * z)
    x, y, z = direction
    unit_direction = (xx * x + xy * y, yx * x + yy * y, zz * z)
    return unit_origin, unit_direction


def slab_interval(origin: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """The interval of t in which one coordinate stays within [-1, 1]."""
    inverse = (1 / direction).clamp(-FAR_AWAY, FAR_AWAY)  # a ray along the slab: huge, but not inf
    middle = -origin * inverse
    half = inverse.abs()
    return middle - half, middle + half


def ball_interval(origin: tuple[Tensor, ...], direction: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """The interval of t in which the ray is inside the unit ball (3 coordinates) or disc (2).

    Goes through the chord's middle rather than the quadratic formula: that one subtracts two large
    numbers when the camera is far away, and float32 loses the digits that matter at the rim.
    """
    speed = sum(d * d for d in direction).clamp_min(1e-12)
    middle = sum(o * d for o, d in zip(origin, direction, strict=True)) / -speed
    gap = 1 - sum((o + middle * d).square() for o, d in zip(origin, direction, strict=True))
    half = (gap.clamp_min(0) / speed).sqrt()
    return middle - half, middle + half + gap.clamp_max(0) * FAR_AWAY


def meet(*intervals: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Intersect intervals: the latest entry and the earliest exit."""
    near, far = intervals[0]
    for other_near, other_far in intervals[1:]:
        near, far = torch.maximum(near, other_near), torch.minimum(far, other_far)
    return near, far


def ellipsoid_interval(origin: Vector, direction: Vector) -> tuple[Tensor, Tensor]:
    return ball_interval(origin, direction)


def box_interval(origin: Vector, direction: Vector) -> tuple[Tensor, Tensor]:
    return meet(*(slab_interval(o, d) for o, d in zip(origin, direction, strict=True)))


def cylinder_interval(origin: Vector, direction: Vector) -> tuple[Tensor, Tensor]:
    return meet(ball_interval(origin[:2], direction[:2]), slab_interval(origin[2], direction[2]))


def octahedron_interval(origin: Vector, direction: Vector) -> tuple[Tensor, Tensor]:
    """Four pairs of parallel faces: |±x ± y + z| ≤ 1."""
    signs = ((1, 1), (1, -1), (-1, 1), (-1, -1))
    along = [tuple(a * v[0] + b * v[1] + v[2] for v in (origin, direction)) for a, b in signs]
    return meet(*(slab_interval(o, d) for o, d in along))


def cone_interval(origin: Vector, direction: Vector) -> tuple[Tensor, Tensor]:
    """Inside where q(t) = x² + y² − w² ≤ 0, on the side of the tip where w ≥ 0.

    As for the ball, t is first counted from the point nearest to the axis point at hand, which keeps digits.
    """
    shift = sum(o * d for o, d in zip(origin, direction, strict=True))
    shift = -shift / sum(d * d for d in direction).clamp_min(1e-12)
    x, y, z = (o + shift * d for o, d in zip(origin, direction, strict=True))
    w, dw = (1 - z) / 2, -direction[2] / 2
    a = direction[0].square() + direction[1].square() - dw.square()
    b = x * direction[0] + y * direction[1] - w * dw
    gap = b.square() - a * (x.square() + y.square() - w.square())  # < 0: the ray misses
    a = torch.where(a.abs() < 1e-9, 1e-9, a)
    root = gap.clamp_min(0).sqrt()
    low, high = (-b - root * a.sign()) / a, (-b + root * a.sign()) / a  # low ≤ high
    # A ray steeper than the cone's side (a < 0) is inside below `low` and above `high`, once in each of
    # the two cones that share the tip; ours is the one in which w grows away from it.
    steep, down = a < 0, dw > 0
    near = torch.where(steep, torch.where(down, high, -FAR_AWAY), low)
    far = torch.where(steep, torch.where(down, FAR_AWAY, low), high + gap.clamp_max(0) * FAR_AWAY)
    return meet((near + shift, far + shift), slab_interval(origin[2], direction[2]))


def entry_depth(near: Tensor, far: Tensor) -> Tensor:
    """The t at which a ray enters; at least `FAR_AWAY` if it misses or the shape is behind it."""
    missed = (near - far).clamp_min(0) * (FAR_AWAY * 1e6)
    return F.threshold(near, NEAREST, FAR_AWAY) + missed


def nearest(depths: Tensor) -> tuple[Tensor, Tensor]:
    """Along K: the smallest depth and its index, as `depths.min(dim=1)` but 20 times faster on a CPU.

    Positive floats sort like the integers with the same bits. So the index is written over the six
    lowest bits, and one integer minimum finds depth and index together; the exact depth is then
    looked up. Depths that agree to 2⁻¹⁷ may swap, which is the thickness of a hair.

    Args:
        depths: (V, K, R), positive, K ≤ 64.

    Returns:
        depth (V, R) and index (V, R) int64.
    """
    slots = torch.arange(depths.shape[1], dtype=torch.int32, device=depths.device)[:, None]
    tagged = (depths.view(torch.int32) & ~63) | slots
    index = (tagged.amin(dim=1) & 63).long()
    return depths.gather(1, index[:, None])[:, 0], index


def unit_normal(point: Vector, half: Vector, kind: Tensor) -> Vector:
    """Outward normals of the shapes at points on their surfaces, in each shape's own axes.

    Args:
        point: Three (V, R), in unit space.
        half: Three (V, R) half sizes.
        kind: (V, R) 0 ellipsoid, 1 box, 2 cylinder; anything else is taken for a box (`slanted_normal`
            replaces that of cones and octahedra).

    Returns:
        Three (V, R) of length 1.
    """
    x, y, z = point
    is_ellipsoid = kind == 0
    is_round = is_ellipsoid | (kind == 2)
    across = torch.where(is_round, (x * x + y * y).sqrt(), torch.maximum(x.abs(), y.abs()))
    on_lid = (z.abs() >= across) & ~is_ellipsoid  # top or bottom of a box or cylinder
    use_x = ~on_lid & (is_round | (x.abs() >= y.abs()))
    use_y = ~on_lid & (is_round | (x.abs() < y.abs()))
    use_z = on_lid | is_ellipsoid
    # The gradient of the norm: for round shapes x / half, for flat faces only the sign matters.
    return normalize((x / half[0] * use_x, y / half[1] * use_y, z / half[2] * use_z))


def slanted_normal(normal: Vector, point: Vector, half: Vector, kind: Tensor) -> Vector:
    """The same for cones (kind 3) and octahedra (kind 4); other shapes keep the `normal` they have."""
    x, y, z = point
    side = normalize((x.sign() / half[0], y.sign() / half[1], z.sign() / half[2]))
    across = (x * x + y * y).sqrt()
    on_foot = (z < -0.999) & (across < 0.999)
    slope = normalize((x / half[0], y / half[1], across / 2 / half[2]))
    foot = (torch.zeros_like(x), torch.zeros_like(x), -torch.ones_like(x))
    return tuple(
        torch.where(kind == 4, s, torch.where(kind == 3, torch.where(on_foot, f, c), n))
        for n, s, c, f in zip(normal, side, slope, foot, strict=True)
    )


def normalize(vector: Vector) -> Vector:
    """The vectors at length 1; `F.normalize` is slow along any axis but the last."""
    scale = sum(x * x for x in vector).clamp_min(1e-20).rsqrt()
    return tuple(x * scale for x in vector)
