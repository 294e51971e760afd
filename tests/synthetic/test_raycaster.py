"""Rays against shapes, on scenes small enough to know the answer by hand."""

import math

import pytest
import torch

from vggt_lite.synthetic import shapes
from vggt_lite.synthetic.layout import Layout
from vggt_lite.synthetic.materials import COLUMNS
from vggt_lite.synthetic.raycaster import World, along, cast
from vggt_lite.synthetic.render import normal_and_albedo, raycast_tracks, shade
from vggt_lite.synthetic.shapes import BOX, ELLIPSOID, SHAPES

DOWN = -50.0  # where shapes are parked that a test does not need


def room_with(views: int = 1, **placed) -> World:
    """Views of a 6 × 6 × 3 m room; each kind holds a shape at `center`, half size `half`, turned `yaw`."""
    used = [k for k in SHAPES if k in placed or k in ("ellipsoid", "box", "cylinder")]
    rows = [{"center": (0, 0, DOWN), "half": (1, 1, 1), "yaw": 0.0} | placed.get(k, {}) for k in used]
    column = {key: torch.tensor([row[key] for row in rows], dtype=torch.float32) for key in rows[0]}
    layout = Layout(
        center=column["center"].expand(1, views, -1, -1),
        yaw=column["yaw"][None],
        half=column["half"][None],
        kind=torch.tensor([SHAPES.index(k) for k in used]),
        role=["object"] * len(used),
        room=torch.tensor([[3.0, 3.0, 3.0]]),
        light=torch.tensor([[0.0, 0.0, 2.9]]),
        waves=torch.zeros(1, 3),
        stage=None,
        place=torch.zeros(1, dtype=torch.long),
    )
    materials = torch.full((1, len(used) + 6, COLUMNS), 0.5)
    materials[..., -1] = 0  # pattern
    return World.from_layout(layout, materials)


def ray(start, direction):
    """One ray of one view, as `cast` wants it."""
    return tuple(torch.tensor([[[float(x)]] for x in v]).unbind(0) for v in (start, direction))


def met(world, start, direction):
    depth, surface = cast(world, *ray(start, direction))
    return depth.item(), surface.item()


@pytest.mark.parametrize(
    "name, half, start, direction, depth",
    [
        ("ellipsoid", (0.5, 0.4, 0.3), (-2, 0, 1), (1, 0, 0), 1.5),
        ("ellipsoid", (0.5, 0.4, 0.3), (0, 0, 2.5), (0, 0, -1), 1.2),
        ("box", (0.5, 0.4, 0.3), (0.1, -2, 1), (0, 1, 0), 1.6),
        ("box", (0.5, 0.4, 0.3), (-2, -2, 1), (1, 1, 0), 1.6),  # past x = -0.5 it is still outside y = -0.4
        ("cylinder", (0.5, 0.5, 0.3), (-2, 0.3, 1.1), (1, 0, 0), 1.6),
        ("cylinder", (0.5, 0.5, 0.3), (0.2, 0, 2.5), (0, 0, -1), 1.2),  # straight on to the lid
        ("cone", (0.4, 0.4, 0.5), (-2, 0, 1), (1, 0, 0), 1.8),  # half-way up it is half as wide
        ("cone", (0.4, 0.4, 0.5), (0.2, 0, 2.5), (0, 0, -1), 1.5),  # steeper than its side
        ("cone", (0.4, 0.4, 0.5), (0.2, 0, 0.1), (0, 0, 1), 0.4),  # from below: the foot
        ("cone", (0.4, 0.4, 0.5), (-1.5, 0, 1.5), (1, 0, -0.5), 1.25),  # sideways and down, on to the side
        ("octahedron", (0.5, 0.4, 0.3), (-2, 0, 1), (1, 0, 0), 1.5),  # at its corner
        ("octahedron", (0.5, 0.4, 0.3), (0.25, 0, 2.5), (0, 0, -1), 1.35),  # on a face
        ("octahedron", (0.5, 0.4, 0.3), (-2, 0.2, 1), (1, 0, 0), 1.75),
    ],
)
def test_each_shape_is_met_where_geometry_says(name, half, start, direction, depth):
    world = room_with(**{name: {"center": (0, 0, 1), "half": half}})
    got, surface = met(world, start, direction)
    assert got == pytest.approx(depth, abs=1e-5)
    assert surface == ["ellipsoid", "box", "cylinder", name].index(name)


@pytest.mark.parametrize(
    "name, start, direction",
    [
        ("cone", (-2, 0.3, 1), (1, 0, 0)),  # beside it at half its height, though within its foot's width
        ("cone", (-2, 0, 1.6), (1, 0, 0)),  # above the tip, where the other half of a double cone would be
        ("cone", (0.3, 0, 2.9), (0.001, 0, 1)),  # it lies behind the ray
        ("octahedron", (-2, 0.3, 1.2), (1, 0, 0)),  # past the edge, though inside the box around it
    ],
)
def test_what_is_slanted_is_missed_outside_its_slope(name, start, direction):
    world = room_with(**{name: {"center": (0, 0, 1), "half": (0.4, 0.4, 0.5)}})
    assert met(world, start, direction)[1] > 3


@pytest.mark.parametrize("name", ["cone", "octahedron"])
def test_slanted_normals_are_those_of_the_surface(name):
    """Moved a little along the surface, three neighbouring hits span a plane: its normal is the one told."""
    world = room_with(**{name: {"center": (0.1, -0.05, 1), "half": (0.4, 0.35, 0.5), "yaw": 0.4}})
    starts = torch.tensor([[-2.0, 0.05, 1.1], [-2.0, 0.0495, 1.1], [-2.0, 0.05, 1.1005]])
    origin = tuple(x[None] for x in starts.T)
    direction = tuple(torch.full((1, 3), x) for x in (1.0, 0.01, 0.02))
    depth, surface = cast(world, origin, direction)
    assert (surface == 3).all()
    point = along(origin, direction, depth)
    spots = torch.stack(point, -1)[0]
    expected = torch.linalg.cross(spots[1] - spots[0], spots[2] - spots[0])
    expected = -expected / expected.norm() * torch.sign(expected[0])  # towards the camera in the west
    normal, _ = normal_and_albedo(world, surface, point, torch.full_like(depth, 0.01))
    torch.testing.assert_close(torch.stack(normal, -1)[0, 0], expected, atol=0.02, rtol=0)


def test_a_turned_box_is_met_at_its_corner():
    world = room_with(box={"center": (0, 0, 1), "half": (0.5, 0.5, 0.5), "yaw": math.pi / 4})
    assert met(world, (-2, 1e-3, 1), (1, 0, 0))[0] == pytest.approx(2 - 0.5 * math.sqrt(2), abs=2e-3)


@pytest.mark.parametrize("name", ["ellipsoid", "box", "cylinder"])
def test_rays_that_miss_or_look_away_reach_the_wall_behind(name):
    world = room_with(**{name: {"center": (0, 0, 1), "half": (0.5, 0.5, 0.3)}})
    assert met(world, (-2, 0.6, 1), (1, 0, 0)) == (pytest.approx(5.0), 3)  # beside it: the east wall, +x
    assert met(world, (-2, 0, 1), (-1, 0, 0)) == (pytest.approx(1.0), 4)  # it is behind: the west wall, -x


def test_the_six_faces_of_the_room_are_numbered_in_order():
    world = room_with()
    directions = [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)]
    faces = [met(world, (0.1, 0.2, 1.0), d)[1] - 3 for d in directions]
    assert faces == [0, 1, 2, 3, 4, 5]


def test_the_nearest_of_two_shapes_wins():
    near, far = {"center": (-1, 0, 1), "half": (0.2,) * 3}, {"center": (1, 0, 1), "half": (0.2,) * 3}
    assert met(room_with(ellipsoid=near, box=far), (-2.5, 0, 1), (1, 0, 0))[1] == ELLIPSOID
    assert met(room_with(ellipsoid=far, box=near), (-2.5, 0, 1), (1, 0, 0))[1] == BOX


def test_the_integer_minimum_equals_torch_min():
    depths = torch.rand(3, 40, 500) * 5 + 0.1
    depth, index = shapes.nearest(depths)
    expected, expected_index = depths.min(dim=1)
    torch.testing.assert_close(depth, expected, rtol=2**-16, atol=0)
    assert (index == expected_index).float().mean() > 0.999
    torch.testing.assert_close(depth, depths.gather(1, index[:, None])[:, 0], rtol=0, atol=0)


def test_the_heightfield_is_met_on_its_hills():
    world = room_with(heightfield={"center": (0, 0, 1), "half": (1, 1, 0.5)})
    x, y = (0.9 * (2 * torch.rand(2, 1, 200) - 1)).unbind(0)
    origin = (x, y, torch.full_like(x, 2.5))
    depth, surface = cast(world, origin, (torch.zeros_like(x), torch.zeros_like(x), -torch.ones_like(x)))
    assert (surface == 3).all()
    ground = 1 + 0.5 * shapes.hill_height(x, y, torch.zeros(1, 1, 3))
    torch.testing.assert_close(2.5 - depth, ground, rtol=0, atol=1e-4)


def test_a_ray_into_the_side_of_the_heightfield_stops_there():
    world = room_with(heightfield={"center": (0, 0, 1), "half": (1, 1, 0.5)})
    depth, surface = met(world, (-2, 0, 0.55), (1, 0, 0))
    assert surface == 3 and depth == pytest.approx(1.0, abs=1e-4)


def test_normals_have_length_one_face_the_ray_and_agree_with_neighbouring_points():
    world = room_with(
        ellipsoid={"center": (-1, 0, 1), "half": (0.5, 0.4, 0.3), "yaw": 0.4},
        box={"center": (1, 0, 1), "half": (0.5, 0.4, 0.3), "yaw": 0.7},
        cylinder={"center": (0, 1.5, 1), "half": (0.5, 0.3, 0.4), "yaw": -0.5},
        heightfield={"center": (0, -1.5, 1), "half": (0.9, 0.6, 0.3), "yaw": 0.3},
    )
    count = 4000
    origin = tuple(torch.tensor([[x]]) for x in (0.2, 0.1, 2.6))
    direction = tuple((2 * torch.rand(3, 1, count) - 1 - torch.tensor([[[0]], [[0]], [[0.8]]])).unbind(0))
    depth, surface = cast(world, origin, direction)
    assert set(surface.unique().tolist()) >= {0, 1, 2, 3, 9}  # all four shapes and the floor
    point = along(origin, direction, depth)
    normal = torch.stack(normal_and_albedo(world, surface, point, depth)[0])
    torch.testing.assert_close(normal.norm(dim=0), torch.ones(1, count), rtol=0, atol=1e-5)
    assert ((normal * torch.stack(direction)).sum(0) < 1e-3).all()

    # A neighbouring ray's point lies in the tangent plane, unless it crossed an edge.
    moved = tuple(d + 1e-3 * torch.randn_like(d) for d in direction)
    next_depth, next_surface = cast(world, origin, moved)
    step = torch.stack(along(origin, moved, next_depth)) - torch.stack(point)
    slope = (step * normal).sum(0).abs() / step.norm(dim=0)
    for shape in range(4):
        assert (slope < 0.1)[(surface == shape) & (next_surface == shape)].float().mean() > 0.9


def test_what_stands_under_a_ball_lies_in_its_shadow():
    world = room_with(ellipsoid={"center": (0, 0, 1.5), "half": (0.4, 0.4, 0.4)})
    floor = (torch.tensor([[0.0, 2.0]]), torch.zeros(1, 2), torch.zeros(1, 2))  # under the ball, aside
    up = (torch.zeros(1, 2), torch.zeros(1, 2), torch.ones(1, 2))
    albedo = torch.full((1, 3, 2), 0.5)
    bright = shade(world, floor, up, albedo, shadows=False)[0, 0]
    shaded = shade(world, floor, up, albedo, shadows=True)[0, 0]
    assert shaded[0] < 0.8 * bright[0]
    assert shaded[1] == bright[1]


def test_a_track_behind_a_wall_of_cardboard_is_hidden_and_beside_it_visible():
    # Two cameras look east at the east wall; a board stands in front of the second one only.
    world = room_with(views=2, box={"center": (0, 1, 1.5), "half": (0.01, 0.5, 0.5)})
    rotation = torch.tensor([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])  # right is south
    centers = torch.tensor([[-2.0, -0.5, 1.5], [-2.0, 1.0, 1.5]])
    cam_from_world = torch.cat([rotation.expand(2, 3, 3), -(centers @ rotation.T)[..., None]], dim=-1)[None]
    intrinsics = torch.tensor([[50.0, 0, 50], [0, 50, 50], [0, 0, 1]]).expand(1, 2, 3, 3)
    # Wall points at y = 1 (its line of sight from camera 1 crosses the board) and y = -1 (it does not).
    queries = torch.tensor([[[50 - 50 * 1.5 / 5, 50.0], [50 + 50 * 0.5 / 5, 50.0]]])
    tracks, visible = raycast_tracks(world, cam_from_world, intrinsics, queries, 100, 100)
    torch.testing.assert_close(tracks[0, 1], torch.tensor([[50.0, 50.0], [70.0, 50.0]]), rtol=0, atol=1e-3)
    assert visible.tolist() == [[[True, True], [False, True]]]
