"""Bundle adjustment finds cameras and points again from tracks alone, up to one similarity."""

import pytest
import torch

from vggt_lite.data import normalize_scene
from vggt_lite.geometry import camera_center, invert_rigid, project_points, rotation_angle, umeyama
from vggt_lite.geometry.bundle_adjustment import bundle_adjust, nudge
from vggt_lite.synthetic import generate_scenes


@pytest.fixture(scope="module")
def problem() -> dict:
    """Exact tracks of a generated room, disturbed cameras, disturbed points."""
    batch = normalize_scene(generate_scenes(1_000_002, 1, 5, 24, 32, num_tracks=60)).apply(lambda x: x[0])
    generator = torch.Generator().manual_seed(0)
    x, y = batch.tracks[0].floor().long().unbind(-1)
    points = batch.point_map[0, y, x]
    noise = 0.03 * torch.randn(len(batch.cam_from_world), 6, generator=generator)
    noise[0] = 0
    return {
        "true": batch.cam_from_world,
        "tracks": batch.tracks,
        "visibility": batch.track_visibility,
        "cam_from_world": nudge(batch.cam_from_world, noise),
        "intrinsics": batch.intrinsics,
        "points": points + 0.03 * torch.randn(points.shape, generator=generator),
    }


def solve(problem: dict, **changes):
    return bundle_adjust(**{k: v for k, v in {**problem, **changes}.items() if k != "true"})


def pose_errors(found: torch.Tensor, true: torch.Tensor) -> tuple[float, float]:
    """Largest angle (radians) and distance between camera centres after the best similarity."""
    fit = umeyama(camera_center(found), camera_center(true))
    turned = rotation_angle(found[:, :, :3] @ fit.rotation.mT, true[:, :, :3]).max()
    return turned.item(), (fit.apply(camera_center(found)) - camera_center(true)).norm(dim=-1).max().item()


def test_exact_tracks_bring_back_the_true_cameras(problem):
    result = solve(problem)
    assert result.rms[0] > 0.5 and result.rms[-1] < 1e-3
    assert result.rms == sorted(result.rms, reverse=True)
    turn, distance = pose_errors(result.cam_from_world, problem["true"])
    assert turn < 1e-3 and distance < 1e-3
    assert torch.equal(result.cam_from_world[0], problem["cam_from_world"][0])


def test_errors_are_those_of_the_returned_cameras_and_nan_where_unseen(problem):
    result = solve(problem, steps=2)
    visible = problem["visibility"]
    points = result.points.expand(len(visible), -1, -1)
    pixels, _ = project_points(points, result.cam_from_world, problem["intrinsics"])
    expected = (pixels - problem["tracks"]).norm(dim=-1)
    torch.testing.assert_close(result.errors[visible], expected[visible], rtol=1e-3, atol=1e-4)
    assert result.errors[~visible].isnan().all()


def test_one_step_equals_the_dense_damped_normal_equations(problem):
    """The Schur complement is a way to solve them, not another method."""
    problem = {k: v.double() if v.is_floating_point() else v for k, v in problem.items()}
    cameras, points, seen = problem["cam_from_world"], problem["points"], problem["visibility"]

    def residuals(change):
        moved = nudge(cameras[1:], change[: 6 * (len(cameras) - 1)].view(-1, 6))
        where = points + change[6 * (len(cameras) - 1) :].view(-1, 3)
        pixels, _ = project_points(where, torch.cat([cameras[:1], moved]), problem["intrinsics"])
        return (pixels - problem["tracks"])[seen].flatten()

    start = torch.zeros(6 * (len(cameras) - 1) + points.numel()).double()
    jacobian, r = torch.func.jacfwd(residuals)(start), residuals(start)
    normal = jacobian.mT @ jacobian
    damped = normal + torch.diag(1e-3 * normal.diagonal() + 1e-9)
    change = torch.linalg.solve(damped, -jacobian.mT @ r)
    result = solve(problem, steps=1)
    torch.testing.assert_close(result.points, points + change[6 * (len(cameras) - 1) :].view(-1, 3))
    torch.testing.assert_close(
        result.cam_from_world[1:], nudge(cameras[1:], change[: 6 * (len(cameras) - 1)].view(-1, 6))
    )


def test_a_few_wrong_tracks_spoil_squares_but_not_the_robust_sum(problem):
    wrong = problem["tracks"].clone()
    wrong[2, :4] += 9.0
    plain, robust = solve(problem, tracks=wrong), solve(problem, tracks=wrong, robust_px=0.1, steps=60)
    turn, distance = pose_errors(robust.cam_from_world, problem["true"])
    assert turn < 0.01 and distance < 0.02
    assert pose_errors(plain.cam_from_world, problem["true"])[0] > 5 * turn


def test_a_point_that_nobody_sees_does_no_harm(problem):
    visibility, tracks = problem["visibility"].clone(), problem["tracks"].clone()
    visibility[:, 3], tracks[:, 3] = False, torch.nan
    result = solve(problem, visibility=visibility, tracks=tracks)
    assert result.rms[-1] < 1e-3 and result.points.isfinite().all()


def test_the_scale_of_the_guess_is_kept_free(problem):
    """Twice as large a world explains the same pictures: nothing pulls it back."""
    doubled = problem["cam_from_world"].clone()
    doubled[..., 3] *= 2
    first = solve(problem)
    second = solve(problem, cam_from_world=doubled, points=2 * problem["points"])
    torch.testing.assert_close(second.points, 2 * first.points, rtol=1e-2, atol=1e-2)


def test_nudge_turns_and_shifts_in_the_cameras_frame():
    camera = torch.eye(3, 4)[None]
    shifted = nudge(camera, torch.tensor([[0.0, 0, 0, 0, 0, 1]]))
    torch.testing.assert_close(camera_center(shifted), torch.tensor([[0.0, 0, -1]]))
    turned = nudge(camera, torch.tensor([[0.0, 0.02, 0, 0, 0, 0]]))
    assert abs(rotation_angle(turned[0, :, :3], camera[0, :, :3]) - 0.02) < 1e-5
    torch.testing.assert_close(invert_rigid(turned)[:, :3] @ torch.eye(4), invert_rigid(turned)[:, :3])
