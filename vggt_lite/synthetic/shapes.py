"""Where does a ray meet a shape, and which way does its surface face? For many rays and shapes at once.

Every shape is a stretched, turned and shifted copy of a *unit* shape:

    ellipsoid   x² + y² + z² ≤ 1              box         |x|, |y|, |z| ≤ 1
    cylinder    x² + y² ≤ 1  and  |z| ≤ 1     octahedron  |x| + |y| + |z| ≤ 1
    cone        x² + y² ≤ w²  and  |z| ≤ 1, where w = (1 − z) / 2 shrinks from 1 at the foot to 0 at the tip
    heightfield |x|, |y|, |z| ≤ 1  and  z ≤ h(x, y), a landscape of hills

So a ray is moved into the shape's unit space once (`to_unit_space`) and then cut with the unit shape. The
first five are convex: a ray is inside during one interval [near, far] of its parameter t, and the interval of
an intersection of sets is the intersection of their intervals. A ray that misses gets an empty interval,
near > far. No formula intersects the hills: where a ray enters them is searched for.

Rays are p(t) = origin + t · direction with the direction's camera z equal to 1: **t is the z-depth**.

Letters: V views (of all scenes in flight) · K shapes · R rays of one view. Rays lie last, so that the
inner loops of torch run over contiguous memory. Masks are avoided on (V, K, R) tensors: on a CPU
`where` costs ten times as much as a multiplication.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

SHAPES = ("ellipsoid", "box", "cylinder", "cone", "octahedron", "heightfield")
ELLIPSOID, BOX, CYLINDER, CONE, OCTAHEDRON, HEIGHTFIELD = range(6)
Vector = tuple[Tensor, Tensor, Tensor]  # x, y, z kept apart: each is contiguous along the rays

FAR_AWAY = 1e9  # depth of a miss, scene units
NEAREST = 1e-4  # intersections closer than this are the surface the ray started on

# The heightfield's hills: three sine waves
FREQUENCIES = ((4.0, 1.5), (-2.0, 3.5), (7.0, 5.0))  # radians per unit of x and y, for each wave
AMPLITUDES = (0.4, 0.3, 0.15)
STEPS = 24  # along the way through its box; thinner crests than 1/24 of it may be missed
BISECTIONS = 14


def to_unit_space(
    origin: Vector, direction: Vector, center: Vector, turn: tuple[Tensor, Tensor], half: Vector
) -> tuple[Vector, Vector]:
    """Express rays in the frame where a shape is its unit shape.

    Args:
        origin: Three (V, 1, 1) or (V, 1, R); world.
        direction: Three (V, 1, R); world.
        center: Three (V, K, 1); world.
        turn: Two (V, K, 1), cos and sin of the angle about the vertical axis.
        half: Three (V, K, 1) half sizes along the shape's own axes, scene units.

    Returns:
        origin and direction, three (V, K, 1 or R) each. t keeps its meaning: the map is affine.
    """
    cos, sin = turn
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


def intersect(*intervals: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Intersect intervals: the latest entry and the earliest exit."""
    near, far = intervals[0]
    for other_near, other_far in intervals[1:]:
        near, far = torch.maximum(near, other_near), torch.minimum(far, other_far)
    return near, far


def box_interval(origin: Vector, direction: Vector) -> tuple[Tensor, Tensor]:
    return intersect(*(slab_interval(o, d) for o, d in zip(origin, direction, strict=True)))


def cylinder_interval(origin: Vector, direction: Vector) -> tuple[Tensor, Tensor]:
    return intersect(ball_interval(origin[:2], direction[:2]), slab_interval(origin[2], direction[2]))


def octahedron_interval(origin: Vector, direction: Vector) -> tuple[Tensor, Tensor]:
    """Four pairs of parallel faces: |±x ± y + z| ≤ 1."""
    signs = ((1, 1), (1, -1), (-1, 1), (-1, -1))
    along = [tuple(a * v[0] + b * v[1] + v[2] for v in (origin, direction)) for a, b in signs]
    return intersect(*(slab_interval(o, d) for o, d in along))


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
    return intersect((near + shift, far + shift), slab_interval(origin[2], direction[2]))


INTERVALS = (ball_interval, box_interval, cylinder_interval, cone_interval, octahedron_interval)


def entry_depth(near: Tensor, far: Tensor) -> Tensor:
    """The t at which a ray enters; at least `FAR_AWAY` if it misses or the shape is behind it."""
    missed = (near - far).clamp_min(0) * (FAR_AWAY * 1e6)
    return F.threshold(near, NEAREST, FAR_AWAY) + missed


def nearest(depths: Tensor) -> tuple[Tensor, Tensor]:
    """Along K: the smallest depth and its index, as `depths.min(dim=1)` but 20 times faster on a CPU.

    Positive floats sort like the integers with the same bits. So the index is written over the six
    lowest bits, and one integer minimum finds depth and index together; the exact depth is then
    looked up. Of depths that agree to 2⁻¹⁷ either may be taken.

    Args:
        depths: (V, K, R), positive, K ≤ 64.

    Returns:
        depth (V, R) and index (V, R) int64.
    """
    slots = torch.arange(depths.shape[1], dtype=torch.int32, device=depths.device)[:, None]
    tagged = (depths.view(torch.int32) & ~63) | slots
    index = (tagged.amin(dim=1) & 63).long()
    return depths.gather(1, index[:, None])[:, 0], index


def unit_normal(point: Vector, half: Vector, kind: Tensor, counts: tuple[int, ...], waves: Tensor) -> Vector:
    """Outward normals of the shapes at points on their surfaces, in each shape's own axes.

    Args:
        point: Three (V, R), in unit space.
        half: Three (V, R) half sizes.
        kind: (V, R) numbers of `SHAPES`.
        counts: How many of each of `SHAPES` there are; of the heightfield at most one.
        waves: (V, 3) phases of its hills.

    Returns:
        Three (V, R) of length 1.
    """
    normal = ellipsoid_normal(point, half)
    for number, normal_of in enumerate(NORMALS):
        if counts[number] or number == BOX:  # the room's faces are those of a box
            normal = choose(kind == number, normal_of(point, half), normal)
    if counts[HEIGHTFIELD]:
        normal = choose(kind == HEIGHTFIELD, heightfield_normal(point, half, waves[:, None]), normal)
    return normalize(normal)


# Normals of any length: the gradient of the unit shape's norm, divided by the half sizes.


def ellipsoid_normal(point: Vector, half: Vector) -> Vector:
    x, y, z = point
    return x / half[0], y / half[1], z / half[2]


def box_normal(point: Vector, half: Vector) -> Vector:
    x, y, z = point
    on_lid = z.abs() >= torch.maximum(x.abs(), y.abs())
    on_x = ~on_lid & (x.abs() >= y.abs())
    return x / half[0] * on_x, y / half[1] * ~(on_lid | on_x), z / half[2] * on_lid


def cylinder_normal(point: Vector, half: Vector) -> Vector:
    x, y, z = point
    on_lid = z.abs() >= (x * x + y * y).sqrt()
    return x / half[0] * ~on_lid, y / half[1] * ~on_lid, z / half[2] * on_lid


def cone_normal(point: Vector, half: Vector) -> Vector:
    x, y, z = point
    across = (x * x + y * y).sqrt()
    on_foot = (z < -0.999) & (across < 0.999)
    foot = (torch.zeros_like(x), torch.zeros_like(x), -torch.ones_like(x))
    return choose(on_foot, foot, (x / half[0], y / half[1], across / 2 / half[2]))


def octahedron_normal(point: Vector, half: Vector) -> Vector:
    x, y, z = point
    return x.sign() / half[0], y.sign() / half[1], z.sign() / half[2]


NORMALS = (ellipsoid_normal, box_normal, cylinder_normal, cone_normal, octahedron_normal)


def heightfield_normal(point: Vector, half: Vector, waves: Tensor) -> Vector:
    """On the hills −∂h/∂x, −∂h/∂y, 1; on the sides of the block those of a box. waves: (V, 1, 3)."""
    x, y, z = point
    dx, dy = torch.zeros_like(x), torch.zeros_like(x)
    for a, (fx, fy), phase in zip(AMPLITUDES, FREQUENCIES, waves.unbind(-1), strict=True):
        swing = a * torch.cos(fx * x + fy * y + phase)
        dx, dy = dx + fx * swing, dy + fy * swing
    on_hills = (x.abs() < 0.9999) & (y.abs() < 0.9999) & (z > -0.9999)
    return choose(on_hills, (-dx / half[0], -dy / half[1], 1 / half[2]), box_normal(point, half))


def hill_height(x: Tensor, y: Tensor, waves: Tensor) -> Tensor:
    """h(x, y) of a heightfield in [-0.85, 0.85], with the phases `waves` (…, 3) of its sine waves."""
    terms = zip(AMPLITUDES, FREQUENCIES, waves.unbind(-1), strict=True)
    return sum(a * torch.sin(fx * x + fy * y + phase) for a, (fx, fy), phase in terms)


def heightfield_depth(origin: Vector, direction: Vector, waves: Tensor) -> Tensor:
    """Depth at which rays meet a heightfield.

    A ray is followed through the box in equal steps until it is below the hills; bisection then finds where
    it went under. Only the few rays that cross the box take part.

    Args:
        origin: Three (V, 1 or R), unit space; outside the box. direction: three (V, R).
        waves: (V, 3).

    Returns:
        (V, R); `FAR_AWAY` where the ray misses.
    """
    near, far = box_interval(origin, direction)
    view, ray = ((near < far) & (near > NEAREST)).nonzero(as_tuple=True)  # the n rays through the box
    o = [x.expand_as(near)[view, ray][:, None] for x in origin]
    d = [x[view, ray][:, None] for x in direction]
    near, far, waves = near[view, ray][:, None], far[view, ray][:, None], waves[view][:, None]

    def above(t: Tensor) -> Tensor:
        """How far above the hills the rays are at depth t (n, any number)."""
        x, y, z = (a + t * b for a, b in zip(o, d, strict=True))
        return z - hill_height(x, y, waves)

    t = near + (far - near) * torch.linspace(0, 1, STEPS + 1, device=near.device)  # (n, STEPS + 1)
    under = above(t) <= 0
    first = under.int().argmax(dim=1, keepdim=True)  # 0 also when the ray stays above
    low, high = t.gather(1, (first - 1).clamp_min(0)), t.gather(1, first)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        deep = above(middle) <= 0
        low, high = torch.where(deep, low, middle), torch.where(deep, middle, high)

    depth = torch.full_like(direction[0], FAR_AWAY)
    depth[view, ray] = torch.where(under.any(dim=1), high[:, 0], FAR_AWAY)
    return depth


def choose(where: Tensor, new: Vector, old: Vector) -> Vector:
    return tuple(torch.where(where, a, b) for a, b in zip(new, old, strict=True))


def normalize(vector: Vector) -> Vector:
    """The vectors at length 1; `F.normalize` is slow along any axis but the last."""
    scale = sum(x * x for x in vector).clamp_min(1e-20).rsqrt()
    return tuple(x * scale for x in vector)
