"""Normals and edges of depth maps whose surfaces are known."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from vggt_lite.data.pixel_map import PixelMap
from vggt_lite.geometry import invert_rigid, unproject_depth
from vggt_lite.inference import Reconstruction
from vggt_lite.inference.edges import facing_normals, mask_edges
from vggt_lite.synthetic import generate_scenes

H, W = 24, 32
K = torch.tensor([[200.0, 0, W / 2], [0, 200.0, H / 2], [0, 0, 1]])


def seen(depth: torch.Tensor) -> Reconstruction:
    """One view of a depth map (H, W)."""
    return Reconstruction(
        names=["a"], pixel_maps=[PixelMap((H, W), (H, W))], images=[torch.zeros(H, W, 3, dtype=torch.uint8)],
        colors=torch.zeros(1, H, W, 3, dtype=torch.uint8), valid=torch.ones(1, H, W, dtype=torch.bool),
        cam_from_world=torch.eye(3, 4)[None], intrinsics=K[None], depth=depth[None],
    )  # fmt: skip


def plane(degrees: float) -> torch.Tensor:
    """Depth of a plane through (0, 0, 2), turned about the y axis from facing the camera."""
    slope = math.tan(math.radians(degrees))  # of z over x
    x = (torch.arange(W) + 0.5 - W / 2) / 200
    return (2 / (1 - slope * x)).expand(H, W)


@pytest.mark.parametrize("degrees", [0, 30, 60])
def test_normals_are_those_of_the_plane_and_face_the_camera_wherever_it_stands(degrees):
    turn = torch.tensor([[0.0, 1, 0, 3], [0, 0, 1, -2], [1, 0, 0, 5]])[None]  # cam_from_world
    points = unproject_depth(plane(degrees)[None], K[None], turn)
    normals = facing_normals(points, torch.ones(1, H, W, dtype=torch.bool), turn)
    angle = math.radians(degrees)
    wanted = invert_rigid(turn)[0, :3, :3] @ torch.tensor([math.sin(angle), 0, -math.cos(angle)])
    assert torch.allclose(normals, wanted.expand_as(normals), atol=1e-3)


def test_a_lone_point_looks_at_the_camera_and_without_a_camera_nowhere():
    points, valid = torch.tensor([0.0, 0, 2]).expand(1, 3, 3, 3), torch.zeros(1, 3, 3, dtype=torch.bool)
    assert facing_normals(points, valid, torch.eye(3, 4)[None])[0, 1, 1].tolist() == [0, 0, -1]
    assert not facing_normals(points, valid, torch.full((1, 3, 4), torch.nan)).any()


def test_both_sides_of_a_step_are_edges_and_the_points_between_them():
    depth = torch.ones(H, W)
    depth[:, 10], depth[:, 11:] = 1.5, 2.0
    assert mask_edges(seen(depth))[0].any(0).nonzero()[:, 0].tolist() == [9, 10, 11]
    assert not mask_edges(seen(depth), step=1.0, grazing=90).any()
    depth[:, 11:] = 0  # no depth is no step
    assert mask_edges(seen(depth))[0].any(0).nonzero()[:, 0].tolist() == [9, 10]


@pytest.mark.parametrize(("degrees", "is_edge"), [(70, False), (78, False), (82, True)])
def test_surfaces_seen_at_a_grazing_angle_are_edges(degrees, is_edge):
    middle = mask_edges(seen(plane(degrees)), step=0.5)[0, :, W // 2 - 2 : W // 2 + 2]
    assert (middle == is_edge).all()


def test_points_in_the_air_behind_edges_go_and_surfaces_stay():
    truth = Reconstruction.from_batch(generate_scenes(1_000_008, 1, 2, 192, 256))
    blurred = F.avg_pool2d(truth.depth[:, None], 3, 1, 1, count_include_pad=False)[:, 0]
    scene = replace(truth, depth=blurred)
    wrong = ((blurred / truth.depth - 1).abs() > 0.05) & truth.valid
    assert wrong.float().mean() > 0.005
    kept = scene.without_edges().valid
    assert kept[wrong].float().mean() < 0.1
    assert kept[truth.valid & ~wrong].float().mean() > 0.9
    assert len(scene.without_edges().points()[0]) == kept.sum() and scene.valid.equal(truth.valid)


def test_what_cannot_be_asked_is_refused():
    scene = seen(torch.ones(H, W))
    for part in ("depth", "cam_from_world"):
        with pytest.raises(ValueError, match="depth and camera heads"):
            replace(scene, **{part: None}).without_edges()
    for options in ({"step": 0.0}, {"grazing": 91.0}, {"step": math.nan}):
        with pytest.raises(ValueError, match="must be above 0"):
            mask_edges(scene, **options)
