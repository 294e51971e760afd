"""A heightfield: a block of hills that no formula intersects, so its surface is searched for.

In its unit space the relief fills |x|, |y|, |z| ≤ 1 below the height h(x, y). A ray is followed through
that box in equal steps until it is below the hills; bisection then finds where it went under. Only the
few rays that cross the box take part.
"""

import torch
from torch import Tensor

from vggt_lite.synthetic import shapes
from vggt_lite.synthetic.shapes import FAR_AWAY, NEAREST, Vector

STEPS = 24  # along the way through the box; thinner crests than 1/24 of it may be missed
BISECTIONS = 14
FREQUENCIES = ((4.0, 1.5), (-2.0, 3.5), (7.0, 5.0))  # radians per unit of x and y, for each wave
AMPLITUDES = (0.4, 0.3, 0.15)


def height(x: Tensor, y: Tensor, waves: Tensor) -> Tensor:
    """Height of the hills in [-0.85, 0.85]: three sine waves with phases `waves` (…, 3)."""
    terms = zip(AMPLITUDES, FREQUENCIES, waves.unbind(-1), strict=True)
    return sum(a * torch.sin(fx * x + fy * y + phase) for a, (fx, fy), phase in terms)


def slope(x: Tensor, y: Tensor, waves: Tensor) -> tuple[Tensor, Tensor]:
    """∂h/∂x and ∂h/∂y."""
    dx, dy = torch.zeros_like(x), torch.zeros_like(x)
    for a, (fx, fy), phase in zip(AMPLITUDES, FREQUENCIES, waves.unbind(-1), strict=True):
        swing = a * torch.cos(fx * x + fy * y + phase)
        dx, dy = dx + fx * swing, dy + fy * swing
    return dx, dy


def entry_depth(origin: Vector, direction: Vector, waves: Tensor) -> Tensor:
    """Depth at which rays meet the relief.

    Args:
        origin: Three (V, 1 or R), unit space; outside the box. direction: three (V, R).
        waves: (V, 3).

    Returns:
        (V, R); `FAR_AWAY` where the ray misses.
    """
    near, far = shapes.box_interval(origin, direction)
    view, ray = ((near < far) & (near > NEAREST)).nonzero(as_tuple=True)  # the n rays through the box
    o = [x.expand_as(near)[view, ray][:, None] for x in origin]
    d = [x[view, ray][:, None] for x in direction]
    near, far, waves = near[view, ray][:, None], far[view, ray][:, None], waves[view][:, None]

    def above(t: Tensor) -> Tensor:
        """How far above the hills the rays are at depth t (n, any number)."""
        x, y, z = (a + t * b for a, b in zip(o, d, strict=True))
        return z - height(x, y, waves)

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


def replace_normal(normal: Vector, unit: Vector, half: Vector, is_relief: Tensor, waves: Tensor) -> Vector:
    """Where a point lies on the hills (not on the block's sides), take their normal instead.

    Args:
        normal, unit, half: Three (V, R) each, in the shape's own axes: the normals so far, the points in
            unit space, the half sizes. is_relief: (V, R) bool. waves: (V, 3).
    """
    x, y, z = unit
    hills = is_relief & (x.abs() < 0.9999) & (y.abs() < 0.9999) & (z > -0.9999)
    dx, dy = slope(x, y, waves[:, None])
    upward = shapes.normalize((-dx / half[0], -dy / half[1], 1 / half[2]))
    return tuple(torch.where(hills, new, old) for new, old in zip(upward, normal, strict=True))
