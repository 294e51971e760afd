"""Lenses and poses that are known go into a scene."""

from dataclasses import replace

import pytest
import torch

from tests.inference.oracle import Oracle, pictures, report
from vggt_lite.geometry import (
    Similarity,
    camera_center,
    invert_rigid,
    matrix_from_quat_xyzw,
    project_points,
    rotation_angle,
    transform_points,
)
from vggt_lite.geometry.bundle_adjustment import nudge
from vggt_lite.inference import Reconstruction, reconstruct
from vggt_lite.inference.known import moved
from vggt_lite.synthetic import generate_scenes

K = torch.tensor([[60.0, 0, 32], [0, 61, 24], [0, 0, 1]])
TURN = matrix_from_quat_xyzw(torch.tensor([0.3, -0.5, 0.2, 0.7]))
ELSEWHERE = Similarity(torch.tensor(2.5), TURN, torch.tensor([4.0, -2.0, 7.0]))


@pytest.fixture(scope="module")
def scene() -> Reconstruction:
    scene = Reconstruction.from_batch(generate_scenes(1_000_003, 1, 4, 48, 64))
    return replace(scene, refinement=report(scene))


@pytest.fixture(scope="module")
def known(scene) -> Reconstruction:
    """The same room in another world: 2.5 times as large, turned and shifted."""
    return moved(scene, ELSEWHERE)


def disturbed(scene: Reconstruction) -> Reconstruction:
    noise = 0.02 * torch.randn(len(scene), 6, generator=torch.Generator().manual_seed(3))
    return replace(scene, cam_from_world=nudge(scene.cam_from_world, noise), refinement=None)


# --- another world ----------------------------------------------------------------------------------


def test_a_moved_scene_looks_the_same_and_its_points_lie_where_they_should(scene, known):
    pixels, z = project_points(known.refinement.points, known.cam_from_world, known.intrinsics)
    seen = scene.refinement.inliers
    assert torch.allclose(pixels[seen], scene.refinement.tracks[seen], atol=1e-2)
    assert torch.allclose(ELSEWHERE.apply(scene.points()[0]), known.points()[0], atol=1e-4)
    assert torch.allclose(ELSEWHERE.apply(scene.point_map), known.point_map, atol=1e-4)
    centers = ELSEWHERE.apply(camera_center(scene.cam_from_world))
    assert torch.allclose(camera_center(known.cam_from_world), centers, atol=1e-5)
    back = known.in_first_camera()
    assert torch.equal(back.cam_from_world[0], torch.eye(3, 4))
    assert torch.allclose(back.cam_from_world[1:, :, :3], scene.cam_from_world[1:, :, :3], atol=1e-5)
    assert torch.equal(back.depth, known.depth)


def test_refining_keeps_a_known_world():
    truth = Reconstruction.from_batch(generate_scenes(1_000_008, 1, 3, 128, 128, num_tracks=120))
    there = moved(truth, ELSEWHERE)
    start = nudge(there.cam_from_world, 0.01 * torch.ones(3, 6) * torch.tensor([0, 1, -1])[:, None])
    found = replace(there, cam_from_world=start).refine("tracker", lens="kept")
    assert found.refinement.refined and torch.allclose(
        found.cam_from_world[0], there.cam_from_world[0], atol=1e-6
    )
    off = rotation_angle(found.cam_from_world[:, :, :3], there.cam_from_world[:, :, :3]).rad2deg()
    assert off.max() < 0.1 and rotation_angle(start[1, :, :3], there.cam_from_world[1, :, :3]).rad2deg() > 0.8
    pixels, _ = project_points(found.refinement.points, found.cam_from_world, found.intrinsics)
    inliers = found.refinement.inliers
    assert (pixels - found.refinement.tracks)[inliers].norm(dim=-1).median() < 0.1


# --- lenses -----------------------------------------------------------------------------------------


def test_points_from_depth_follow_a_known_lens_and_depth_and_poses_stay(scene):
    for given in (K, K.repeat(4, 1, 1), K.tolist(), K.numpy()):
        found = scene.with_intrinsics(given)
        assert torch.equal(found.intrinsics, K.repeat(4, 1, 1)) and found.refinement is None
    assert torch.equal(found.depth, scene.depth) and torch.equal(found.cam_from_world, scene.cam_from_world)
    xyz, _, _, view = found.points("depth")
    for index in range(4):
        pixels, _ = project_points(xyz[view == index], found.cam_from_world[index], K)
        off = (pixels - 0.5 - (pixels - 0.5).round()).abs().max()  # every point lies on its pixel's centre
        assert off < 1e-2
    assert scene.refinement is not None  # the scene given is as it was


def test_a_known_lens_mends_a_view_without_camera(scene):
    broken = replace(scene, intrinsics=scene.intrinsics.clone())
    broken.intrinsics[2] = torch.nan
    assert not broken.camera_ok[2] and broken.with_intrinsics(K).camera_ok.all()


def changed(**entries: float) -> torch.Tensor:
    k = K.clone()
    places = {
        "fx": (0, 0),
        "fy": (1, 1),
        "cx": (0, 2),
        "cy": (1, 2),
        "skew": (0, 1),
        "last": (2, 1),
        "w": (2, 2),
    }
    for name, value in entries.items():
        k[places[name]] = value
    return k


@pytest.mark.parametrize(
    ("intrinsics", "said"),
    [
        (torch.eye(4), r"shape \(4, 4\): give \(3, 3\) for all views, or \(4, 3, 3\)"),
        (K.repeat(3, 1, 1), r"shape \(3, 3, 3\)"),
        ([["a"]], "are no numbers"),
        (changed(fx=float("nan")), "NaN or infinite"),
        (changed(fx=-60), "focal lengths -60 and 61 do not fit"),
        (
            changed(fx=0.9, fy=0.9),
            r"64×48 pixels: the unit is pixels of the original photograph, 12.8 to 1280",
        ),
        (changed(fy=6000), "focal lengths 60 and 6000"),
        (changed(cx=70), r"principal point \(70, 24\) lies outside the photograph of 64×48"),
        (changed(cy=-1), "principal point"),
        (changed(skew=1), "not of the form"),
        (changed(last=1), "not of the form"),
        (changed(w=2), "not of the form"),
        (torch.stack([K, K, K, changed(cx=70)]), "intrinsics of view 3: the principal point"),
    ],
)
def test_a_lens_that_cannot_be_is_refused(scene, intrinsics, said):
    with pytest.raises(ValueError, match=said):
        scene.with_intrinsics(intrinsics)


@pytest.mark.filterwarnings("ignore:the views differ in size")
def test_photographs_are_reconstructed_with_a_known_lens_and_a_wrong_one_is_refused_first():
    k = [[100.0, 0, 25], [0, 100, 25], [0, 0, 1]]
    scene = reconstruct(Oracle(), pictures(), known_intrinsics=k)
    assert scene.intrinsics.tolist() == [k] * 3
    oracle = Oracle()
    oracle.forward = None  # the network is not asked
    with pytest.raises(ValueError, match="intrinsics of view 0: focal lengths"):
        reconstruct(oracle, pictures(), known_intrinsics=torch.eye(3))
    with pytest.raises(ValueError, match="no focal length in the EXIF data of view_000, view_001"):
        reconstruct(oracle, pictures(), known_intrinsics="exif")


# --- poses ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("views", [None, [1, 3], [0, 2, 3], [3, 0]])
def test_known_cameras_bring_the_others_depth_and_points_into_their_world(scene, known, views):
    given = known.cam_from_world if views is None else known.cam_from_world[views]
    found = scene.with_poses(given, views)
    assert torch.equal(found.cam_from_world[range(4) if views is None else views], given)
    assert torch.allclose(found.cam_from_world, known.cam_from_world, atol=1e-4)
    assert torch.allclose(found.depth, known.depth, rtol=1e-5)
    assert torch.allclose(found.point_map, known.point_map, atol=1e-4)
    assert found.refinement is None and scene.refinement is not None


def test_known_cameras_are_exact_and_disturbed_ones_come_near(scene, known):
    found = disturbed(scene).with_poses(known.cam_from_world[[0, 2, 3]], [0, 2, 3])
    assert torch.equal(found.cam_from_world[[0, 2, 3]], known.cam_from_world[[0, 2, 3]])
    off = rotation_angle(found.cam_from_world[1, :, :3], known.cam_from_world[1, :, :3]).rad2deg()
    assert 0 < off < 5  # noise of 0.02 radians about each axis, in four cameras
    away = camera_center(found.cam_from_world[1]) - camera_center(known.cam_from_world[1])
    span = camera_center(known.cam_from_world)
    assert away.norm() < 0.1 * (span - span.mean(0)).norm()
    scale = found.depth[0].sum() / scene.depth[0].sum()
    assert scale == pytest.approx(2.5, rel=0.05)
    for view in range(4):  # what a view sees, seen from its camera, has the one scale
        before = transform_points(disturbed(scene).cam_from_world[view], scene.point_map[view].flatten(0, 1))
        after = transform_points(found.cam_from_world[view], found.point_map[view].flatten(0, 1))
        assert torch.allclose(after, scale * before, atol=2e-3)


def test_one_known_camera_gives_place_and_direction_but_no_unit(scene, known):
    found = scene.with_poses(known.cam_from_world[[2]], [2])
    assert torch.equal(found.cam_from_world[2], known.cam_from_world[2])
    assert torch.equal(found.depth, scene.depth)
    spans = [
        (c - c[2]).norm(dim=-1) for c in map(camera_center, (found.cam_from_world, scene.cam_from_world))
    ]
    assert torch.allclose(*spans, atol=1e-5)


def test_another_convention_is_noticed(scene, known):
    with pytest.warns(UserWarning, match="is this cam_from_world, in OpenCV axes"):
        scene.with_poses(invert_rigid(known.cam_from_world)[:, :3])


def poses(change=lambda c: c):
    cameras = torch.eye(3, 4).repeat(4, 1, 1)
    cameras[:, 0, 3] = torch.arange(4.0)
    return change(cameras)


def put(view: int, value: torch.Tensor):
    def act(cameras: torch.Tensor) -> torch.Tensor:
        cameras[view] = value
        return cameras

    return poses(act)


@pytest.mark.parametrize(
    ("given", "views", "said"),
    [
        (poses()[:2], None, r"cam_from_world has 2 rows for 4 views: name theirs with views="),
        (poses()[:2], [0, 1, 2], r"views=\[0, 1, 2\] must be 2 different views"),
        (poses()[:2], [1, 1], r"views=\[1, 1\] must be 2 different views"),
        (poses()[:2], [1, 4], r"views=\[4\]: there are views 0 to 3"),
        (poses()[:2], [-1, 1], r"views=\[-1\]: there are views 0 to 3"),
        (poses()[:0], [], "must be one or more different views"),
        (torch.eye(4).repeat(4, 1, 1), None, r"has shape \(4, 4, 4\): give \(n, 3, 4\)"),
        (torch.eye(3, 4), None, r"has shape \(3, 4\): give \(n, 3, 4\)"),
        ([["a"]], None, "cam_from_world are no numbers"),
        (put(1, torch.full((3, 4), torch.nan)), None, "NaN or infinite values: leave out"),
        (put(2, 2 * torch.eye(3, 4)), None, "view 2: its first three columns are no rotation"),
        (put(3, torch.diag(torch.tensor([1.0, 1, -1, 0]))[:3]), None, "view 3 is a mirror image"),
        (torch.eye(3, 4).repeat(4, 1, 1), None, "the known cameras all stand in one point"),
        (poses(lambda c: c + torch.tensor([0, 0, 0, 5e6])), None, "8,660,... from the origin and only"),
    ],
)  # fmt: skip
def test_poses_that_cannot_be_are_refused(scene, given, views, said):
    with pytest.raises(ValueError, match=said):
        scene.with_poses(given, views)


def test_a_view_without_predicted_camera_cannot_be_laid_over_a_known_one(scene, known):
    broken = replace(scene, cam_from_world=scene.cam_from_world.clone())
    broken.cam_from_world[1] = torch.nan
    with pytest.raises(ValueError, match="no predicted camera: leave it out of cam_from_world"):
        broken.with_poses(known.cam_from_world)
    with pytest.raises(ValueError, match="no predicted camera"):
        replace(scene, cam_from_world=None).with_poses(known.cam_from_world)
    still = replace(scene, cam_from_world=torch.eye(3, 4).repeat(4, 1, 1))
    with pytest.raises(ValueError, match="the predicted cameras of these views all stand in one point"):
        still.with_poses(known.cam_from_world)
