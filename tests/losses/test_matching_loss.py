"""The matching loss knows which patches show the same place."""

import math

import pytest
import torch

from vggt_lite.geometry import intrinsics_from_fov, unproject_depth
from vggt_lite.losses import SceneBatch, matching_loss, patch_correspondences

PATCH, ROWS, COLUMNS = 8, 4, 6
SIZE = (PATCH * ROWS, PATCH * COLUMNS)


def wall(shift_patches: int = 1) -> SceneBatch:
    """Two views of a wall; the second camera stands so far to the right that patches move to the left."""
    fov_h, fov_w = torch.tensor(0.7), 2 * torch.atan(torch.tensor(1.5) * math.tan(0.35))
    intrinsics = intrinsics_from_fov(fov_h, fov_w, SIZE).expand(1, 2, 3, 3)
    depth = torch.full((1, 2, *SIZE), 2.0)
    cameras = torch.eye(3, 4).repeat(1, 2, 1, 1)
    cameras[0, 1, 0, 3] = -shift_patches * PATCH * 2.0 / intrinsics[0, 0, 0, 0]
    points = unproject_depth(depth, intrinsics, cameras)
    return SceneBatch(torch.zeros(1, 2, 3, *SIZE), depth, cameras, intrinsics, points, depth > 0)


def test_patches_of_a_wall_are_found_one_column_to_the_left():
    target, seen = patch_correspondences(wall(), PATCH)
    grid = torch.arange(ROWS * COLUMNS).view(ROWS, COLUMNS)
    assert torch.equal(target[0, 0, 1].view(ROWS, COLUMNS)[:, 1:], grid[:, :-1])
    assert torch.equal(target[0, 1, 0].view(ROWS, COLUMNS)[:, :-1], grid[:, 1:])
    assert not seen[0, 0, 1].view(ROWS, COLUMNS)[:, 0].any()  # left the image
    assert seen[0, 0, 1].view(ROWS, COLUMNS)[:, 1:].all()
    assert not seen[0, 0, 0].any() and not seen[0, 1, 1].any()  # a view is not compared with itself


def test_a_place_hidden_by_something_nearer_has_no_match():
    batch = wall()
    batch.depth[0, 1, :, : SIZE[1] // 2] = 1.0  # something stands before the second camera
    _, seen = patch_correspondences(batch, PATCH)
    assert not seen[0, 0, 1].view(ROWS, COLUMNS)[:, : COLUMNS // 2].any()
    assert seen[0, 0, 1].view(ROWS, COLUMNS)[:, COLUMNS // 2 + 2 :].all()


def test_tokens_that_name_the_place_match_and_equal_tokens_guess():
    num_patches = ROWS * COLUMNS
    target, seen = patch_correspondences(wall(), PATCH)
    place = torch.eye(2 * num_patches)
    second, elsewhere = place[:num_patches], place[num_patches:]
    first = torch.where(seen[0, 0, 1, :, None], place[target[0, 0, 1]], elsewhere)
    loss, accuracy = matching_loss(torch.stack([first, second])[None], wall(), PATCH, temperature=0.01)
    assert accuracy > 0.99 and loss < 0.01

    same = torch.ones(1, 2, num_patches, 5, requires_grad=True)
    loss, _ = matching_loss(same, wall(), PATCH)
    loss.backward()
    assert loss.item() == pytest.approx(math.log(num_patches), rel=1e-5)


def test_half_precision_and_autocast_do_not_move_the_correspondences():
    want, _ = patch_correspondences(wall(), PATCH)
    with torch.autocast("cpu", torch.bfloat16):
        got, _ = patch_correspondences(wall(), PATCH)
    assert torch.equal(got, want)


def test_tokens_that_are_no_patches_are_refused():
    with pytest.raises(ValueError, match="camera and register tokens"):
        matching_loss(torch.zeros(1, 2, ROWS * COLUMNS + 5, 4), wall(), PATCH)
