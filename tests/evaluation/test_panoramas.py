"""Views of panoramas: a cut shows what its rays meet, and the bundled pictures fit their cameras."""

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from tools.panoramas import NARROWEST, SETS, SIDE, cut, developed, drawn
from vggt_lite.evaluation.panoramas import panorama_views, rotation_of
from vggt_lite.geometry import rotation_angle

FOV, SMALL = 60.0, 24
YAW, PITCH, ROLL = 1, 2, 3


@pytest.fixture(scope="module")
def directions():
    """(256, 512, 3): each pixel's colour is the direction it lies in; x right, y down, z to the middle."""
    longitude = ((np.arange(512) + 0.5) / 512 - 0.5) * 2 * np.pi
    latitude = (0.5 - (np.arange(256)[:, None] + 0.5) / 256) * np.pi
    x, z = np.cos(latitude) * np.sin(longitude), np.cos(latitude) * np.cos(longitude)
    return np.stack([x, np.broadcast_to(-np.sin(latitude), x.shape), z], axis=-1)


def rays(angles, fov=FOV, side=SMALL):
    """(side, side, 3) unit vectors of the pixels' centres in the panorama's world, by an intrinsic matrix."""
    focal = side / 2 / np.tan(np.radians(fov) / 2)
    inverse = np.linalg.inv([[focal, 0, side / 2], [0, focal, side / 2], [0, 0, 1]])
    v, u = np.mgrid[:side, :side] + 0.5
    found = np.stack([u, v, np.ones_like(u)], axis=-1) @ inverse.T @ rotation_of(*angles).inv().as_matrix().T
    return found / np.linalg.norm(found, axis=-1, keepdims=True)


@pytest.mark.parametrize(
    "angles", [(0, 0, 0), (30, 10, -5), (-120, -14, 3), (179, 2, 1)]
)  # the last: the seam
def test_each_pixel_of_a_view_shows_the_direction_of_its_own_ray(directions, angles):
    """A mean over a pixel 3° wide is shorter than a unit vector by 2e-4; the grid costs 2e-5."""
    assert np.abs(cut(directions, angles, FOV, SMALL) - rays(angles)).max() < 1e-3


def test_yaw_looks_right_pitch_up_and_roll_turns_clockwise(directions):
    """At the equator and straight on, in words: each middle pixel of a view of 25 pixels."""
    middle = {turn: cut(directions, np.eye(4)[turn][1:] * 20, FOV, 25)[12, 12] for turn in (YAW, PITCH)}
    assert middle[YAW] == pytest.approx([np.sin(np.radians(20)), 0, np.cos(np.radians(20))], abs=1e-3)
    assert middle[PITCH] == pytest.approx([0, -np.sin(np.radians(20)), np.cos(np.radians(20))], abs=1e-3)
    rolled = cut(directions, (0, 0, 20), FOV, 25)[12, 24]  # what the right edge shows lies lower than before
    assert rolled[1] > 0.15


def test_two_views_agree_by_the_homography_of_their_rotation(directions):
    first, second = (10, 3, -2), (24, -4, 4)
    turned = (rotation_of(*second) * rotation_of(*first).inv()).as_matrix()
    focal = SMALL / 2 / np.tan(np.radians(FOV) / 2)
    camera = np.array([[focal, 0, SMALL / 2], [0, focal, SMALL / 2], [0, 0, 1]])
    seen = warped(cut(directions, second, FOV, SMALL), camera @ turned @ np.linalg.inv(camera))
    inside = np.isfinite(seen)
    assert inside.mean() > 0.4
    assert (
        np.abs(seen - cut(directions, first, FOV, SMALL))[inside].max() < 5e-3
    )  # bilinear between 3° pixels


def warped(picture, homography):
    """What a second view (H, W, 3) shows at the first one's pixels; NaN where it does not reach."""
    v, u = np.mgrid[: picture.shape[0], : picture.shape[1]] + 0.5
    points = np.stack([u, v, np.ones_like(u)], axis=-1) @ homography.T
    column, row = points[..., 0] / points[..., 2] - 0.5, points[..., 1] / points[..., 2] - 0.5
    return np.stack(
        [map_coordinates(picture[..., c], [row, column], order=1, cval=np.nan) for c in range(3)], axis=-1
    )


def test_middle_grey_is_where_the_median_lies_and_light_below_zero_or_far_above_does_not_wrap():
    light = np.array([-0.01, 0.5, 1.0, 2.0, 30_000.0])[:, None].repeat(3, axis=1)
    values = developed(light)[:, 0].tolist()
    assert values[0] == 0 and values[2] == 118 and values[4] == 255  # 0.18 is 118 in sRGB
    assert values == sorted(values)


def test_the_bundled_views_are_the_drawn_ones_and_their_pixels_fit_the_cameras():
    """A view carried onto its neighbour by the claimed rotation and lens: JPEG and resampling remain.

    Measured over all sets: at most 0.14 of the difference of the pictures as they lie, mostly 0.06.
    """
    sets = panorama_views()
    assert [views.panorama for views in sets] == [name for name in NARROWEST for _ in SETS]
    expected = [one for seed, least in enumerate(NARROWEST.values()) for one in drawn(seed, least)]
    for views, one in zip(sets, expected, strict=True):
        assert views.fov == one["fov"] and views.pictures.shape == (len(one["views"]), SIDE, SIDE, 3)
        assert views.cam_from_world.shape[0] == views.intrinsics.shape[0] == len(one["views"])
        assert torch.allclose(views.cam_from_world[0], torch.eye(3, 4))
        assert not views.cam_from_world[..., 3].any()
        turn = rotation_angle(views.cam_from_world[1, :, :3], torch.eye(3)).rad2deg()
        assert 8 < turn < 36
        camera = views.intrinsics[0].numpy()
        homography = camera @ views.cam_from_world[1, :, :3].numpy() @ np.linalg.inv(camera)
        first, second = views.pictures[:2].astype(float)
        there = warped(second, homography)
        inside = np.isfinite(there)
        fits, lies = np.abs(there - first)[inside].mean(), np.abs(second - first)[inside].mean()
        assert fits < 0.25 * lies, (views.panorama, fits / lies)
